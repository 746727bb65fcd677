//! The laws of [`Dns::join`], by properties, and joins that break them, which must be caught; what a pattern is.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

const NAMES: [&str; 6] =
    ["db.example.com", "a.b.example.com", "example.com", "com", "other.net", "notexample.com"];

fn pattern() -> impl Strategy<Value = NamePattern> {
    let texts = ["*", "*.com", "*.example.com", "db.example.com", "other.net", "*.b.example.com"];
    (0..texts.len()).prop_map(move |n| texts[n].parse().unwrap())
}

fn resolution() -> impl Strategy<Value = Resolution> {
    let v4 = (0..3_u8).prop_map(|n| Resolution::Wrong(IpAddr::from([10, 0, 0, n])));
    let v6 = (0..3_u16).prop_map(|n| Resolution::Wrong(IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, n])));
    prop_oneof![v4, v6, Just(Resolution::Error), Just(Resolution::Silence)]
}

fn dns() -> impl Strategy<Value = Dns> {
    prop::collection::btree_map(pattern(), resolution(), 0..4).prop_map(|names| Dns { names })
}

/// Whether `a` is nowhere stronger than `b`, for patterns and for names.
fn within(a: &Dns, b: &Dns) -> bool {
    let pattern = |(pattern, is): (&NamePattern, &Resolution)| Some(is) <= b.names.get(pattern);
    a.names.iter().all(pattern) && NAMES.iter().all(|name| a.resolution(name) <= b.resolution(name))
}

type Join = fn(Dns, Dns) -> Dns;

fn broken_law(join: Join, a: &Dns, b: &Dns, c: &Dns) -> Option<&'static str> {
    let of = |a: &Dns, b: &Dns| join(a.clone(), b.clone());
    let ab = of(a, b);
    match () {
        _ if ab != of(b, a) => Some("commutative"),
        _ if of(&ab, c) != of(a, &of(b, c)) => Some("associative"),
        _ if of(a, a) != *a => Some("idempotent"),
        _ if of(a, &Dns::default()) != *a => Some("default is neutral"),
        _ if !within(a, &ab) || !within(b, &ab) => Some("never weaker than either side"),
        _ => None,
    }
}

fn search(join: Join) -> Result<(), String> {
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, chance);
    let law = |(a, b, c): (Dns, Dns, Dns)| match broken_law(join, &a, &b, &c) {
        None => Ok(()),
        Some(law) => Err(TestCaseError::fail(law)),
    };
    runner.run(&(dns(), dns(), dns()), law).map_err(|error| error.to_string())
}

#[test]
fn join_obeys_its_laws() {
    search(Dns::join).unwrap();
}

#[test]
fn a_join_in_which_the_later_fault_wins_is_caught() {
    fn later_wins(mut a: Dns, b: Dns) -> Dns {
        a.names.extend(b.names);
        a
    }
    assert!(search(later_wins).unwrap_err().contains("commutative"));
}

#[test]
fn a_join_in_which_the_milder_one_wins_is_caught_as_weaker() {
    fn milder_wins(mut a: Dns, b: Dns) -> Dns {
        for (pattern, resolution) in b.names {
            let held = a.names.entry(pattern).or_insert(resolution);
            *held = resolution.min(*held);
        }
        a
    }
    assert!(search(milder_wins).unwrap_err().contains("never weaker"));
}

#[test]
fn a_join_that_forgets_what_only_one_side_suffers_is_caught() {
    fn shared(a: Dns, b: Dns) -> Dns {
        let both = a.clone().join(b.clone()).names.into_iter();
        let names = both
            .filter(|(pattern, _)| a.names.contains_key(pattern) && b.names.contains_key(pattern));
        Dns { names: names.collect() }
    }
    assert!(search(shared).is_err());
}

#[test]
fn a_name_suffers_the_strongest_of_what_it_matches() {
    let wrong = Resolution::Wrong([10, 0, 0, 1].into());
    let of = |all: &[(&str, Resolution)]| Dns {
        names: all.iter().map(|(p, r)| (p.parse().unwrap(), *r)).collect(),
    };
    let dns = of(&[("*", wrong), ("*.example.com", Resolution::Silence)]);
    assert_eq!(dns.resolution("db.example.com"), Some(Resolution::Silence));
    assert_eq!(dns.resolution("example.com"), Some(wrong));
    let dns = of(&[("*", Resolution::Error), ("db.example.com", wrong)]);
    assert_eq!(dns.resolution("db.example.com"), Some(Resolution::Error));
    assert_eq!(Dns::default().resolution("db.example.com"), None);
    assert_eq!(of(&[("*.net", wrong)]).resolution("db.example.com"), None);
}

#[test]
fn a_pattern_matches_what_it_says() {
    for (pattern, name, matches) in [
        ("*", "anything.at.all", true),
        ("*", "", true),
        ("*.example.com", "db.example.com", true),
        ("*.example.com", "a.b.EXAMPLE.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "notexample.com", false),
        ("*.example.com", "db.example.com.org", false),
        ("db.example.com", "DB.example.com", true),
        ("db.example.com", "a.db.example.com", false),
        ("db", "db", true),
        ("*.example.com", "\u{e9}xample.com", false),
    ] {
        let matched = pattern.parse::<NamePattern>().unwrap().matches(name);
        assert_eq!(matched, matches, "{pattern} {name}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_in_words() {
    let long = "a".repeat(LABEL_MAX + 1);
    let longer = ["a".repeat(LABEL_MAX).as_str(); 4].join(".");
    let wrong = ["", ".", "Db.example.com", "db.example.com.", "*.", "*example.com", "a.*.com"];
    let wrong = wrong.into_iter().chain(["*.*", "a..b", "-a", "a-", "a b", "ex\u{e4}mple.com"]);
    for text in wrong.chain([long.as_str(), longer.as_str()]) {
        let error = text.parse::<NamePattern>().unwrap_err().to_string();
        assert!(error.contains(&format!("`{text}` is no pattern of names: write `*`")), "{error}");
    }
    let right = ["*", "db", "*.example.com", "_etcd._tcp.example.com", "xn--exmple-cua.com", "1.2"];
    for text in right {
        assert_eq!(text.parse::<NamePattern>().unwrap().to_string(), text);
    }
}

#[test]
fn it_reads_back_as_it_was_written() {
    let text = r#"{"names":{"*":"error","*.example.com":"silence","db":{"wrong":"10.0.0.1"}}}"#;
    let dns: Dns = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&dns).unwrap(), text);
    let error = serde_json::from_str::<Dns>(r#"{"names":{"DB":"error"}}"#).unwrap_err();
    assert!(error.to_string().contains("`DB` is no pattern of names"), "{error}");
    assert_eq!(serde_json::from_str::<Dns>("{}").unwrap(), Dns::default());
}
