//! Cuts, and loss.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firedrill::agent::beside::protocol::{HeldLink, Order, Way};
use firedrill::condition::Link;
use firedrill::quantity::Ratio;

use crate::lab::*;

#[test]
fn a_connection_stalls_while_it_is_cut_and_goes_on_after_the_heal() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    for address in FAR {
        let (mut near, mut far) = lab.connect(&lab.listener(address)).unwrap();
        assert_says(&mut near, &mut far, b"before");
        agent.hold(&cut());
        near.write_all(b"from near").unwrap();
        far.write_all(b"from far").unwrap();
        assert_silent(&mut far);
        assert_silent(&mut near);
        agent.hold(&[]);
        for (stream, what) in [(&mut far, &b"from near"[..]), (&mut near, &b"from far"[..])] {
            let mut came = vec![0; what.len()];
            std::io::Read::read_exact(stream, &mut came).unwrap();
            assert_eq!(came, what);
        }
        assert_says(&mut near, &mut far, b"after");
    }
}

#[test]
fn a_cut_of_one_way_leaves_the_other() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    for family in [0, 1] {
        let (near, far) = lab.udp_pair(family);
        passes_at_last(&near, &far);
        agent.hold(&[link(&FAR, Way::Out, Link::CUT)]);
        assert!(!passes(&near, &far));
        passes_at_last(&far, &near);
        agent.hold(&[link(&FAR, Way::In, Link::CUT)]);
        assert!(!passes(&far, &near));
        passes_at_last(&near, &far);
        agent.hold(&cut());
        assert!(!passes(&far, &near) && !passes(&near, &far));
        agent.hold(&[]);
        passes_at_last(&near, &far);
        passes_at_last(&far, &near);
    }
}

#[test]
fn a_cut_is_of_the_addresses_that_it_names_and_of_no_other() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let (near, other) = (lab.udp(&lab.near, NEAR[0]), lab.udp(&lab.far, OTHER));
    near.connect(other.local_addr().unwrap()).unwrap();
    other.connect(near.local_addr().unwrap()).unwrap();
    agent.hold(&cut());
    passes_at_last(&near, &other);
    passes_at_last(&other, &near);
}

#[test]
fn the_kernel_counts_what_each_link_caught() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let (near, far) = lab.udp_pair(0);
    agent.hold(&cut());
    assert_eq!(agent.count(), [0, 0]);
    for _ in 0..3 {
        near.send(b"x").unwrap();
    }
    far.send(b"x").unwrap();
    assert!(!passes(&near, &far));
    assert_eq!(agent.count(), [1, 4]);
}

#[test]
fn a_change_lets_nothing_pass_that_is_cut_before_and_after_it() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let (near, far) = lab.udp_pair(0);
    passes_at_last(&near, &far);
    agent.hold(&cut());
    let all: Vec<_> = cut().into_iter().chain([link(&[OTHER], Way::Out, Link::CUT)]).collect();
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let mut sent = 0_u64;
            while !over.load(Ordering::Relaxed) {
                // Its own queue may be full for a moment.
                sent += u64::from(near.send(b"through a gap").is_ok());
            }
            sent
        });
        for _ in 0..300 {
            agent.hold(&all);
            agent.hold(&cut());
        }
        over.store(true, Ordering::Relaxed);
        stream.join().unwrap()
    });
    assert!(sent > 1000, "only {sent} were sent");
    far.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(far.hear(&mut [0; 64]).is_err(), "one came through");
    agent.hold(&[]);
    passes_at_last(&near, &far);
}

#[test]
fn rules_of_others_stay_as_they_are() {
    let Some(lab) = Lab::new() else { return };
    let nft = |what: &str| run(&format!("ip netns exec {} nft {what}", lab.near));
    nft("add table inet others");
    nft("add chain inet others c { type filter hook input priority 0 ; policy accept ; }");
    nft("add rule inet others c tcp dport 9 drop");
    nft("add set inet others s { type ipv4_addr ; elements = { 10.9.0.2 } ; }");
    let before = nft("list ruleset");
    let mut agent = lab.agent();
    agent.hold(&cut());
    agent.hold(&[]);
    agent.hold(&cut());
    assert_eq!(nft("list table inet others"), before);
    agent.close();
    assert_eq!(agent.wait(), Some(0));
    assert_eq!(nft("list ruleset"), before);
}

#[test]
fn loss_takes_its_share() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let (near, far) = lab.udp_pair(0);
    let bursts = Link { correlation: Ratio::new(0.25), ..Link::default() };
    for (way, kind) in [(Way::Out, Link::default()), (Way::In, Link::default()), (Way::Out, bursts)]
    {
        let (from, to) = if way == Way::Out { (&near, &far) } else { (&far, &near) };
        agent.hold(&[link(&FAR, way, Link { loss: Ratio::new(0.3), ..kind })]);
        let arrived = (0..2000).filter(|_| {
            from.send(b"x").unwrap();
            to.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            to.hear(&mut [0; 8]).is_ok()
        });
        let arrived = arrived.count();
        // Twelve standard deviations to either side.
        assert!((1150..1650).contains(&arrived), "{arrived} of 2000 arrived, {way:?}");
        agent.hold(&[link(&FAR, way, Link { loss: Ratio::new(1.0), ..kind })]);
        to.set_read_timeout(Some(SILENCE)).unwrap();
        while to.hear(&mut [0; 8]).is_ok() {} // what was counted as lost may only have been late
        assert!(!passes(from, to));
        agent.hold(&[]);
        passes_at_last(from, to);
    }
}

#[test]
fn an_interface_that_comes_later_is_cut_too() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    agent.hold(&[link(&["10.8.0.2"], Way::Out, Link::CUT)]);
    let Lab { near, far } = &lab;
    run(&format!("ip -n {near} link add late type veth peer name late netns {far}"));
    for (side, address) in [(near, "10.8.0.1/24"), (far, "10.8.0.2/24")] {
        run(&format!("ip -n {side} link set late up"));
        run(&format!("ip -n {side} addr add {address} dev late"));
    }
    let (here, there) = (lab.udp(near, "10.8.0.1"), lab.udp(far, "10.8.0.2"));
    here.connect(there.local_addr().unwrap()).unwrap();
    agent.order(Order::Beat).unwrap();
    assert!(!passes(&here, &there));
    agent.hold(&[]);
    passes_at_last(&here, &there);
    run(&format!("ip -n {near} link del late"));
    agent.order(Order::Beat).unwrap();
    agent.hold(&cut());
}

#[test]
fn a_cut_of_a_port_leaves_the_others_whoever_listens() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    for (family, address) in FAR.iter().enumerate() {
        let (listens, other) = (lab.listener(address), lab.listener(address));
        let (mut near, mut far) = lab.connect(&listens).unwrap();
        let (mut spared, mut spared_far) = lab.connect(&other).unwrap();
        let (one, another) = (lab.udp_pair(family), lab.udp_pair(family));
        passes_at_last(&one.0, &one.1);
        let port = listens.local_addr().unwrap().port();
        // Of the datagrams, the port of the near end: it is one's own there.
        let ports = [port, one.0.local_addr().unwrap().port()];
        let cut = cut().into_iter().map(|held| HeldLink { ports: ports.into(), ..held });
        agent.hold(&cut.collect::<Vec<_>>());
        near.write_all(b"from near").unwrap();
        assert_silent(&mut far);
        assert!(!passes(&one.0, &one.1) && !passes(&one.1, &one.0));
        assert_says(&mut spared, &mut spared_far, b"another port");
        passes_at_last(&another.0, &another.1);
        agent.hold(&[]);
        let mut came = [0; 9];
        std::io::Read::read_exact(&mut far, &mut came).unwrap();
        assert_eq!(&came, b"from near");
        passes_at_last(&one.0, &one.1);
    }
}

#[test]
fn of_ports_nothing_but_a_cut_is_held() {
    let Some(lab) = Lab::new() else { return };
    let mut agent = lab.agent();
    let late = Link { loss: Ratio::new(0.5), ..Link::default() };
    let held = HeldLink { ports: [80].into(), ..link(&FAR, Way::Out, late) };
    let refused = agent.order(Order::Hold(vec![held])).unwrap_err();
    assert!(refused.contains("can be cut, and nothing else"), "{refused}");
}
