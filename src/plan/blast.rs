//! The blast radius: how much may be struck at once, over the planned intervals, in the worst case of what
//! is only known later.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::inventory::{Inventory, NodeId};
use crate::scenario::BlastRadius;

/// What one fault may strike, and when.
#[derive(Debug, Clone)]
pub struct Footprint {
    /// When it begins.
    pub at: Duration,
    /// When it ends.
    pub end: Duration,
    /// Whom it may strike: one set if that is known, else one for each that could lead.
    pub victims: Vec<BTreeSet<NodeId>>,
    /// In words.
    pub what: String,
}

/// More than is allowed, at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// When.
    pub at: Duration,
    /// How much, how much is allowed, and by which faults.
    pub message: String,
}

/// No more combinations of leaders than this are tried; beyond, each fault's worst is added up.
const COMBINATIONS_MAX: usize = 256;

/// The first instant within `new` at which it and the faults before it strike more than is allowed.
pub fn excess(
    new: &Footprint,
    before: &[Footprint],
    limits: &BlastRadius,
    inventory: &Inventory,
) -> Option<Excess> {
    if limits.nodes.is_none() && limits.zones.is_none() {
        return None;
    }
    let overlapping: Vec<&Footprint> =
        before.iter().filter(|other| other.at < new.end && new.at < other.end).collect();
    let mut instants: BTreeSet<Duration> = overlapping.iter().map(|other| other.at).collect();
    instants.retain(|at| *at > new.at);
    instants.insert(new.at);
    instants.into_iter().find_map(|at| {
        let mut active: Vec<&Footprint> =
            overlapping.iter().copied().filter(|other| other.at <= at && at < other.end).collect();
        active.push(new);
        let (nodes, zones) = worst(&active, inventory);
        let over = |kind: &str, count: usize, limit: Option<u32>| {
            let limit = limit.filter(|limit| count > *limit as usize)?;
            let faults: Vec<&str> = active.iter().map(|fault| fault.what.as_str()).collect();
            let message = format!(
                "{count} {kind} could be struck at once at {}, the blast radius allows {limit}: {}",
                humantime::format_duration(at),
                faults.join("; ")
            );
            Some(Excess { at, message })
        };
        over("nodes", nodes, limits.nodes).or_else(|| over("whole zones", zones, limits.zones))
    })
}

/// The most nodes, and the most whole zones, that these may strike together.
fn worst(active: &[&Footprint], inventory: &Inventory) -> (usize, usize) {
    let combinations = active
        .iter()
        .try_fold(1_usize, |product, fault| product.checked_mul(fault.victims.len()))
        .unwrap_or(usize::MAX);
    if combinations <= COMBINATIONS_MAX {
        let (known, late): (Vec<&Footprint>, Vec<&Footprint>) =
            active.iter().copied().partition(|f| f.victims.len() == 1);
        let struck = known.iter().flat_map(|fault| &fault.victims).flatten().cloned().collect();
        return worst_of(&late, &struck, inventory);
    }
    let most = |count: &dyn Fn(&BTreeSet<NodeId>) -> usize| -> usize {
        active.iter().map(|f| f.victims.iter().map(count).max().unwrap_or(0)).sum()
    };
    // Nodes of several faults may together make up a zone that none of them strikes whole.
    let nodes = most(&|victims| victims.len()).min(inventory.nodes().len());
    let zones = most(&|victims| touched_zones(victims, inventory)).min(inventory.zones().len());
    (nodes, zones)
}

fn worst_of(
    active: &[&Footprint],
    struck: &BTreeSet<NodeId>,
    inventory: &Inventory,
) -> (usize, usize) {
    let Some((first, rest)) = active.split_first() else {
        return (struck.len(), whole_zones(struck, inventory));
    };
    let each = first.victims.iter().map(|victims| {
        let union: BTreeSet<NodeId> = struck.union(victims).cloned().collect();
        worst_of(rest, &union, inventory)
    });
    each.fold((0, 0), |(nodes, zones), (n, z)| (nodes.max(n), zones.max(z)))
}

fn whole_zones(struck: &BTreeSet<NodeId>, inventory: &Inventory) -> usize {
    let whole = |zone: &&str| inventory.in_zone(zone).all(|node| struck.contains(node));
    inventory.zones().iter().filter(|zone| whole(zone)).count()
}

fn touched_zones(struck: &BTreeSet<NodeId>, inventory: &Inventory) -> usize {
    let touched = |zone: &&str| inventory.in_zone(zone).any(|node| struck.contains(node));
    inventory.zones().iter().filter(|zone| touched(zone)).count()
}
