//! Whom a node spec means, in one inventory, with one draw and (perhaps) a leader.
//!
//! Pure: same inventory, leader and draw, same answer.

use super::at::{At, Place};
use super::draw::Draw;
use super::nodes::{Nodes, Zone};
use crate::inventory::{Inventory, NodeId};
use crate::quantity::Ratio;

/// A fault that cannot strike whom it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FaultError {
    /// What is wrong: a lower-case fragment with the offending value.
    pub message: String,
    /// What is known, and the remedy.
    pub help: Option<String>,
    /// Where it was written; nowhere if the whole fault is meant.
    pub place: Place,
    /// What was written and what would have been known, where a near name can be suggested.
    pub unknown: Option<(String, Vec<String>)>,
}

impl FaultError {
    /// An error of the fault as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        FaultError { message: message.into(), help: None, place: Place::default(), unknown: None }
    }
    /// With this remedy.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    fn unknown(kind: &str, name: &At<String>, known: Vec<String>) -> Self {
        FaultError {
            place: name.place,
            unknown: Some((name.value.clone(), known)),
            ..FaultError::new(format!("unknown {kind} `{name}`"))
        }
    }
}

/// All that a fault may know when it is decided whom it strikes.
pub struct Scene<'a> {
    /// The nodes that there are.
    pub inventory: &'a Inventory,
    /// Who leads; `None` while planning.
    pub leader: Option<&'a NodeId>,
    /// The zone that the clients stand in; `None`: outside of all, and reaching all.
    pub clients_in: Option<&'a str>,
    /// Its seeded choices.
    pub draw: Draw,
}

impl Scene<'_> {
    /// The nodes of a spec, in the order of their names. Never empty.
    pub fn choose(&mut self, nodes: &Nodes) -> Result<Vec<NodeId>, FaultError> {
        self.choose_among(nodes, &self.inventory.ids().cloned().collect::<Vec<_>>())
    }

    /// Two sides with no node in common: what is drawn (and `all`) comes from what the fixed side leaves.
    pub fn choose_sides(&mut self, sides: &[Nodes; 2]) -> Result<[Vec<NodeId>; 2], FaultError> {
        let everyone: Vec<NodeId> = self.inventory.ids().cloned().collect();
        let swap = !sides[0].is_fixed() && sides[1].is_fixed() || sides[0] == Nodes::All;
        let (first, second) = if swap { (&sides[1], &sides[0]) } else { (&sides[0], &sides[1]) };
        let a = self.choose_among(first, &everyone)?;
        let b = match second.is_fixed() {
            true => self.choose_among(second, &everyone)?,
            false => {
                let rest: Vec<_> = everyone.iter().filter(|n| !a.contains(n)).cloned().collect();
                self.choose_among(second, &rest)?
            }
        };
        if let Some(both) = a.iter().find(|n| b.contains(n)) {
            return Err(FaultError::new(format!("`{both}` stands on both sides"))
                .with_help("the two sides must have no node in common"));
        }
        Ok(if swap { [b, a] } else { [a, b] })
    }

    fn choose_among(&mut self, nodes: &Nodes, pool: &[NodeId]) -> Result<Vec<NodeId>, FaultError> {
        let total = self.inventory.nodes().len();
        let wanted = match nodes {
            Nodes::Names(names) => return self.named(names),
            Nodes::Zone(zone) => return Ok(self.zone(zone)?.1),
            Nodes::Leader => return Ok(vec![self.leader()?.clone()]),
            Nodes::Follower => {
                let followers = self.followers(pool)?;
                return Ok(self.draw.one_of(&followers).cloned().into_iter().collect());
            }
            Nodes::Followers => return self.followers(pool),
            Nodes::One => 1,
            Nodes::Minority => total.saturating_sub(1) / 2,
            Nodes::Majority => total / 2 + 1,
            Nodes::All => pool.len(),
            Nodes::Count(n) => *n as usize,
            Nodes::Percent(part) => share(*part, total),
        };
        if wanted == 0 || pool.len() < wanted {
            let (wanted, left) = (wanted.max(1), pool.len());
            let message =
                format!("cannot choose {nodes}: {wanted} wanted, {left} of {total} there");
            return Err(FaultError::new(message));
        }
        let mut drawn = pool.to_vec();
        self.draw.shuffle(&mut drawn);
        drawn.truncate(wanted);
        drawn.sort();
        Ok(drawn)
    }

    fn named(&self, names: &[At<String>]) -> Result<Vec<NodeId>, FaultError> {
        let mut chosen = vec![];
        for name in names {
            match self.inventory.get(name.as_str()) {
                Some(node) => chosen.push(node.id.clone()),
                None => {
                    let known = self.inventory.ids().map(|n| n.to_string()).collect();
                    return Err(FaultError::unknown("node", name, known));
                }
            }
        }
        chosen.sort();
        chosen.dedup();
        Ok(chosen)
    }

    /// The name and the nodes of a zone. Never empty.
    pub fn zone(&mut self, zone: &Zone) -> Result<(String, Vec<NodeId>), FaultError> {
        let zones: Vec<&str> = self.inventory.zones().into_iter().collect();
        let name = match zone {
            Zone::Named(name) if zones.contains(&name.as_str()) => name.value.clone(),
            Zone::Named(name) => {
                let known = zones.iter().map(|z| z.to_string()).collect();
                return Err(FaultError::unknown("zone", name, known));
            }
            Zone::One => match self.draw.one_of(&zones) {
                Some(zone) => zone.to_string(),
                None => return Err(FaultError::new("there is no zone")),
            },
            Zone::Leader => {
                let leader = self.leader()?;
                match self.inventory.get(leader.as_str()) {
                    Some(node) => node.zone.clone(),
                    None => {
                        return Err(FaultError::new(format!("leader `{leader}` is no known node")));
                    }
                }
            }
        };
        let nodes = self.inventory.in_zone(&name).cloned().collect();
        Ok((name, nodes))
    }

    /// Those of the pool that do not lead. Never empty.
    fn followers(&self, pool: &[NodeId]) -> Result<Vec<NodeId>, FaultError> {
        let leader = self.leader()?;
        let followers: Vec<_> = pool.iter().filter(|n| *n != leader).cloned().collect();
        match followers.is_empty() {
            true => Err(FaultError::new(format!("there are no followers beside `{leader}`"))),
            false => Ok(followers),
        }
    }

    fn leader(&self) -> Result<&NodeId, FaultError> {
        match self.leader {
            Some(leader) if self.inventory.get(leader.as_str()).is_some() => Ok(leader),
            Some(leader) => Err(FaultError::new(format!("leader `{leader}` is no known node"))),
            None => Err(FaultError::new("nobody knows who leads")),
        }
    }
}

fn share(part: Ratio, total: usize) -> usize {
    if part.fraction() == 0.0 {
        0
    } else {
        ((part.fraction() * total as f64).round() as usize).max(1)
    }
}
