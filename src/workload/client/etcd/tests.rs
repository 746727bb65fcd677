//! Who leads, from what the members say. What needs a real etcd is in `tests/etcd_client.rs`.

use super::*;
use crate::inventory::{Inventory, Node};

fn nodes() -> Vec<NodeId> {
    ["n1", "n2", "n3"].map(NodeId::new).to_vec()
}

/// What a member says: its own id, and its leader's.
fn says(own: &str, leader: Option<&str>) -> Option<(String, Option<String>)> {
    Some((own.to_string(), leader.map(str::to_string)))
}

#[test]
fn the_leader_is_whom_most_of_the_members_that_answer_follow() {
    let all = [says("a", Some("b")), says("b", Some("b")), says("c", Some("b"))];
    assert_eq!(elect(&nodes(), &all), Some("n2".into()));
    let one_is_down = [None, says("b", Some("c")), says("c", Some("c"))];
    assert_eq!(elect(&nodes(), &one_is_down), Some("n3".into()));
}

#[test]
fn an_old_leader_that_only_it_believes_in_does_not_lead() {
    let split = [says("a", Some("a")), says("b", Some("b")), says("c", Some("b"))];
    assert_eq!(elect(&nodes(), &split), Some("n2".into()));
}

#[test]
fn nobody_leads_without_a_majority_or_without_an_answer() {
    assert_eq!(elect(&nodes(), &[None, None, None]), None);
    assert_eq!(elect(&nodes(), &[says("a", None), says("b", None), says("c", Some("c"))]), None);
    let leader_is_unreachable = [says("a", Some("c")), says("b", Some("c")), None];
    assert_eq!(elect(&nodes(), &leader_is_unreachable), None);
}

#[test]
fn a_node_without_a_client_address_is_named_with_what_it_has() {
    let node = Node {
        id: "n1".into(),
        zone: "a".into(),
        endpoints: [("peer".to_string(), "127.0.0.1:1".to_string())].into(),
    };
    let inventory = Inventory::new(vec![node]);
    let made = Etcd::new(&(&inventory).into(), Model::Register, 1, Duration::from_secs(1), "run");
    let said = made.err().map(|e| e.to_string());
    let expected = "client `etcd`: node n1 has no endpoint `client` (it has: peer)";
    assert_eq!(said.as_deref(), Some(expected));
}
