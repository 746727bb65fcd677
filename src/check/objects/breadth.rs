//! The search that goes breadth first: all that is possible up to a return, before anything after it. What is possible
//! is kept as an antichain: of two nodes that differ only in what they used up, one that used up more leads nowhere
//! that the other does not. What lies behind is forgotten. Memory is bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use super::search::{Held, Last, Node, Space};
use super::seen::{Used, at_most, bytes};
use super::{Answer, Object};
use crate::check::mask::Wide;

/// Which part of the memory it may keep.
const KEPT: usize = 4;

/// So many comparisons of what was used up take about as long as a try.
const COMPARED_IN_A_STEP: usize = 8;

/// How far a search has come.
pub(super) enum Progress {
    Done(Answer),
    /// The steps are used up.
    More,
    /// More is possible at a time than can be kept.
    TooMany,
}

/// See the module.
pub(super) struct BreadthFirst<S> {
    /// By the return that comes next.
    levels: BTreeMap<u32, Level<S>>,
    next: Vec<Node<S>>,
    /// What is kept, and may be kept, in bytes, about.
    kept: usize,
    kept_max: usize,
    /// How many nodes others were compared with since a step was counted for it.
    compared: usize,
    /// The operation of the latest return that was reached.
    last: usize,
}

/// What nodes may differ in besides what they used up.
type Key<S> = (Wide, Held<S>, Last<S>);

type Possible<S> = HashMap<Key<S>, Vec<Used>, foldhash::fast::FixedState>;

/// What is possible when a return comes next that nothing in it explains yet.
struct Level<S> {
    op: usize,
    possible: Possible<S>,
    queue: VecDeque<Node<S>>,
    bytes: usize,
}

impl<S: Clone + Eq + Hash> BreadthFirst<S> {
    /// `memory`: what both searches may remember, in bytes.
    pub fn new<O: Object<State = S>>(space: &Space<O>, memory: usize) -> BreadthFirst<S> {
        let (levels, next, kept_max) = (BTreeMap::new(), vec![space.first()], memory / KEPT);
        BreadthFirst { levels, next, kept: 0, kept_max, compared: 0, last: 0 }
    }

    /// Goes on for so many steps.
    pub fn go<O: Object<State = S>>(&mut self, space: &Space<O>, steps: &mut u64) -> Progress {
        loop {
            while let Some(node) = self.next.pop() {
                if !self.reach(space, node) {
                    return Progress::Done(Answer::Yes);
                }
            }
            if self.kept > self.kept_max {
                return Progress::TooMany;
            }
            if *steps == 0 {
                return Progress::More;
            }
            let Some(mut level) = self.levels.first_entry() else {
                return Progress::Done(Answer::No(self.last));
            };
            self.last = level.get().op;
            let Some(node) = level.get_mut().queue.pop_front() else {
                self.kept -= level.remove().bytes;
                continue;
            };
            if level.get().is_possible(&node) {
                let ways = space.ways(&node);
                // Comparing is work, too, where much is possible at a time.
                let cost = ways + self.compared / COMPARED_IN_A_STEP;
                self.compared = 0;
                *steps = steps.saturating_sub(cost as u64);
                self.next.extend((0..ways).filter_map(|way| space.follow(&node, way)));
            }
        }
    }

    /// Walks on to where the node decides something; whether there is such a place.
    fn reach<O: Object<State = S>>(&mut self, space: &Space<O>, mut node: Node<S>) -> bool {
        let Some(op) = space.advance(&mut node) else { return false };
        let size = space.bytes(&node);
        let level = self.levels.entry(node.event).or_insert_with(|| Level {
            op,
            possible: HashMap::default(),
            queue: VecDeque::new(),
            bytes: 0,
        });
        let (compared, more) = level.add(node, size);
        self.compared += compared;
        self.kept += more;
        true
    }
}

impl<S: Clone + Eq + Hash> Level<S> {
    /// Adds a node, unless there is one that is as good; how many it was compared with, and how many bytes more are
    /// kept.
    fn add(&mut self, node: Node<S>, bytes_of_state: usize) -> (usize, usize) {
        let like = self.possible.entry(key(&node)).or_default();
        let compared = like.len();
        if like.iter().any(|used| at_most(used, &node.used)) {
            return (compared, 0);
        }
        like.retain(|used| !at_most(&node.used, used));
        like.push(node.used.clone());
        let more = 2 * bytes(&node, bytes_of_state);
        self.bytes += more;
        self.queue.push_back(node);
        (compared, more)
    }

    /// Whether nothing better came since it was added.
    fn is_possible(&self, node: &Node<S>) -> bool {
        self.possible.get(&key(node)).is_some_and(|all| all.contains(&node.used))
    }
}

fn key<S>(node: &Node<S>) -> Key<S> {
    (node.done.clone(), node.state.clone(), node.last.clone())
}
