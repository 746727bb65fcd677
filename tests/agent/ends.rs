//! How an agent ends, and what it says.

use std::time::Duration;

use firedrill::agent::beside::protocol::{Done, Order, Probe, Shaping, Way};
use firedrill::condition::Link;
use rustix::process::Signal;

use crate::lab::*;

#[test]
fn it_says_who_it_is_and_where_it_stands() {
    let Some(lab) = Lab::new() else { return };
    let agent = lab.agent();
    assert_eq!(agent.hello.version, env!("CARGO_PKG_VERSION"));
    let own: Vec<String> = agent.hello.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(own, NEAR);
    assert_ne!(agent.hello.probe_port, 0);
}

#[test]
fn however_it_ends_the_traffic_is_back() {
    let Some(lab) = Lab::new() else { return };
    let (near, far) = lab.udp_pair(0);
    type Strike = fn(&mut Agent);
    let ends: [(&str, Strike); 4] = [
        ("killed", |agent| agent.signal(Signal::KILL)),
        ("told", |agent| agent.signal(Signal::TERM)),
        ("end of input", Agent::close),
        ("lease", |_| {}),
    ];
    for (how, end) in ends {
        let mut agent = lab.agent_with_lease(if how == "lease" { "2s" } else { "10m" });
        agent.hold(&cut());
        if how != "lease" {
            assert!(!passes(&near, &far), "{how}");
        }
        end(&mut agent);
        assert_eq!(agent.wait(), if how == "killed" { None } else { Some(0) }, "{how}");
        passes_at_last(&near, &far);
        assert_eq!(run(&format!("ip netns exec {} nft list ruleset", lab.near)), "", "{how}");
    }
}

#[test]
fn every_line_renews_the_lease() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent_with_lease("3s");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(agent.order(Order::Beat), Ok(Done::Beaten));
    }
}

#[test]
fn whatever_a_line_is_it_is_answered() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    for (line, id, says) in [
        ("", 0, "not an order"),
        ("garbage", 0, "not an order"),
        ("{\"id\":7}", 7, "missing field `order`"),
        ("{\"id\":8,\"order\":\"explode\"}", 8, "unknown variant `explode`"),
        ("[[[[[[[[", 0, "not an order"),
    ] {
        let answer = agent.say(line);
        let error = answer.result.unwrap_err();
        assert_eq!(answer.id, id, "{line}");
        assert!(error.contains(says), "{line}: {error}");
    }
    let error = agent.say(&"x".repeat(2 << 20)).result.unwrap_err();
    assert!(error.contains("1048576 bytes"), "{error}");
    assert_eq!(agent.order(Order::Beat), Ok(Done::Beaten));
}

#[test]
fn of_two_agents_in_one_namespace_the_second_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let _first = lab.agent();
    let second = Agent::command(&lab.near, "10m").output().unwrap();
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && second.stdout.is_empty(), "{error}");
    assert!(error.contains("no other firedrill agent"), "{error}");
}

#[test]
fn probes_measure_there_and_back_and_show_a_cut() {
    let Some(lab) = Lab::new() else { return };
    let mut near = lab.agent();
    let mut far = {
        let Lab { near, far } = &lab;
        let turned = Lab { near: far.clone(), far: near.clone() };
        let agent = turned.agent();
        std::mem::forget(turned);
        agent
    };
    let mut number = 0;
    let mut probe = |near: &mut Agent, port: u16, address: &str, wait: Duration| {
        number += 1;
        let to = (address.parse::<std::net::IpAddr>().unwrap(), port).into();
        let every = Duration::from_millis(1);
        let probe = Probe { probe: number, to, count: 20, padding: 0, every, wait };
        match near.order(Order::Probe(probe)) {
            Ok(Done::Probed { sent: 20, round_trips, .. }) => (number, round_trips),
            other => panic!("{other:?}"),
        }
    };
    let port = far.hello.probe_port;
    for address in FAR {
        let (number, round_trips) = probe(&mut near, port, address, PATIENCE);
        assert_eq!(round_trips.len(), 20);
        let Ok(Done::Heard { one_way, .. }) = far.order(Order::Heard { probe: number }) else {
            panic!("not heard");
        };
        assert_eq!(one_way.len(), 20);
    }
    near.hold(&[link(&FAR, Way::In, Link::CUT)]);
    let (number, round_trips) = probe(&mut near, port, FAR[0], SILENCE);
    assert_eq!(round_trips.len(), 0);
    // Only the way back is cut.
    let heard = far.order(Order::Heard { probe: number });
    assert!(matches!(&heard, Ok(Done::Heard { one_way, .. }) if one_way.len() == 20), "{heard:?}");
    near.hold(&[link(&FAR, Way::Out, Link::CUT)]);
    let (number, round_trips) = probe(&mut near, port, FAR[0], SILENCE);
    assert_eq!(round_trips.len(), 0);
    assert_eq!(
        far.order(Order::Heard { probe: number }),
        Ok(Done::Heard { one_way: vec![], over: 0 })
    );
}

#[test]
fn what_cannot_be_held_is_refused_and_what_was_held_is_held_on() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let (near, far) = lab.udp_pair(0);
    agent.hold(&cut());
    let late = Link { latency: firedrill::quantity::Span::millis(10), ..Link::default() };
    let error = agent.order(Order::Hold(vec![link(&FAR, Way::In, late)])).unwrap_err();
    assert!(error.contains("shaped where it is sent"), "{error}");
    if !matches!(agent.hello.shaping, Shaping::Nothing(_)) {
        let twice = vec![link(&FAR, Way::Out, late), link(&[FAR[0]], Way::Out, late)];
        let error = agent.order(Order::Hold(twice)).unwrap_err();
        assert!(error.contains("10.9.0.2 stands in two links"), "{error}");
    }
    assert!(!passes(&near, &far));
}
