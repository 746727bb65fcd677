//! Who leads, and which errors are definite. What needs a real Redis is in `tests/redis_client.rs`.

use ::redis::{ErrorKind, RedisError};

use super::objects::refused;
use super::primary::{Role, majority, most_followed};
use super::*;
use crate::inventory::{Inventory, Node};

fn names(named: &[&str]) -> Vec<String> {
    named.iter().map(ToString::to_string).collect()
}

#[test]
fn the_primary_is_whom_most_sentinels_name() {
    assert_eq!(majority(&names(&["a", "b", "b"])), Some("b"));
    assert_eq!(majority(&names(&["a"])), Some("a"));
    assert_eq!(majority(&names(&["a", "b"])), None);
    assert_eq!(majority(&[]), None);
}

#[test]
fn of_two_primaries_the_one_that_is_followed_leads() {
    let primary = |name: &str, replicas| (NodeId::new(name), Role::Primary(replicas));
    let replica = (NodeId::new("n3"), Role::Replica);
    let led = |roles: &[_]| most_followed(roles).map(|node| node.to_string());
    assert_eq!(led(&[primary("n1", 0), primary("n2", 1), replica.clone()]), Some("n2".into()));
    assert_eq!(led(&[primary("n1", 0), replica.clone()]), Some("n1".into()));
    assert_eq!(led(&[primary("n1", 1), primary("n2", 1)]), None);
    assert_eq!(led(&[replica]), None);
}

#[test]
fn only_what_the_server_refused_before_it_ran_is_definite() {
    let error = |code: &str| ::redis::make_extension_error(code.into(), Some("why".into()));
    for code in ["READONLY", "LOADING", "NOREPLICAS", "MASTERDOWN", "OOM"] {
        assert!(refused(&error(code)), "{code}");
    }
    for code in ["ERR", "UNBLOCKED", "PROXYERR"] {
        assert!(!refused(&error(code)), "{code}");
    }
    assert!(!refused(&RedisError::from((ErrorKind::Io, "broken pipe"))));
}

#[test]
fn a_node_without_any_address_of_redis_is_named_with_what_it_has() {
    let node = |endpoint: &str| Node {
        id: "n1".into(),
        zone: "a".into(),
        endpoints: [(endpoint.to_string(), "127.0.0.1:1".to_string())].into(),
    };
    let options = Options { master: "mymaster".into(), username: None, password: None };
    let made = |endpoint| {
        let inventory = Inventory::new(vec![node(endpoint)]);
        let made = Redis::new(&(&inventory).into(), options.clone(), Duration::from_secs(1), "run");
        made.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let expected =
        "client `redis`: node n1 has no endpoint `client`, and none `sentinel` (it has: peer)";
    assert_eq!(made("peer"), expected);
    let expected = "client `redis`: no node has an endpoint `client`: there is no server to ask";
    assert_eq!(made("sentinel"), expected);
    assert_eq!(made("client"), "");
}
