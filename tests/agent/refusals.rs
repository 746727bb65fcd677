//! Resets and refusals: the sender is told.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use firedrill::agent::beside::protocol::Way;
use firedrill::condition::Delivery;

use crate::lab::*;

/// That the connection is found dead, and at once: not by a time-out of TCP's.
fn assert_reset(stream: &mut TcpStream) {
    let error = uninterrupted(|| stream.read(&mut [0; 8])).unwrap_err();
    let dead = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted];
    assert!(dead.contains(&error.kind()), "{error}");
}

#[test]
fn a_reset_ends_connections_that_stand_and_refuses_new_ones() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let both = [Way::In, Way::Out];
    for ways in [&both[..], &both[..1], &both[1..]] {
        for delivery in [Delivery::Reset, Delivery::Reject] {
            for address in FAR {
                let listener = lab.listener(address);
                let bystander = lab.listener(OTHER);
                let (mut near, mut far) = lab.connect(&listener).unwrap();
                let (mut here, mut there) = lab.connect(&bystander).unwrap();
                let held: Vec<_> = ways.iter().map(|way| delivered(*way, delivery)).collect();
                agent.hold(&held);
                assert_reset(&mut near);
                assert_reset(&mut far);
                let refused = lab.connect(&listener).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{ways:?} {address}");
                assert_says(&mut here, &mut there, b"unharmed");
                lab.connect(&bystander).unwrap();
                agent.hold(&[]);
                let (mut near, mut far) = lab.connect(&listener).unwrap();
                assert_says(&mut near, &mut far, b"again");
            }
        }
    }
}

#[test]
fn the_far_side_is_refused_too() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let listener = lab.on(&lab.near, || std::net::TcpListener::bind((NEAR[0], 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let dial = || lab.on(&lab.far, || TcpStream::connect_timeout(&to, PATIENCE));
    for way in [Way::In, Way::Out] {
        agent.hold(&[delivered(way, Delivery::Reset)]);
        let refused = dial().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{way:?}");
        agent.hold(&[]);
        dial().unwrap().write_all(b"again").unwrap();
    }
}

#[test]
fn a_reset_is_of_tcp_and_a_rejection_of_all() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    for family in [0, 1] {
        let (near, far) = lab.udp_pair(family);
        let held = |delivery| [Way::In, Way::Out].map(|way| delivered(way, delivery));
        agent.hold(&held(Delivery::Reset));
        passes_at_last(&near, &far);
        passes_at_last(&far, &near);
        agent.hold(&held(Delivery::Reject));
        assert!(!passes(&near, &far) && !passes(&far, &near));
        // The far side is told by ICMP, with its next call at the latest.
        let told = (0..100).find_map(|_| far.send(b"x").err());
        assert_eq!(told.map(|e| e.kind()), Some(ErrorKind::ConnectionRefused));
        agent.hold(&[]);
        passes_at_last(&near, &far);
    }
}
