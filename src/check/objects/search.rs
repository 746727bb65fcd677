//! The search for a linearization: just-in-time linearization (Lowe, "Testing for linearizability", after Wing & Gong,
//! "Testing and verifying concurrent objects").
//!
//! Time is walked from event to event. A call is taken as late as it can be: only when an operation returns that has
//! not taken effect yet are others that are in flight (and unknown ones that were invoked before) tried in front of it.
//! Observations change nothing, so they take effect the moment the state suits them. What is left of a node is the
//! event, which operations in flight have taken effect (one bit each), the object's state, and which unknown operations
//! were used up; a node that is reached again having used up at least as much leads nowhere new.
//!
//! Operations that do and answer the same are interchangeable. Of unknown ones only the number counts. Of those in
//! flight, the one that returns first takes effect first, and before any unknown one: changing places with it, the
//! other one still takes effect between its call and its return.
//!
//! An unknown operation is tried only where the one that is tried next rests on it: if that one could as well come
//! first, or makes it forgotten, the unknown one is left for later, or left out. What was tried last is therefore a
//! part of the node where it is an unknown one.
//!
//! Time: a step is a try of an operation. Memory: what is remembered is bounded, and so is the path that is being
//! followed ([`Budget`]).

use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use super::breadth::{BreadthFirst, Progress};
use super::prepared::{Event, InFlight, NONE, Prepared};
use super::seen::{Seen, Used, bytes};
use super::{Answer, Budget, Object, Op};
use crate::check::mask::{Mask, Wide};

/// A state with its hash, shared by all nodes that are in it.
pub(super) struct Held<S>(Rc<(u64, S)>);

impl<S: Hash> Held<S> {
    pub fn new(state: S) -> Held<S> {
        Held(Rc::new((foldhash::fast::FixedState::default().hash_one(&state), state)))
    }
}
impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        Held(Rc::clone(&self.0))
    }
}
impl<S: Eq> PartialEq for Held<S> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || (self.0.0 == other.0.0 && self.0.1 == other.0.1)
    }
}
impl<S: Eq> Eq for Held<S> {}
impl<S> Hash for Held<S> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.0.0);
    }
}

/// What is left of a node of the search.
pub(super) struct Node<S> {
    pub event: u32,
    pub done: Wide,
    pub state: Held<S>,
    pub used: Used,
    pub last: Last<S>,
}

/// The class of the unknown operation that led here, and the state before it; `None`: it was none, or served somebody.
pub(super) type Last<S> = Option<(u32, Held<S>)>;

impl<S> Clone for Node<S> {
    fn clone(&self) -> Self {
        let (done, state, used) = (self.done.clone(), self.state.clone(), self.used.clone());
        Node { event: self.event, done, state, used, last: self.last.clone() }
    }
}

/// How many steps each search takes at first before the other one goes on: at least so many, and for each operation so
/// many. The next slices are longer.
const SLICE: u64 = 2_000;
const SLICE_FOR_EACH: u64 = 8;

/// How many bytes both searches may remember unless told otherwise, about.
const MEMORY: usize = 896 << 20;

/// Which part of it a generation of what was seen may take, and the path of the search that goes depth first.
const GENERATION: usize = 14;
const PATH: usize = 2;

/// What there is to be searched.
pub(super) struct Space<'a, O: Object> {
    object: &'a O,
    ops: &'a [Op<O::Call>],
    of: Prepared,
}

/// Whether the operations have a linearization; `budget` bounds the work and the memory.
///
/// Two searches take turns, for neither is best everywhere: one goes depth first, and finds a linearization soon where
/// there is one; the other goes breadth first, one return after the other, and finds out soon that there is none, where
/// few states are possible at a time.
pub fn search<O: Object>(object: &O, ops: &[Op<O::Call>], budget: &mut Budget) -> Answer {
    let space = match Space::new(object, ops) {
        Ok(space) => space,
        Err(op) => return Answer::GaveUp(op),
    };
    let memory = budget.bytes(MEMORY);
    let mut depth = Some(DepthFirst::new(&space, memory));
    let mut breadth = Some(BreadthFirst::new(&space, memory));
    let (mut slice, mut at) = (SLICE.max(SLICE_FOR_EACH.saturating_mul(ops.len() as u64)), 0);
    loop {
        for depth_first in [true, false] {
            let progress = budget.slice(slice, |own| match depth_first {
                true => depth.as_mut().map(|depth| depth.go(&space, own)),
                false => breadth.as_mut().map(|breadth| breadth.go(&space, own)),
            });
            match progress {
                Some(Progress::Done(answer)) => return answer,
                Some(Progress::TooMany) if depth_first => depth = None,
                Some(Progress::TooMany) => breadth = None,
                Some(Progress::More) | None => {}
            }
        }
        at = depth.as_ref().map_or(at, |depth| depth.deepest.1);
        if budget.is_spent() || (depth.is_none() && breadth.is_none()) {
            return Answer::GaveUp(at);
        }
        slice = slice.saturating_mul(2);
    }
}

/// What each of the two searches says alone: depth first, breadth first.
#[cfg(test)]
pub fn alone<O: Object>(object: &O, ops: &[Op<O::Call>]) -> [Answer; 2] {
    let Ok(space) = Space::new(object, ops) else { return [Answer::GaveUp(0); 2] };
    let mut steps = u64::MAX;
    let done = |progress| match progress {
        Progress::Done(answer) => answer,
        Progress::More | Progress::TooMany => Answer::GaveUp(0),
    };
    let depth = DepthFirst::new(&space, MEMORY).go(&space, &mut steps);
    [done(depth), done(BreadthFirst::new(&space, MEMORY).go(&space, &mut steps))]
}

/// A node, and how many of the ways to go on from it were tried.
struct Frame<S> {
    node: Node<S>,
    tried: usize,
}

/// Follows what promises most until it leads nowhere, then takes the next way.
struct DepthFirst<S> {
    seen: Seen<S>,
    path: Vec<Frame<S>>,
    /// What the path takes, and may take, about.
    bytes: usize,
    bytes_max: usize,
    /// A node that has not been looked at yet.
    next: Option<Node<S>>,
    /// The latest return that was reached, and its operation.
    deepest: (u32, usize),
}

impl<S: Clone + Eq + Hash> DepthFirst<S> {
    fn new<O: Object<State = S>>(space: &Space<O>, memory: usize) -> DepthFirst<S> {
        let (seen, next) = (Seen::new(memory / GENERATION), Some(space.first()));
        let (bytes_max, deepest) = (memory / PATH, (0, 0));
        DepthFirst { seen, path: vec![], bytes: 0, bytes_max, next, deepest }
    }

    fn go<O: Object<State = S>>(&mut self, space: &Space<O>, steps: &mut u64) -> Progress {
        loop {
            if let Some(mut node) = self.next.take() {
                let Some(op) = space.advance(&mut node) else {
                    return Progress::Done(Answer::Yes);
                };
                if node.event >= self.deepest.0 {
                    self.deepest = (node.event, op);
                }
                let size = space.bytes(&node);
                if !self.seen.before_or_now(&node, size) {
                    self.bytes += bytes(&node, size);
                    self.path.push(Frame { node, tried: 0 });
                }
                if self.bytes > self.bytes_max {
                    return Progress::TooMany;
                }
            }
            let Some(frame) = self.path.last_mut() else {
                return Progress::Done(Answer::No(self.deepest.1));
            };
            // First whatever lets the returning operation take effect at once, then all else.
            let ways = space.ways(&frame.node);
            while frame.tried < 2 * ways && self.next.is_none() && *steps > 0 {
                let (way, at_once) = (frame.tried % ways, frame.tried < ways);
                frame.tried += 1;
                *steps -= 1;
                self.next = space
                    .follow(&frame.node, way)
                    .filter(|after| space.explains_the_return(after) == at_once);
            }
            if self.next.is_some() {
                continue;
            }
            if *steps == 0 {
                return Progress::More;
            }
            if let Some(Frame { node, .. }) = self.path.pop() {
                self.bytes -= bytes(&node, space.bytes(&node));
            }
        }
    }
}

impl<'a, O: Object> Space<'a, O> {
    fn new(object: &'a O, ops: &'a [Op<O::Call>]) -> Result<Space<'a, O>, usize> {
        Ok(Space { object, ops, of: Prepared::of(object, ops)? })
    }

    /// Where every search begins.
    pub fn first(&self) -> Node<O::State> {
        let state = Held::new(self.object.first());
        Node { event: 0, done: Wide::default(), state, used: vec![], last: None }
    }

    pub fn bytes(&self, node: &Node<O::State>) -> usize {
        self.object.bytes(&node.state.0.1)
    }

    fn applied(&self, state: &O::State, op: u32) -> Option<O::State> {
        self.object.apply(state, &self.ops[op as usize].call)
    }

    /// Walks on to the next return of an operation that has not taken effect; `None` at the end.
    pub fn advance(&self, node: &mut Node<O::State>) -> Option<usize> {
        while let Some(event) = self.of.events.get(node.event as usize) {
            match event {
                Event::Call(flight) => {
                    if flight.observes && self.applied(&node.state.0.1, flight.op).is_some() {
                        node.done.set(flight.slot);
                    }
                }
                Event::Return { slot, op, .. } => {
                    if !node.done.has(*slot) {
                        return Some(*op as usize);
                    }
                    node.done.clear(*slot);
                }
            }
            node.event += 1;
        }
        None
    }

    /// The operations in flight when the node's return comes; the returning one is the first.
    fn flights(&self, node: &Node<O::State>) -> &[InFlight] {
        match self.of.events.get(node.event as usize) {
            Some(Event::Return { from, to, .. }) => &self.of.flights[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// How many ways there are to go on: operations in flight, then unknown ones by class.
    pub fn ways(&self, node: &Node<O::State>) -> usize {
        let known = self
            .of
            .classes
            .partition_point(|class| class.since.first().is_some_and(|since| *since <= node.event));
        self.flights(node).len() + known
    }

    /// Whether the operation whose return the node waits for has taken effect.
    fn explains_the_return(&self, node: &Node<O::State>) -> bool {
        self.flights(node).first().is_some_and(|target| node.done.has(target.slot))
    }

    /// Whether this one, or one before it that does the same, has not taken effect.
    fn another_first(&self, node: &Node<O::State>, flights: &[InFlight], mut same: u32) -> bool {
        while let Some(flight) = flights.get(same as usize).filter(|_| same != NONE) {
            if !node.done.has(flight.slot) {
                return true;
            }
            same = flight.same;
        }
        false
    }

    /// The operation that a way lets take effect; `None`: there is no such way, or it serves nothing.
    fn operation(&self, node: &Node<O::State>, flights: &[InFlight], way: usize) -> Option<u32> {
        if let Some(flight) = flights.get(way) {
            // An observation has taken effect already, or does not suit the state.
            let is_idle = flight.observes || node.done.has(flight.slot);
            return (!is_idle && !self.another_first(node, flights, flight.same))
                .then_some(flight.op);
        }
        let number = way - flights.len();
        let class = self.of.classes.get(number)?;
        let there = class.since.partition_point(|since| *since <= node.event) as u32;
        let pending = |f: &InFlight| f.kind == class.kind && !node.done.has(f.slot);
        let is_left = count(&node.used, number as u32) < there && !flights.iter().any(pending);
        is_left.then_some(class.op)
    }

    /// Whether the unknown operation that was tried last could as well come after this one, or not at all.
    fn out_of_order(&self, node: &Node<O::State>, way: usize, op: u32, after: &O::State) -> bool {
        let Some((last, before)) = &node.last else { return false };
        let Some(class) = self.of.classes.get(*last as usize) else { return false };
        let Some(without) = self.applied(&before.0.1, op) else { return false };
        // Of two unknown ones that commute, the one of the earlier class comes first.
        let comes_first = way < self.flights(node).len() + *last as usize;
        without == *after
            || (comes_first && self.applied(&without, class.op).as_ref() == Some(after))
    }

    /// Lets one operation take effect. `None`: it cannot, or it serves nothing.
    pub fn follow(&self, node: &Node<O::State>, way: usize) -> Option<Node<O::State>> {
        let flights = self.flights(node);
        let op = self.operation(node, flights, way)?;
        let state = self.applied(&node.state.0.1, op)?;
        if self.out_of_order(node, way, op, &state) {
            return None;
        }
        let last = way.checked_sub(flights.len());
        let last = last.map(|class| (class as u32, node.state.clone()));
        let mut after = Node { state: Held::new(state), last, ..node.clone() };
        match flights.get(way) {
            Some(flight) => after.done.set(flight.slot),
            None if after.state == node.state => return None, // better not used up
            None => take(&mut after.used, (way - flights.len()) as u32),
        }
        for flight in flights.iter().filter(|flight| flight.observes) {
            if !after.done.has(flight.slot) && self.applied(&after.state.0.1, flight.op).is_some() {
                after.done.set(flight.slot);
                after.last = None; // it served somebody
            }
        }
        Some(after)
    }
}

fn count(used: &Used, class: u32) -> u32 {
    used.binary_search_by_key(&class, |used| used.0).map_or(0, |at| used[at].1)
}

fn take(used: &mut Used, class: u32) {
    match used.binary_search_by_key(&class, |used| used.0) {
        Ok(at) => used[at].1 += 1,
        Err(at) => used.insert(at, (class, 1)),
    }
}
