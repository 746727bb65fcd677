//! What look-ups suffer, and that nobody else's do.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use firedrill::agent::beside::protocol::{Done, LookUp, Order};
use firedrill::condition::{Dns, Resolution};
use rustix::process::Signal;

use crate::lab::*;
use crate::names::*;

/// Docker's resolver, as a process sees it.
const EMBEDDED: &str = "127.0.0.11";
/// Where it listens in truth.
const EMBEDDED_PORT: u16 = 41_153;

/// Docker's rules for it, in short.
const EMBEDDED_RULES: &str = "table ip nat {
    chain output {
        type nat hook output priority -100;
        ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:41153
        ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:41153
    }
    chain postrouting {
        type nat hook postrouting priority 100;
        ip saddr 127.0.0.11 udp sport 41153 snat to :53
        ip saddr 127.0.0.11 tcp sport 41153 snat to :53
    }
}";

const ALL: [&str; 4] = [FAR[0], FAR[1], "127.0.0.1", EMBEDDED];
const WRONG: &str = "10.66.66.66";

fn dns(names: &[(&str, Resolution)]) -> Dns {
    let names = names.iter().map(|(pattern, is)| (pattern.parse().unwrap(), *is));
    Dns { names: names.collect() }
}

fn wrong(address: &str) -> Resolution {
    Resolution::Wrong(address.parse().unwrap())
}

/// All of the lab's resolvers; what `nft` lists then.
fn resolvers(lab: &Lab) -> ([Resolver; 4], String) {
    lab.resolv_conf(&ALL.map(|address| format!("nameserver {address}\n")).concat());
    let all = [
        Resolver::at(lab, &lab.far, FAR[0], 53),
        Resolver::at(lab, &lab.far, FAR[1], 53),
        Resolver::at(lab, &lab.near, "127.0.0.1", 53),
        Resolver::at(lab, &lab.near, EMBEDDED, EMBEDDED_PORT),
    ];
    lab.nft(EMBEDDED_RULES);
    let rules = lab.rules();
    (all, rules)
}

fn resolve(agent: &mut Agent, names: &[(&str, Resolution)]) {
    assert_eq!(agent.order(Order::Resolve(dns(names))), Ok(Done::Held));
}

fn look_up(agent: &mut Agent, name: &str, wait: Duration) -> LookUp {
    match agent.order(Order::LookUp { name: name.into(), wait }) {
        Ok(Done::LookedUp { how, .. }) => how,
        other => panic!("{other:?}"),
    }
}

fn found(addresses: &[&str]) -> LookUp {
    LookUp::Found(addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect())
}

/// Waits until the rules are these.
fn assert_rules_at_last(lab: &Lab, rules: &str) {
    let until = Instant::now() + PATIENCE;
    // The table stays with its chains, which are empty.
    while lab.rules_of_questions().contains("53") {
        assert!(Instant::now() < until, "{}", lab.rules_of_questions());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(run(&format!("ip netns exec {} nft list table ip nat", lab.near)), rules);
}

#[test]
fn names_suffer_by_pattern_at_every_resolver_and_others_resolve_as_before() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, rules) = resolvers(&lab);
    let mut agent = lab.agent();
    for address in ALL {
        let asker = Asker::of(&lab, address);
        let heal = |agent: &mut Agent| {
            resolve(agent, &[]);
            assert_eq!(asker.udp("db.example.com", A), truth(), "{address}");
            assert_eq!(asker.tcp("db.example.com", A), truth(), "{address}");
        };
        let others = || {
            assert_eq!(asker.udp("example.com", A), truth(), "{address}");
            assert_eq!(asker.tcp("example.com", A), truth(), "{address}");
            assert_eq!(asker.udp("missing.net", A), Came::Code(NXDOMAIN), "{address}");
            assert_eq!(asker.udp("example.com", AAAA), Came::Address(TRUE_V6.into()));
        };
        heal(&mut agent);
        resolve(&mut agent, &[("*.example.com", Resolution::Error)]);
        assert_eq!(asker.udp("db.example.com", A), Came::Code(SERVFAIL), "{address}");
        assert_eq!(asker.udp("a.b.Example.COM", AAAA), Came::Code(SERVFAIL), "{address}");
        assert_eq!(asker.tcp("db.example.com", A), Came::Code(SERVFAIL), "{address}");
        others();
        heal(&mut agent);
        resolve(&mut agent, &[("db.example.com", wrong(WRONG))]);
        for ask in [Asker::udp, Asker::tcp] {
            assert_eq!(ask(&asker, "db.example.com", A), Came::Address(WRONG.into()), "{address}");
            assert_eq!(ask(&asker, "db.example.com", AAAA), Came::NoData, "{address}");
            assert_eq!(ask(&asker, "db.example.com", HTTPS), Came::NoData, "{address}");
            assert_eq!(ask(&asker, "a.db.example.com", A), truth(), "{address}");
        }
        others();
        resolve(&mut agent, &[("db.example.com", wrong("fd66::6"))]);
        assert_eq!(asker.udp("db.example.com", A), Came::NoData, "{address}");
        let came = asker.tcp("db.example.com", AAAA);
        assert_eq!(came, Came::Address("fd66::6".into()), "{address}");
        resolve(&mut agent, &[("db.example.com", Resolution::Silence)]);
        asker.assert_silent("db.example.com");
        others();
        heal(&mut agent);
        resolve(&mut agent, &[("*", Resolution::Silence), ("example.com", wrong(WRONG))]);
        asker.assert_silent("db.example.com");
        asker.assert_silent("example.com");
        heal(&mut agent);
    }
    assert_rules_at_last(&lab, &rules);
}

#[test]
fn a_socket_that_is_used_again_is_struck_while_it_is_held_and_free_at_once_after() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    let mut agent = lab.agent();
    for address in ALL {
        // One socket throughout: its connection is tracked, and translated for Docker's resolver.
        let asker = Asker::of(&lab, address);
        for _ in 0..3 {
            assert_eq!(asker.udp("db.example.com", A), truth(), "{address}");
            resolve(&mut agent, &[("*", Resolution::Error)]);
            assert_eq!(asker.udp("db.example.com", A), Came::Code(SERVFAIL), "{address}");
            resolve(&mut agent, &[]);
        }
        assert_eq!(asker.udp("db.example.com", A), truth(), "{address}");
    }
}

#[test]
fn however_the_agent_ends_the_true_answers_are_back_at_once() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, rules) = resolvers(&lab);
    for signal in [Signal::KILL, Signal::TERM] {
        let mut agent = lab.agent();
        let askers = ALL.map(|address| Asker::of(&lab, address));
        resolve(&mut agent, &[("*", wrong(WRONG))]);
        for asker in &askers {
            assert_eq!(asker.udp("db.example.com", A), Came::Address(WRONG.into()));
            assert_eq!(asker.tcp("db.example.com", A), Came::Address(WRONG.into()));
        }
        agent.signal(signal);
        agent.wait();
        assert_eq!(lab.rules(), rules);
        for asker in &askers {
            assert_eq!(asker.udp("db.example.com", A), truth());
            assert_eq!(asker.tcp("db.example.com", A), truth());
        }
    }
}

#[test]
fn a_device_that_computes_no_checksums_gets_right_ones() {
    let Some(lab) = Lab::new() else { return };
    let near = &lab.near;
    if !std::path::Path::new("/dev/net/tun").exists() {
        println!("skipped: no /dev/net/tun");
        return;
    }
    run(&format!("ip -n {near} tuntap add dev bare mode tun"));
    run(&format!("ip -n {near} link set bare up"));
    run(&format!("ip -n {near} addr add 10.7.0.1/24 dev bare"));
    run(&format!("ip -n {near} addr add fd07::1/64 dev bare nodad"));
    lab.resolv_conf("nameserver 10.7.0.2\nnameserver fd07::2\n");
    let mut agent = lab.agent();
    resolve(&mut agent, &[("*", Resolution::Error)]);
    for address in ["10.7.0.2", "fd07::2"] {
        let asker = Asker::of(&lab, address);
        assert_eq!(asker.udp("db.example.com", A), Came::Code(SERVFAIL), "{address}");
        assert_eq!(asker.tcp("db.example.com", A), Came::Code(SERVFAIL), "{address}");
    }
}

#[test]
fn a_connection_goes_on_past_a_question_that_is_not_answered_and_ends_with_the_heal() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    let mut agent = lab.agent();
    for address in ALL {
        let asker = Asker::of(&lab, address);
        let mut before = asker.connect();
        assert_eq!(converse_once(&mut before, "db.example.com", A), truth());
        resolve(&mut agent, &[("*.example.com", Resolution::Silence)]);
        let mut stream = asker.connect();
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        assert_eq!(converse_once(&mut stream, "db.example.com", A), Came::Nothing, "{address}");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(converse_once(&mut stream, "one.net", A), truth(), "{address}");
        // Several at once, and in their order.
        for name in ["slow.one.net", "db.example.com", "two.net", "missing.net"] {
            say(&mut stream, &question(name.len() as u16, name, A)).unwrap();
        }
        for name in ["slow.one.net", "two.net", "missing.net"] {
            let answer = hear(&mut stream).unwrap();
            assert_eq!(answer[..2], (name.len() as u16).to_be_bytes(), "{address} {name}");
        }
        // A connection to the resolver itself, from before, is no way around.
        let _ = say(&mut before, &question(1, "db.example.com", A));
        assert!(hear(&mut before).is_err(), "{address}");
        resolve(&mut agent, &[]);
        // By the agent, or by the resolver, to whom the near side's acknowledgements go again.
        let end = uninterrupted(|| stream.read(&mut [0; 8])).or_else(|why| match why.kind() {
            ErrorKind::ConnectionReset => Ok(0),
            _ => Err(why),
        });
        assert!(matches!(end, Ok(0)), "{address} {end:?}");
        assert_eq!(asker.tcp("db.example.com", A), truth(), "{address}");
    }
}

#[test]
fn what_was_under_way_at_the_heal_is_answered() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, rules) = resolvers(&lab);
    let mut agent = lab.agent();
    for address in ALL {
        let asker = Asker::of(&lab, address);
        resolve(&mut agent, &[("*.example.com", Resolution::Silence)]);
        let mut stream = asker.connect();
        say(&mut stream, &question(9, "slow.net", A)).unwrap();
        let came = std::thread::scope(|scope| {
            let came = scope.spawn(|| asker.udp("slow.net", A));
            std::thread::sleep(SLOW / 4);
            resolve(&mut agent, &[]);
            came.join().unwrap()
        });
        assert_eq!(came, truth(), "{address}");
        assert_eq!(hear(&mut stream).unwrap()[..2], [0, 9], "{address}");
    }
    assert_rules_at_last(&lab, &rules);
}

#[test]
fn what_is_no_question_is_handed_on_as_it_is() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    let mut agent = lab.agent();
    resolve(&mut agent, &[("*", Resolution::Silence)]);
    for address in ALL {
        let asker = Asker::of(&lab, address);
        for bytes in [&b"x"[..], b"no message of DNS's, surely", &[7; 12], &[0xff; 1400]] {
            assert_eq!(asker.raw(bytes), bytes, "{address}");
        }
        let mut stream = asker.connect();
        for bytes in [&b""[..], b"x", &[0xff; 60_000]] {
            say(&mut stream, bytes).unwrap();
            assert_eq!(hear(&mut stream).unwrap(), bytes, "{address}");
        }
    }
}

#[test]
fn a_resolver_that_is_silent_itself_keeps_nobody_else_waiting() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    let mut agent = lab.agent();
    resolve(&mut agent, &[("*.example.com", Resolution::Error)]);
    let asker = Asker::of(&lab, FAR[0]);
    // More than are held on to; some are lost on their way to the agent, too.
    for _ in 0..5 {
        (0..300).for_each(|_| asker.ask("mute.net"));
        assert_eq!(agent.order(Order::Beat), Ok(Done::Beaten));
        let until = Instant::now() + PATIENCE;
        while asker.within(SILENCE, "db.example.com", A) != Came::Code(SERVFAIL) {
            assert!(Instant::now() < until);
        }
    }
    // Those that wait are given up for those that come; what a full socket lost is asked again, as resolvers do.
    let until = Instant::now() + PATIENCE;
    while asker.within(SILENCE, "one.net", A) != truth() {
        assert!(Instant::now() < until);
    }
    // A held connection keeps the heal waiting no more than a question does.
    let mut stream = asker.connect();
    say(&mut stream, &question(1, "mute.net", A)).unwrap();
    resolve(&mut agent, &[]);
    assert_eq!(asker.udp("db.example.com", A), truth());
}

#[test]
fn the_agent_looks_up_what_a_process_would() {
    let Some(lab) = Lab::new() else { return };
    let _far = FAR.map(|address| Resolver::at(&lab, &lab.far, address, 53));
    let server = format!("nameserver {}\n", FAR[0]);
    lab.resolv_conf(&server);
    let mut agent = lab.agent();
    let both = found(&[TRUE_V4, TRUE_V6]);
    assert_eq!(look_up(&mut agent, "db.example.com", PATIENCE), both);
    assert_eq!(look_up(&mut agent, "big.example.com", PATIENCE), both);
    assert_eq!(look_up(&mut agent, "missing.example.com", PATIENCE), LookUp::Refused(NXDOMAIN));
    assert_eq!(look_up(&mut agent, "mute.example.com", SILENCE), LookUp::Silent);
    resolve(&mut agent, &[("db.example.com", Resolution::Error), ("dark", Resolution::Silence)]);
    assert_eq!(look_up(&mut agent, "db.example.com", PATIENCE), LookUp::Refused(SERVFAIL));
    assert_eq!(look_up(&mut agent, "dark.", SILENCE), LookUp::Silent);
    assert_eq!(look_up(&mut agent, "light.", PATIENCE), both);
    resolve(&mut agent, &[("db.example.com", wrong(WRONG))]);
    assert_eq!(look_up(&mut agent, "db.example.com", PATIENCE), found(&[WRONG]));
    // A short name is looked for in the search list, a full one is not.
    lab.resolv_conf(&format!("{server}search missing.net example.com\n"));
    assert_eq!(look_up(&mut agent, "missing", PATIENCE), LookUp::Refused(NXDOMAIN));
    assert_eq!(look_up(&mut agent, "db", PATIENCE), both);
    lab.resolv_conf(&format!("{server}search example.com\n"));
    assert_eq!(look_up(&mut agent, "db", PATIENCE), found(&[WRONG]));
    assert_eq!(look_up(&mut agent, "db.", PATIENCE), both);
    // The next resolver is asked when the first one fails.
    lab.resolv_conf(&format!("nameserver {OTHER}\n{server}"));
    assert_eq!(look_up(&mut agent, "light", PATIENCE), both);
    lab.resolv_conf(&format!("nameserver {OTHER}\n"));
    let came = look_up(&mut agent, "light", PATIENCE);
    assert!(matches!(&came, LookUp::Unreachable(why) if why.contains("refused")), "{came:?}");
    let order = Order::LookUp { name: "a..b".into(), wait: PATIENCE };
    let error = agent.order(order).unwrap_err();
    assert!(error.contains("`a..b` is no name"), "{error}");
}

#[test]
fn a_look_up_that_waits_keeps_no_order_waiting() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    let mut agent = lab.agent();
    resolve(&mut agent, &[("*", Resolution::Silence)]);
    let line = r#"{"id":99,"order":{"look-up":{"name":"db","wait":{"secs":2,"nanos":0}}}}"#;
    agent.write(line);
    for _ in 0..3 {
        // Each answer has the order's own number: the look-up's is not among them.
        assert_eq!(agent.order(Order::Beat), Ok(Done::Beaten));
    }
    let answer = agent.read();
    assert_eq!(answer.id, 99);
    let silent = matches!(answer.result, Ok(Done::LookedUp { how: LookUp::Silent, took }) if took >= 2_000_000_000);
    assert!(silent, "{answer:?}");
}

#[test]
fn real_clients_are_struck_and_healed() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    // With the time-outs of before, a silent resolver is waited for a second.
    lab.resolv_conf(&format!("nameserver {EMBEDDED}\noptions timeout:1 attempts:1\n"));
    let mut agent = lab.agent();
    let getent = |name: &str| {
        let mut command = Command::new("ip");
        let output = command.args(["netns", "exec", &lab.near, "getent", "ahostsv4", name]);
        let output = String::from_utf8(output.output().unwrap().stdout).unwrap();
        output.split_whitespace().next().map(str::to_string)
    };
    for name in ["db.example.com", "light.net"] {
        assert_eq!(getent(name).as_deref(), Some(TRUE_V4));
    }
    for (is, comes) in
        [(Resolution::Error, None), (wrong(WRONG), Some(WRONG)), (Resolution::Silence, None)]
    {
        resolve(&mut agent, &[("*.example.com", is)]);
        assert_eq!(getent("db.example.com").as_deref(), comes, "{is:?}");
        assert_eq!(getent("light.net").as_deref(), Some(TRUE_V4), "{is:?}");
        resolve(&mut agent, &[]);
        assert_eq!(getent("db.example.com").as_deref(), Some(TRUE_V4), "{is:?}");
    }
}

#[test]
fn what_links_suffer_and_what_look_ups_suffer_leave_each_other_alone() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    let mut agent = lab.agent();
    let asker = Asker::of(&lab, FAR[0]);
    resolve(&mut agent, &[("*.example.com", wrong(WRONG))]);
    agent.hold(&cut());
    assert_eq!(asker.udp("db.example.com", A), Came::Address(WRONG.into()));
    asker.assert_silent("light.net");
    resolve(&mut agent, &[]);
    asker.assert_silent("db.example.com");
    resolve(&mut agent, &[("*.example.com", Resolution::Error)]);
    agent.hold(&[]);
    assert_eq!(asker.udp("db.example.com", A), Came::Code(SERVFAIL));
    assert_eq!(asker.udp("light.net", A), truth());
}

#[test]
fn resolvers_that_change_are_followed_with_the_next_order() {
    let Some(lab) = Lab::new() else { return };
    let (_resolvers, _) = resolvers(&lab);
    lab.resolv_conf(&format!("nameserver {}\n", FAR[0]));
    let mut agent = lab.agent();
    let [one, other] = FAR.map(|address| Asker::of(&lab, address));
    let held = [("*", Resolution::Error)];
    resolve(&mut agent, &held);
    assert_eq!(one.udp("db.net", A), Came::Code(SERVFAIL));
    assert_eq!(other.udp("db.net", A), truth());
    lab.resolv_conf(&format!("nameserver {}\n", FAR[1]));
    resolve(&mut agent, &held);
    assert_eq!(one.udp("db.net", A), truth());
    assert_eq!(other.udp("db.net", A), Came::Code(SERVFAIL));
    // What cannot be held is refused, and what was held is held on.
    lab.resolv_conf("nameserver fe80::1%wire\n");
    let error = agent.order(Order::Resolve(dns(&[("*", Resolution::Silence)]))).unwrap_err();
    assert!(error.contains("nameserver fe80::1%wire"), "{error}");
    assert_eq!(other.udp("db.net", A), Came::Code(SERVFAIL));
    resolve(&mut agent, &[]);
    assert_eq!(other.udp("db.net", A), truth());
}
