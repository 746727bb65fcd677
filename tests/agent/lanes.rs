//! What shapes traffic, and what is left of it: devices that come and go, several interfaces, and changes in place.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use firedrill::agent::beside::protocol::{Order, Shaping, Way};
use firedrill::condition::Link;
use firedrill::quantity::{Bandwidth, Ratio, Span};
use rustix::process::Signal;

use crate::lab::*;

/// The agent's own devices on the near side, with what is queued how.
fn devices(lab: &Lab) -> Vec<String> {
    let listed = run(&format!("ip -n {} -o link show", lab.near));
    let names = listed.lines().filter_map(|line| line.split_whitespace().nth(1));
    names.filter(|name| name.starts_with("firedrill")).map(String::from).collect()
}

/// Waits until there are none.
fn gone_at_last(lab: &Lab, how: &str) {
    let until = Instant::now() + PATIENCE;
    while !devices(lab).is_empty() {
        assert!(Instant::now() < until, "{how}: {:?} are left", devices(lab));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn sweep(lab: &Lab) -> String {
    let sweep = [env!("CARGO_BIN_EXE_firedrill"), "agent-sweep"];
    let swept = Command::new("ip").args(["netns", "exec", &lab.near]).args(sweep).output().unwrap();
    let said = String::from_utf8_lossy(&swept.stderr).into_owned();
    assert!(swept.status.success(), "{said}");
    said
}

fn late(latency: Span) -> Link {
    Link { latency, ..Link::default() }
}

#[test]
fn a_killed_agent_shapes_no_more_and_its_devices_are_swept() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    for how in ["the next agent", "the sweep"] {
        agent.hold(&shaped(late(Span::secs(3600))));
        assert!(!passes(&near, &far));
        let held = devices(&lab);
        assert!(!held.is_empty(), "nothing shapes");
        agent.signal(Signal::KILL);
        agent.wait();
        passes_at_last(&near, &far);
        let left = if agent.hello.shaping == Shaping::Netem { held } else { vec![] };
        assert_eq!(devices(&lab), left);
        if how == "the sweep" {
            let said = sweep(&lab);
            assert_eq!(said.contains("removed 2 network devices"), !left.is_empty(), "{said}");
            assert_eq!(sweep(&lab), "", "there is nothing left to say");
            assert_eq!(devices(&lab), [""; 0], "{how}");
        }
        agent = lab.agent();
        assert_eq!(devices(&lab), [""; 0], "{how}");
        passes_at_last(&near, &far);
    }
}

#[test]
fn however_it_ends_no_device_is_left() {
    let Some((lab, _)) = shaping() else { return };
    type Strike = fn(&mut Agent);
    let ends: [(&str, Strike); 4] = [
        ("told", |agent| agent.signal(Signal::TERM)),
        ("end of input", Agent::close),
        ("lease", |_| {}),
        ("healed", |agent| agent.hold(&[])),
    ];
    for (how, end) in ends {
        let mut agent = lab.agent_with_lease(if how == "lease" { "2s" } else { "10m" });
        agent.hold(&shaped(late(Span::millis(50))));
        assert!(!devices(&lab).is_empty(), "{how}");
        end(&mut agent);
        // The agent's own shaper keeps its device for the next time.
        if how == "healed" && agent.hello.shaping != Shaping::Netem {
            agent.close();
        }
        gone_at_last(&lab, how);
    }
}

#[test]
fn a_sweep_leaves_a_living_agent_alone() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    agent.hold(&shaped(late(Span::secs(3600))));
    let held = devices(&lab);
    assert_eq!(sweep(&lab), "");
    assert_eq!(devices(&lab), held);
    assert!(!passes(&near, &far));
}

#[test]
fn a_link_changes_in_place_and_loses_nothing() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let bandwidth = Some(Bandwidth::bits(50_000_000));
    let kinds = [
        late(Span::millis(50)),
        late(Span::millis(5)),
        Link { jitter: Span::millis(5), ..late(Span::millis(5)) },
        Link { bandwidth, ..Link::default() },
        late(Span::millis(20)),
    ];
    agent.hold(&shaped(kinds[0]));
    let held = devices(&lab);
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut number = 0_u32;
    for kind in kinds.iter().chain(&kinds) {
        // In all, as many as a socket holds.
        for _ in 0..20 {
            near.send(&number.to_be_bytes()).unwrap();
            number += 1;
        }
        agent.hold(&shaped(*kind));
        agent.hold(&shaped(*kind));
        assert_eq!(devices(&lab), held);
    }
    for expected in 0..number {
        let mut bytes = [0; 4];
        far.hear(&mut bytes).unwrap();
        assert_eq!(u32::from_be_bytes(bytes), expected);
    }
    // What was asked before is nothing that stays.
    let spoils = Ratio::new(1.0);
    let all = Link { corrupt: spoils, duplicate: spoils, reorder: spoils, ..kinds[2] };
    for kind in [all, late(Span::millis(1))] {
        agent.hold(&shaped(kind));
    }
    near.send(b"once").unwrap();
    let mut bytes = [0; 64];
    let length = far.hear(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"once");
    far.set_read_timeout(Some(SILENCE)).unwrap();
    far.hear(&mut bytes).unwrap_err();
}

#[test]
fn what_waits_at_a_heal_is_not_lost() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    agent.hold(&shaped(late(Span::millis(500))));
    for number in 0..50_u8 {
        near.send(&[number]).unwrap();
    }
    agent.hold(&[]);
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    for number in 0..50_u8 {
        let mut bytes = [0];
        far.hear(&mut bytes).unwrap();
        assert_eq!(bytes, [number]);
    }
}

/// How many frames the far side has received.
fn received(lab: &Lab) -> u64 {
    let shown = run(&format!("ip -n {} -s link show wire", lab.far));
    let figures = shown.lines().skip_while(|line| !line.trim().starts_with("RX:")).nth(1);
    figures.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn chance_is_of_frames_as_they_are_on_a_wire() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (mut near, mut far) = lab.connect(&lab.listener(FAR[0])).unwrap();
    agent.hold(&shaped(late(Span::millis(1))));
    // The kernel hands a stream on in pieces of up to 64 kB, and cuts them where they leave.
    let bytes = vec![7; 2_000_000];
    let before = received(&lab);
    std::thread::scope(|scope| {
        scope.spawn(|| near.write_all(&bytes).unwrap());
        far.read_exact(&mut vec![0; bytes.len()]).unwrap();
    });
    let frames = received(&lab) - before;
    println!("{} bytes came in {frames} frames", bytes.len());
    assert!(frames >= bytes.len() as u64 / 1500, "only {frames} frames");
}

/// How long a datagram is on its way.
fn takes(near: &UdpSocket, far: &UdpSocket) -> Duration {
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = Instant::now();
    near.send(b"x").unwrap();
    far.hear(&mut [0; 8]).unwrap();
    sent.elapsed()
}

#[test]
fn links_over_several_interfaces_each_have_their_own_delay() {
    let Some((lab, mut agent)) = shaping() else { return };
    let Lab { near, far } = &lab;
    run(&format!("ip -n {near} link add second type veth peer name second netns {far}"));
    for (side, address) in [(near, "10.8.0.1/24"), (far, "10.8.0.2/24")] {
        run(&format!("ip -n {side} link set second up"));
        run(&format!("ip -n {side} addr add {address} dev second"));
    }
    let (first_near, first_far) = lab.udp_pair(0);
    let (here, there) = (lab.udp(near, "10.8.0.1"), lab.udp(far, "10.8.0.2"));
    here.connect(there.local_addr().unwrap()).unwrap();
    let other = lab.udp(far, OTHER);
    let unshaped = lab.udp(near, NEAR[0]);
    unshaped.connect(other.local_addr().unwrap()).unwrap();
    let [fast, slow] = [100, 400].map(Duration::from_millis);
    let held = |first, second| {
        [link(&FAR, Way::Out, late(Span(first))), link(&["10.8.0.2"], Way::Out, late(Span(second)))]
    };
    for (first, second) in [(fast, slow), (slow, fast)] {
        agent.hold(&held(first, second));
        for _ in 0..5 {
            let took = [takes(&first_near, &first_far), takes(&here, &there)];
            println!("asked {first:?} and {second:?}, measured {took:?}");
            assert!(took[0] >= first && took[1] >= second, "{took:?}");
            let apart = took[0].max(took[1]) - took[0].min(took[1]);
            assert!(apart > Duration::from_millis(100), "{took:?}");
            assert!(takes(&unshaped, &other) < fast, "what is not shaped is late");
        }
    }
    // One link over both.
    agent.hold(&[link(&[FAR[0], "10.8.0.2"], Way::Out, late(Span(fast)))]);
    for (from, to) in [(&first_near, &first_far), (&here, &there)] {
        // Each still by its own interface: else the far side would not take it for what it is.
        assert!(takes(from, to) >= fast);
    }
    // Of both only one is cut.
    near_cut(&mut agent, fast);
    there.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(!passes(&here, &there));
    assert!(takes(&first_near, &first_far) >= fast);
    // An interface that goes takes nothing else along.
    run(&format!("ip -n {near} link del second"));
    agent.order(Order::Beat).unwrap();
    assert!(takes(&first_near, &first_far) >= fast);
}

/// The second address is cut, and the link of both is shaped on.
fn near_cut(agent: &mut Agent, latency: Duration) {
    let both = link(&[FAR[0], "10.8.0.2"], Way::Out, late(Span(latency)));
    agent.hold(&[link(&["10.8.0.2"], Way::Out, Link::CUT), both]);
}
