//! Latency, bandwidth, and packets spoilt one by one: what becomes of traffic while links change.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use firedrill::agent::beside::protocol::Shaping;
use firedrill::condition::Link;
use firedrill::quantity::{Bandwidth, Ratio, Span};

use crate::lab::*;

fn round_trip(near: &UdpSocket, far: &UdpSocket) -> Duration {
    for socket in [near, far] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let begin = Instant::now();
    near.send(b"there").unwrap();
    far.hear(&mut [0; 64]).unwrap();
    far.send(b"back").unwrap();
    near.hear(&mut [0; 64]).unwrap();
    begin.elapsed()
}

#[test]
fn what_is_late_is_never_early() {
    let Some((lab, mut agent)) = shaping() else { return };
    let latency = Span::millis(50);
    for family in [0, 1] {
        let (near, far) = lab.udp_pair(family);
        agent.hold(&shaped(Link { latency, ..Link::default() }));
        for _ in 0..5 {
            let took = round_trip(&near, &far);
            assert!(took >= latency.0, "{took:?}");
        }
        assert!(agent.count()[0] >= 5, "the kernel saw none of it");
        agent.hold(&[]);
        round_trip(&near, &far);
    }
}

#[test]
fn jitter_keeps_the_order() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let (latency, jitter) = (Span::millis(20), Span::millis(15));
    agent.hold(&shaped(Link { latency, jitter, ..Link::default() }));
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    (0..200_u8).for_each(|n| assert_eq!(near.send(&[n]).unwrap(), 1));
    for n in 0..200_u8 {
        let mut came = [0];
        far.hear(&mut came).unwrap();
        assert_eq!(came, [n]);
    }
}

#[test]
fn what_chance_picks_overtakes() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let (latency, reorder) = (Span::millis(500), Ratio::new(0.5));
    agent.hold(&shaped(Link { latency, reorder, ..Link::default() }));
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    (0..100_u8).for_each(|n| assert_eq!(near.send(&[n]).unwrap(), 1));
    let mut came: Vec<u8> = (0..100)
        .map(|_| {
            let mut one = [0];
            far.hear(&mut one).unwrap();
            one[0]
        })
        .collect();
    assert!(!came.is_sorted(), "{came:?}");
    came.sort_unstable();
    assert!(came.iter().copied().eq(0..100), "{came:?}");
}

#[test]
fn a_stream_through_the_shaper_arrives_whole_and_the_link_can_change_under_it() {
    let Some((lab, mut agent)) = shaping() else { return };
    for address in FAR {
        let (mut near, mut far) = lab.connect(&lab.listener(address)).unwrap();
        let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
        agent.hold(&shaped(Link { latency: Span::millis(5), ..Link::default() }));
        std::thread::scope(|scope| {
            scope.spawn(|| near.write_all(&bytes).unwrap());
            let mut came = vec![0; bytes.len()];
            far.read_exact(&mut came[..1_000_000]).unwrap();
            agent.hold(&shaped(Link { latency: Span::millis(1), ..Link::default() }));
            far.read_exact(&mut came[1_000_000..2_000_000]).unwrap();
            agent.hold(&[]);
            far.read_exact(&mut came[2_000_000..]).unwrap();
            assert!(came == bytes, "other bytes came");
        });
    }
}

#[test]
fn no_more_passes_than_the_bandwidth() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (mut near, mut far) = lab.connect(&lab.listener(FAR[0])).unwrap();
    let bandwidth = Some(Bandwidth::bits(4_000_000));
    agent.hold(&shaped(Link { bandwidth, ..Link::default() }));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| near.write_all(&[7; 500_000]).unwrap());
        far.read_exact(&mut [0; 500_000]).unwrap();
    });
    // Half a megabyte takes a second, headers not counted.
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[test]
fn what_is_duplicated_comes_twice_and_what_is_corrupted_is_noticed() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    agent.hold(&shaped(Link { duplicate: Ratio::new(1.0), ..Link::default() }));
    near.send(b"x").unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        far.hear(&mut [0; 8]).unwrap();
    }
    far.set_read_timeout(Some(SILENCE)).unwrap();
    far.hear(&mut [0; 8]).unwrap_err();
    // The receiver's kernel finds each checksum wrong. Of netem's bits one may be the sender's hardware address, which
    // nobody looks at.
    agent.hold(&shaped(Link { corrupt: Ratio::new(1.0), ..Link::default() }));
    (0..50).for_each(|_| assert_eq!(near.send(&[7; 1000]).unwrap(), 1000));
    let came = std::iter::from_fn(|| far.hear(&mut [0; 1000]).ok()).count();
    assert!(came <= if agent.hello.shaping == Shaping::Netem { 5 } else { 0 }, "{came}");
    assert_eq!(agent.count(), [50]);
    agent.hold(&[]);
    passes_at_last(&near, &far);
}

#[test]
fn a_heal_lets_go_what_waits() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    // netem lets nothing go before its time, and what has too much of it is lost.
    let latency = match agent.hello.shaping {
        Shaping::Netem => Span::secs(1),
        _ => Span::secs(3600),
    };
    agent.hold(&shaped(Link { latency, ..Link::default() }));
    near.send(b"waits").unwrap();
    far.hear(&mut [0; 64]).unwrap_err();
    agent.hold(&[]);
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    far.hear(&mut [0; 64]).unwrap();
}

#[test]
fn a_cut_stops_what_the_shaper_still_holds() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    // Long enough that the cut is there before, and then some.
    let (latency, until) = (Span::millis(1500), Duration::from_secs(3));
    far.set_read_timeout(Some(until)).unwrap();
    agent.hold(&shaped(Link { latency, ..Link::default() }));
    near.send(b"on its way").unwrap();
    agent.hold(&cut());
    assert!(far.hear(&mut [0; 64]).is_err());
    // Nor does what was let go of, and is on its way still.
    agent.hold(&shaped(Link { latency, ..Link::default() }));
    near.send(b"on its way").unwrap();
    if agent.hello.shaping == Shaping::Netem {
        agent.hold(&[]);
    }
    agent.hold(&cut());
    assert!(far.hear(&mut [0; 64]).is_err());
    agent.hold(&[]);
    passes_at_last(&near, &far);
}
