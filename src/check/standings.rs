//! How the members stood in the course of a drill, as the record has it: for each member what was found, when that
//! changed. Between two changes a member stood at each ask as the first of them says.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{NodeEventKind, Record, Standing, Time};
use crate::inventory::NodeId;

/// What was found of a member.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// When it was found.
    pub at: Time,
    /// When it was asked before: the change is not older.
    pub after: Time,
    /// What it was found to be.
    pub standing: &'a Standing,
}

/// How a member stood at the end of an interval.
#[derive(Debug, Clone)]
pub enum Course<'a> {
    /// Full from this instant on; the figure may be too late by so much.
    Full {
        /// The interval's beginning, where it was never anything else.
        at: Time,
        /// The change came no earlier than this before.
        resolution: Duration,
        /// What it was last before, within the interval.
        before: Option<Found<'a>>,
    },
    /// Not full.
    Wanting {
        /// Since when it was not.
        since: Time,
        /// What it said last.
        said: &'a Standing,
    },
    /// Nobody can tell: why.
    Untold(&'a str),
}

/// What was found of all members.
#[derive(Debug)]
pub struct Standings<'a> {
    members: BTreeMap<&'a NodeId, Vec<Found<'a>>>,
    /// When the last answer came.
    pub until: Time,
    /// The time from one ask to the answers to the next.
    pub spacing: Duration,
}

impl<'a> Standings<'a> {
    /// `None`: no member was ever asked.
    pub fn of(record: &'a Record) -> Option<Standings<'a>> {
        let mut members: BTreeMap<&NodeId, Vec<Found>> = BTreeMap::new();
        for event in &record.nodes {
            if let NodeEventKind::Stands { standing, after } = &event.kind {
                let found = Found { at: event.at, after: *after, standing };
                members.entry(&event.node).or_default().push(found);
            }
        }
        members.values_mut().for_each(|found| found.sort_by_key(|f| f.at));
        let last = members.values().filter_map(|found| found.last());
        let until = last.clone().map(|f| f.at).max()?;
        let spacing = last.map(|f| f.at.since(f.after)).max().unwrap_or_default();
        record.header.inventory.ids().for_each(|node| _ = members.entry(node).or_default());
        Some(Standings { members, until, spacing })
    }

    /// The members, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = &'a NodeId> {
        self.members.keys().copied()
    }

    /// What was found of a member, in the order of time.
    pub fn found(&self, member: &NodeId) -> &[Found<'a>] {
        self.members.get(member).map_or(&[], Vec::as_slice)
    }

    /// Whether a member was ever found full before that instant.
    pub fn was_full(&self, member: &NodeId, before: Time) -> bool {
        self.found(member).iter().any(|f| f.at <= before && *f.standing == Standing::Full)
    }

    /// How a member stood in an interval, both ends included, and whether it stayed so until its end.
    pub fn course(&self, member: &NodeId, from: Time, to: Time) -> Course<'a> {
        let known: &[Found<'a>] = self.found(member);
        let known = &known[..known.partition_point(|f| f.at <= to)];
        let Some(last) = known.last() else { return Course::Untold("it was not asked") };
        let full = |f: &Found| *f.standing == Standing::Full;
        if let Standing::Unknown(why) = last.standing {
            return Course::Untold(why);
        }
        let streak = known.iter().rposition(|f| full(f) != full(last)).map_or(0, |i| i + 1);
        let turned = known[streak];
        if !full(last) {
            return Course::Wanting { since: turned.at, said: last.standing };
        }
        match turned.at <= from {
            true => Course::Full { at: from, resolution: self.spacing, before: None },
            false => Course::Full {
                at: turned.at,
                resolution: turned.at.since(turned.after),
                before: streak.checked_sub(1).map(|i| known[i]),
            },
        }
    }
}
