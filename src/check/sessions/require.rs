//! What a guarantee requires: which writes must come before which in arbitration, and which reads of nothing are wrong.
//! Of all such pairs, those that imply the others.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Guarantee;
use super::clocks::{self, Seen};
use super::cover::{Cover, Groups};
use super::cycle::{Edge, NOBODY};
use super::steps::{History, Kind, NOTHING};

/// At most so many pairs are held: 1 GiB with their index.
const EDGES_MAX: usize = 1 << 26;

/// So many reads of nothing are told, to show the plainest.
const MISSED_MAX: usize = 16;

/// What is required.
pub struct Required {
    pub nodes: usize,
    pub edges: Vec<Edge>,
    /// A write that must be visible, and a read of its key that found nothing.
    pub missed: Vec<(u32, u32)>,
}

/// Collects all that the guarantee requires of this history.
pub fn of(history: &History, guarantee: Guarantee) -> Result<Required, String> {
    let nodes = history.steps.len();
    let mut all = Required { nodes, edges: vec![], missed: vec![] };
    all.order_of_swaps(history);
    match guarantee {
        Guarantee::ReadYourWrites => {
            all.order_of_keys(history);
            all.own(history)?;
        }
        Guarantee::MonotonicReads => {
            all.order_of_keys(history);
            all.reread(history)?;
        }
        Guarantee::MonotonicWrites | Guarantee::Pram => {
            all.order_of_writes(history);
            all.prefixes(history, guarantee == Guarantee::Pram)?;
        }
        Guarantee::WritesFollowReads => {
            all.order_of_keys(history);
            all.order_of_causes(history, false);
            all.dependencies(history)?;
        }
        Guarantee::Causal => {
            all.order_of_causes(history, true);
            all.causes(history)?;
        }
    }
    Ok(all)
}

/// Of each key, the last step of the session that is gone through.
struct Last(Vec<(u32, u32)>);

impl Last {
    fn new(history: &History) -> Last {
        Last(vec![(NOTHING, NOTHING); history.keys])
    }
    fn get(&self, session: u32, key: u32) -> Option<u32> {
        let (of, step) = self.0[key as usize];
        (of == session).then_some(step)
    }
    fn set(&mut self, session: u32, key: u32, step: u32) {
        self.0[key as usize] = (session, step);
    }
}

impl Required {
    fn add(&mut self, from: u32, to: u32, by: u32) -> Result<(), String> {
        if self.edges.len() >= EDGES_MAX {
            return Err(format!("it needs over {EDGES_MAX} pairs of writes"));
        }
        self.edges.push(Edge { from, to, by });
        Ok(())
    }

    fn structure(&mut self, from: u32, to: u32) {
        self.edges.push(Edge { from, to, by: NOBODY });
    }

    /// A read must see this write of its key.
    fn sees(&mut self, history: &History, read: u32, write: u32) -> Result<(), String> {
        match history.found(read) {
            Some(found) if found == write => Ok(()),
            Some(found) => self.add(write, found, read),
            None => {
                if self.missed.len() < MISSED_MAX {
                    self.missed.push((write, read));
                }
                Ok(())
            }
        }
    }

    /// A compare-and-set that swapped came after what it found.
    fn order_of_swaps(&mut self, history: &History) {
        for (at, pair) in history.steps.windows(2).enumerate() {
            let (Kind::Read(from), Kind::Write) = (pair[0].kind, pair[1].kind) else { continue };
            if pair[0].operation == pair[1].operation && from != NOTHING {
                self.structure(from, at as u32 + 1);
            }
        }
    }

    /// The writes of a session to one key keep their order.
    fn order_of_keys(&mut self, history: &History) {
        let mut last = Last::new(history);
        for (at, step) in history.steps.iter().enumerate() {
            if step.kind == Kind::Write {
                if let Some(before) = last.get(step.session, step.key) {
                    self.structure(before, at as u32);
                }
                last.set(step.session, step.key, at as u32);
            }
        }
    }

    /// The writes of a session keep their order.
    fn order_of_writes(&mut self, history: &History) {
        let mut last = (NOTHING, NOTHING);
        for (at, step) in history.steps.iter().enumerate() {
            if step.kind == Kind::Write {
                if last.0 == step.session {
                    self.structure(last.1, at as u32);
                }
                last = (step.session, at as u32);
            }
        }
    }

    /// Whatever was found comes before all that its finder wrote later. `all`: and so do the finder's own writes.
    fn order_of_causes(&mut self, history: &History, all: bool) {
        let mut last = (NOTHING, NOTHING);
        for (at, step) in history.steps.iter().enumerate() {
            let at = at as u32;
            if last.0 == step.session {
                self.structure(last.1, at);
            }
            if let Some(found) = history.found(at) {
                self.structure(found, at);
            }
            if all || step.kind != Kind::Write {
                last = (step.session, at);
            }
        }
    }

    /// Read-your-writes: of the own writes the last one suffices.
    fn own(&mut self, history: &History) -> Result<(), String> {
        let mut last = Last::new(history);
        for (at, step) in history.steps.iter().enumerate() {
            match (step.kind, last.get(step.session, step.key)) {
                (Kind::Write, _) => last.set(step.session, step.key, at as u32),
                (Kind::Read(_), Some(own)) => self.sees(history, at as u32, own)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Monotonic reads: what was found last suffices, as it came after what was found before.
    fn reread(&mut self, history: &History) -> Result<(), String> {
        let mut last = Last::new(history);
        for (at, step) in history.steps.iter().enumerate() {
            if step.kind == Kind::Write {
                continue;
            }
            if let Some(before) = last.get(step.session, step.key) {
                self.sees(history, at as u32, before)?;
            }
            if let Some(found) = history.found(at as u32) {
                last.set(step.session, step.key, found);
            }
        }
        Ok(())
    }

    /// Of each session, the writes up to the last that was found. `pram`: with this one, and all own ones.
    fn prefixes(&mut self, history: &History, pram: bool) -> Result<(), String> {
        let writers = Groups::of(history, |step| history.step(step).kind == Kind::Write);
        let mut told = vec![NOTHING; history.steps.len()];
        let mut clock = vec![0_u32; history.sessions()];
        for session in 0..history.sessions() as u32 {
            clock.fill(0);
            for read in history.session(session) {
                let Kind::Read(found) = history.step(read).kind else { continue };
                if pram {
                    clock[session as usize] = read;
                }
                self.against(
                    history,
                    &writers,
                    &mut told,
                    Seen { read, clock: &clock, known: &[] },
                )?;
                if found != NOTHING {
                    let bound = &mut clock[history.step(found).session as usize];
                    *bound = (*bound).max(found + u32::from(pram));
                }
            }
        }
        Ok(())
    }

    /// All that comes before.
    fn causes(&mut self, history: &History) -> Result<(), String> {
        let writers = Groups::of(history, |step| history.step(step).kind == Kind::Write);
        let mut told = vec![NOTHING; history.steps.len()];
        // Where it goes round in a circle, that alone is told, by the order of causes.
        clocks::walk(history, true, |seen| self.against(history, &writers, &mut told, seen))?;
        Ok(())
    }

    /// A read must see the writes of its key that its clock knows: of each session the last suffices.
    fn against(
        &mut self,
        history: &History,
        writers: &Groups,
        told: &mut [u32],
        seen: Seen,
    ) -> Result<(), String> {
        let found = history.found(seen.read);
        for place in writers.of_key(history.step(seen.read).key) {
            let group = writers.group(place);
            let session = group.session as usize;
            let bound = seen.clock[session];
            if bound <= seen.known.get(session).copied().unwrap_or(0) {
                continue; // What was found comes after these anyway.
            }
            let Some(last) = writers.before(group, bound).checked_sub(1) else { continue };
            let write = writers.items[group.from as usize + last];
            let own = found.is_some_and(|f| history.step(f).session == group.session && write <= f);
            if own || found.is_some_and(|found| told[write as usize] == found) {
                continue;
            }
            told[write as usize] = found.unwrap_or(NOTHING);
            self.sees(history, seen.read, write)?;
        }
        Ok(())
    }

    /// Writes-follow-reads: of each session, what its reads found up to where the clock knows it.
    fn dependencies(&mut self, history: &History) -> Result<(), String> {
        let finders = Finders::of(history, &mut self.edges);
        self.nodes = finders.cover.nodes();
        clocks::walk(history, false, |seen| self.depends(history, &finders, seen))?;
        Ok(())
    }

    fn depends(&mut self, history: &History, finders: &Finders, seen: Seen) -> Result<(), String> {
        let (read, found) = (seen.read, history.found(seen.read));
        for place in finders.groups.of_key(history.step(read).key) {
            let group = finders.groups.group(place);
            let session = group.session as usize;
            let bound = seen.clock[session];
            let known = seen.known.get(session).copied().unwrap_or(0);
            if bound <= known {
                continue;
            }
            let row = finders.cover.row(place);
            let from = finders.before(place, known);
            let to = finders.before(place, bound);
            let Some(found) = found else {
                row[..to].first().map_or(Ok(()), |write| self.sees(history, read, *write))?;
                continue;
            };
            let own = finders.places.get(&(place as u32, found)).map(|at| *at as usize);
            let own = own.filter(|own| (from..to).contains(own)).unwrap_or(to);
            let mut nodes = vec![];
            finders.cover.of(place, from, own, |node| nodes.push(node));
            finders.cover.of(place, own + 1, to.max(own + 1), |node| nodes.push(node));
            nodes.into_iter().try_for_each(|node| self.add(node, found, read))?;
        }
        Ok(())
    }
}

/// What the reads of each session found on each key, each write once, in the order of finding.
struct Finders {
    /// The reads that found it first, by key and session.
    groups: Groups,
    /// What these found: a row for each group.
    cover: Cover,
    /// By group and write, its place in the row.
    places: HashMap<(u32, u32), u32, RandomState>,
}

impl Finders {
    fn of(history: &History, edges: &mut Vec<Edge>) -> Finders {
        let mut first: HashMap<(u32, u32), (), RandomState> = HashMap::default();
        let mut is_first = vec![false; history.steps.len()];
        for (at, step) in history.steps.iter().enumerate() {
            if let Some(found) = history.found(at as u32) {
                is_first[at] = first.insert((step.session, found), ()).is_none();
            }
        }
        drop(first);
        let groups = Groups::of(history, |step| is_first[step as usize]);
        let mut cover = Cover::new(history.steps.len() as u32);
        let mut places = HashMap::default();
        for place in 0..groups.len() {
            let group = groups.group(place);
            let reads = &groups.items[group.from as usize..group.to as usize];
            let row: Vec<u32> = reads.iter().filter_map(|read| history.found(*read)).collect();
            for (at, write) in row.iter().enumerate() {
                places.insert((place as u32, *write), at as u32);
            }
            cover.push(&row, edges);
        }
        Finders { groups, cover, places }
    }

    fn before(&self, place: usize, step: u32) -> usize {
        self.groups.before(self.groups.group(place), step)
    }
}
