//! Clients that stand in a zone suffer with it: toward each node outside of it, what all the zone's own nodes
//! suffer. So a datacenter that is cut off takes its clients with it, and one node's own trouble does not.

use std::collections::BTreeMap;

use super::Effect;
use crate::condition::{Condition, Links, Peer};
use crate::inventory::{Inventory, NodeId};

/// Adds what the clients suffer to an effect.
pub(super) fn suffer_with(zone: &str, inventory: &Inventory, effect: &mut Effect) {
    let hosts: Vec<&NodeId> = inventory.in_zone(zone).collect();
    for node in inventory.nodes().iter().filter(|node| node.zone != zone) {
        // As the node itself has it: what it gets from its peers, and what it sends to them.
        let Some(links) = effect.conditions.get(&node.id).map(|c| &c.links) else { continue };
        let links = Links {
            from: common(&hosts, &links.from),
            to: common(&hosts, &links.to),
            ports_from: common(&hosts, &links.ports_from),
            ports_to: common(&hosts, &links.ports_to),
        };
        let add = Condition { links, ..Condition::default() };
        let held = effect.conditions.remove(&node.id).unwrap_or_default();
        effect.conditions.insert(node.id.clone(), held.join(add));
    }
}

/// What the link with the clients suffers, if all of these hosts suffer the same.
fn common<T: Clone + PartialEq>(hosts: &[&NodeId], links: &BTreeMap<Peer, T>) -> BTreeMap<Peer, T> {
    let mut suffered = hosts.iter().map(|host| links.get(&Peer::Node((*host).clone())));
    match suffered.next().flatten() {
        Some(first) if suffered.all(|other| other == Some(first)) => {
            BTreeMap::from([(Peer::Clients, first.clone())])
        }
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Draw, Scene, Spec};
    use super::*;
    use crate::condition::Link;
    use crate::inventory::Node;

    /// Whom the clients cannot reach, standing in dc1 of n1, n2 (dc1), n3 (dc2), n4 (dc3).
    fn unreachable(fault: &str) -> Vec<String> {
        let node = |(id, zone): (&str, &str)| Node {
            id: id.into(),
            zone: zone.into(),
            endpoints: Default::default(),
        };
        let nodes = [("n1", "dc1"), ("n2", "dc1"), ("n3", "dc2"), ("n4", "dc3")].map(node);
        let inventory = Inventory::new(nodes.into());
        let draw = Draw::new(1, "test");
        let mut scene =
            Scene { inventory: &inventory, leader: None, clients_in: Some("dc1"), draw };
        let spec: Spec = serde_json::from_str(fault).unwrap();
        let effect = spec.effect(&mut scene).unwrap();
        let cut = effect.conditions.iter().filter(|(_, condition)| {
            let Links { from, to, .. } = &condition.links;
            let cut = [from, to].map(|way| way.get(&Peer::Clients) == Some(&Link::CUT));
            assert_eq!(cut[0], cut[1], "both ways or none");
            cut[0]
        });
        cut.map(|(node, _)| node.to_string()).collect()
    }

    #[test]
    fn a_datacenter_that_is_cut_off_takes_its_clients_with_it() {
        assert_eq!(unreachable(r#"{"datacenter-partition": {"zone": "dc1"}}"#), ["n3", "n4"]);
        let lost = r#"{"datacenter-loss": {"zone": "dc1", "how": "cut"}}"#;
        assert_eq!(unreachable(lost), ["n3", "n4"]);
    }

    #[test]
    fn another_datacenter_that_is_cut_off_is_out_of_the_clients_reach() {
        assert_eq!(unreachable(r#"{"datacenter-partition": {"zone": "dc2"}}"#), ["n3"]);
        assert_eq!(unreachable(r#"{"partition": {"zones": ["dc1", "dc3"]}}"#), ["n4"]);
        assert_eq!(unreachable(r#"{"partition": {"zones": ["dc2", "dc3"]}}"#), [""; 0]);
    }

    #[test]
    fn a_single_node_of_their_zone_that_is_cut_off_is_not_the_clients_trouble() {
        assert_eq!(unreachable(r#"{"partition": {"isolate": ["n1"]}}"#), [""; 0]);
    }
}
