//! Violations in words: who did what, and why a read had to see a write.

use super::cycle::{ALONE, Edge, FREE, Meaning, NOBODY};
use super::steps::{History, Kind, NOTHING, key, read, written};
use super::{Guarantee, Outcome};

/// A read that must see a write: the reads that lead from the one to the other, each with what it found.
struct Way {
    hops: Vec<(u32, u32)>,
    write: u32,
}

/// What a session does in a row, and what its reads say of a key, is told as one: whatever must be visible to a read
/// must be so to its session's later ones.
impl Meaning for History<'_> {
    fn line(&self, edge: &Edge) -> u32 {
        let real = |node: u32| (node as usize) < self.steps.len();
        if edge.by != NOBODY {
            return self.sessions() as u32 + self.step(edge.by).session;
        }
        match (real(edge.from) && real(edge.to), real(edge.to)) {
            (true, _) if self.step(edge.from).session == self.step(edge.to).session => {
                self.step(edge.from).session
            }
            (_, true) => ALONE,
            (_, false) => FREE,
        }
    }

    fn instant(&self, node: u32) -> Option<u64> {
        ((node as usize) < self.steps.len()).then(|| self.operation(node).invoked.0)
    }
}

/// The plainest of the reads that found nothing although a write must be visible.
pub fn missed(history: &History, guarantee: Guarantee, all: &[(u32, u32)]) -> Option<Outcome> {
    let ways = all.iter().map(|(write, read)| (*read, way(history, guarantee, *write, *read)));
    let (read, way) = ways.min_by_key(|(_, way)| way.hops.len())?;
    let o = history.operation(read);
    let why = way.words(history);
    let words = format!("process {} read nothing from k{} although {why}", o.process, key(&o.call));
    let mut steps = way.steps();
    steps.push(read);
    Some(violated(history, words, steps))
}

/// A cycle of what arbitration must keep.
pub fn cycle(history: &History, guarantee: Guarantee, cycle: &[Edge]) -> Outcome {
    let (mut words, mut steps) = (vec![], vec![]);
    for hop in hops(history, cycle) {
        let (from, to) = (hop.from, hop.to);
        if hop.by != NOBODY {
            let way = way(history, guarantee, from, hop.by);
            let (process, why) = (history.operation(hop.by).process, way.words(history));
            let (older, newer) = (what(history, from), what(history, to));
            words.push(format!(
                "process {process} read {newer} although {why}, so {older} came before {newer}"
            ));
            steps.extend(way.steps());
            steps.extend([hop.by, to]);
        } else if history.step(from).session == history.step(to).session {
            let process = history.operation(from).process;
            let (first, then) = (did(history, from), did(history, to));
            words.push(format!("process {process} {first} before it {then}"));
            steps.extend([from, to]);
        } else {
            if history.step(to).kind == Kind::Write {
                let process = history.operation(to).process;
                let (old, new) = (what(history, from), what(history, to));
                words.push(format!("process {process} swapped {old} for {new}"));
            }
            steps.extend([from, to]); // What was read is told by who read it.
        }
    }
    violated(history, words.join("; "), steps)
}

fn violated(history: &History, words: String, steps: Vec<u32>) -> Outcome {
    history.violated(words, steps.into_iter().map(|step| history.step(step).operation))
}

/// The cycle from step to step: without the inner nodes of covers, and with what follows in one session as one hop.
fn hops(history: &History, cycle: &[Edge]) -> Vec<Edge> {
    let real = |node: u32| (node as usize) < history.steps.len();
    // From where the line changes, and best with a read.
    let changes = |at: usize| {
        let before = &cycle[(at + cycle.len() - 1) % cycle.len()];
        real(cycle[at].from) && !goes_on(history, before, &cycle[at])
    };
    let reads = |at: usize| changes(at) && (cycle[at].by != NOBODY || !real(cycle[at].to));
    let places = 0..cycle.len();
    let begin =
        places.clone().find(|at| reads(*at)).or_else(|| places.clone().find(|at| changes(*at)));
    let mut cycle = cycle.to_vec();
    cycle.rotate_left(begin.unwrap_or(0));
    let mut all: Vec<Edge> = vec![];
    for edge in cycle {
        match all.last_mut() {
            Some(last) if !real(last.to) => (last.to, last.by) = (edge.to, edge.by),
            Some(last) if last.from != edge.to && goes_on(history, last, &edge) => {
                (last.to, last.by) = (edge.to, edge.by)
            }
            _ => all.push(edge),
        }
    }
    all
}

fn goes_on(history: &History, one: &Edge, next: &Edge) -> bool {
    let line = history.line(one);
    line < FREE && line == history.line(next) && one.goes_on_with(next)
}

/// `k0 = 7`, or `nothing from k0`.
fn what(history: &History, step: u32) -> String {
    let o = history.operation(step);
    let value = match history.step(step).kind {
        Kind::Write => written(o).map(|(_, value)| value),
        Kind::Read(_) => read(o),
    };
    match value {
        Some(value) => format!("k{} = {value}", key(&o.call)),
        None => format!("nothing from k{}", key(&o.call)),
    }
}

fn did(history: &History, step: u32) -> String {
    let verb = if history.step(step).kind == Kind::Write { "wrote" } else { "read" };
    format!("{verb} {}", what(history, step))
}

impl Way {
    fn steps(&self) -> Vec<u32> {
        let hops = self.hops.iter().flat_map(|(read, found)| [*read, *found]);
        hops.chain([self.write]).collect()
    }

    fn words(&self, history: &History) -> String {
        let Some(((_, first), rest)) = self.hops.split_first() else {
            return format!("it had written {} before", what(history, self.write));
        };
        let mut words = format!("it had read {} before", what(history, *first));
        let mut writer = *first;
        for (_, found) in rest {
            let process = history.operation(writer).process;
            words +=
                &format!(", which process {process} wrote after it read {}", what(history, *found));
            writer = *found;
        }
        if writer != self.write {
            let process = history.operation(writer).process;
            let what = what(history, self.write);
            words += &format!(", which process {process} wrote after {what}");
        }
        words
    }
}

/// Steps of a session before `to` that come before the read, and how that is known.
struct Part {
    session: u32,
    from: u32,
    to: u32,
    /// The part from which a read led here, that read, and what it found.
    by: Option<(usize, u32, u32)>,
}

/// Why a read must see a write: by as few reads between them as possible. Breadth first; each step is looked at twice
/// at most.
fn way(history: &History, guarantee: Guarantee, write: u32, read: u32) -> Way {
    use Guarantee::{
        Causal, MonotonicReads, MonotonicWrites, Pram, ReadYourWrites, WritesFollowReads,
    };
    let own = matches!(guarantee, ReadYourWrites | Pram | Causal);
    let found = matches!(guarantee, MonotonicReads | Pram | Causal);
    let brought = matches!(guarantee, MonotonicWrites | Pram | Causal);
    let further = matches!(guarantee, WritesFollowReads | Causal);
    let target = history.step(write).session;
    let session = history.step(read).session;
    let mut known = history.starts.clone();
    let mut parts =
        vec![Part { session, from: history.session(session).start, to: read, by: None }];
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        let (part_session, from, to, first) = (part.session, part.from, part.to, part.by.is_none());
        if part_session == target && write < to && if first { own } else { brought } {
            return back(&parts, at, None, write);
        }
        for step in from..to {
            let Some(from) = history.found(step) else { continue };
            if from == write && if first { found } else { further } {
                return back(&parts, at, Some(step), write);
            }
            let session = history.step(from).session;
            let before = &mut known[session as usize];
            if (first || further) && *before < from {
                parts.push(Part { session, from: *before, to: from, by: Some((at, step, from)) });
                *before = from;
            }
        }
        at += 1;
    }
    Way { hops: vec![], write }
}

fn back(parts: &[Part], mut at: usize, last: Option<u32>, write: u32) -> Way {
    let mut hops: Vec<(u32, u32)> = last.map(|read| (read, write)).into_iter().collect();
    while let Some((from, read, found)) = parts[at].by {
        hops.push((read, found));
        at = from;
    }
    hops.reverse();
    Way { hops, write }
}

const _: () = assert!(NOTHING == NOBODY);
