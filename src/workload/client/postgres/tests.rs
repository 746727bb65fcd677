//! Who leads, and which errors are definite. What needs a real PostgreSQL is in `tests/postgres_client.rs`.

use tokio_postgres::error::SqlState;

use super::session::undone;
use super::*;
use crate::inventory::{Inventory, Node};

#[test]
fn the_primary_of_the_newest_timeline_leads() {
    let led = |all: &[(u32, &str)]| {
        newest(all.iter().map(|(timeline, name)| (*timeline, NodeId::new(name))).collect())
    };
    assert_eq!(led(&[(1, "n1"), (2, "n3")]), Some("n3".into()));
    assert_eq!(led(&[(2, "n1"), (1, "n3")]), Some("n1".into()));
    assert_eq!(led(&[(1, "n1")]), Some("n1".into()));
    assert_eq!(led(&[(1, "n1"), (1, "n2")]), None);
    assert_eq!(led(&[]), None);
}

#[test]
fn only_an_error_after_which_the_transaction_is_undone_is_definite() {
    for code in ["25006", "40001", "40P01", "23505", "42P01", "53100", "57014"] {
        assert!(undone(&SqlState::from_code(code)), "{code}");
    }
    for code in ["57P01", "57P02", "57P03", "08006", "40003", "XX000", "58030"] {
        assert!(!undone(&SqlState::from_code(code)), "{code}");
    }
}

#[test]
fn a_node_without_a_client_address_is_named_with_what_it_has() {
    let made = |name: &str, address: &str| {
        let endpoints = [(name.to_string(), address.to_string())].into();
        let node = Node { id: "n1".into(), zone: "a".into(), endpoints };
        let login = Login { user: "u".into(), password: None, database: "d".into() };
        let inventory = Inventory::new(vec![node]);
        let second = Duration::from_secs(1);
        let made = Postgres::new(&(&inventory).into(), login, Model::Register, 1, second, "run");
        made.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let expected = "client `postgres`: node n1 has no endpoint `client` (it has: peer)";
    assert_eq!(made("peer", "127.0.0.1:1"), expected);
    let expected = "client `postgres`: node n1: its endpoint `nonsense` is not host:port";
    assert_eq!(made("client", "nonsense"), expected);
}
