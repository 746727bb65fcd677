//! The values of a history, each with when it was put, looked at and taken, in ranks: places in the order of all calls
//! and returns. An instant at which something takes effect lies in the gap behind an event, and is told by its rank.

use super::super::events;
use super::{ContainerCall, Found, HashMap, Op};

/// A rank that is never reached.
const NEVER: u32 = u32::MAX;

/// From the call to the return, in ranks.
pub(super) type Span = (u32, u32);

#[derive(Debug, Clone, Copy)]
struct Element {
    value: i64,
    put: Option<Span>,
    /// The take that returned first, ...
    take: Option<Span>,
    /// ... when the second one returned, and when the first one was called.
    second_take: u32,
    first_call: u32,
}

/// See the module.
pub(super) struct Elements {
    /// How many events there are.
    pub events: u32,
    /// The ranks of the returns, ascending, and whose they are.
    pub returns: Vec<(u32, u32)>,
    /// Those whose turn is first come first, where that is told by their value.
    all: Vec<Element>,
    /// By element, in the order of `all`.
    peeks: Vec<(u32, Span)>,
    /// When nothing was found.
    empties: Vec<Span>,
    /// The calls of takes of nobody knows what, ascending.
    unknown: Vec<u32>,
}

/// An element as far as it matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub put: Span,
    pub take: Span,
    /// Where its peeks stand in [`View::peeks`].
    pub peeks: (u32, u32),
}

/// What is known after so many events. `events` is the rank of the end: what has not returned returns behind it, and
/// what is never taken is taken at it.
pub(super) struct View {
    pub events: u32,
    pub elements: Vec<Shown>,
    pub peeks: Vec<Span>,
    pub empties: Vec<Span>,
}

impl Elements {
    /// `None`: values are not put once each, or somebody took nobody knows what for certain.
    pub fn of(ops: &[Op<ContainerCall>], smallest_first: bool) -> Option<Elements> {
        let mut spans = vec![(NEVER, NEVER); ops.len()];
        let mut returns = Vec::with_capacity(ops.len());
        let order = events(ops);
        for (rank, (op, is_return)) in order.iter().enumerate() {
            match is_return {
                false => spans[*op].0 = rank as u32,
                true => {
                    spans[*op].1 = rank as u32;
                    returns.push((rank as u32, *op as u32));
                }
            }
        }
        let mut elements = Elements {
            events: order.len() as u32,
            returns,
            all: vec![],
            peeks: vec![],
            empties: vec![],
            unknown: vec![],
        };
        let mut places: HashMap<i64, usize, foldhash::fast::FixedState> = HashMap::default();
        for (op, span) in ops.iter().zip(&spans) {
            let (value, is_known) = match op.call {
                ContainerCall::Put(value)
                | ContainerCall::Take(Found::Value(value))
                | ContainerCall::Peek(Found::Value(value)) => (value, span.1 != NEVER),
                ContainerCall::Take(Found::Nothing) | ContainerCall::Peek(Found::Nothing) => {
                    elements.empties.extend((span.1 != NEVER).then_some(*span));
                    continue;
                }
                ContainerCall::Take(Found::Unknown) if span.1 != NEVER => return None,
                ContainerCall::Take(Found::Unknown) => {
                    elements.unknown.push(span.0);
                    continue;
                }
                ContainerCall::Peek(Found::Unknown) => continue,
            };
            let all = &mut elements.all;
            let place = *places.entry(value).or_insert_with(|| {
                let (put, take) = (None, None);
                all.push(Element { value, put, take, second_take: NEVER, first_call: NEVER });
                all.len() - 1
            });
            let element = &mut all[place];
            match op.call {
                ContainerCall::Put(_) => {
                    if element.put.replace(*span).is_some() {
                        return None;
                    }
                }
                ContainerCall::Take(_) => {
                    element.first_call = element.first_call.min(span.0);
                    let (first, second) = match element.take {
                        Some(known) if known.1 <= span.1 => (known, span.1),
                        Some(known) => (*span, known.1),
                        None => (*span, NEVER),
                    };
                    element.take = Some(first);
                    element.second_take = element.second_take.min(second);
                }
                ContainerCall::Peek(_) if is_known => elements.peeks.push((place as u32, *span)),
                ContainerCall::Peek(_) => {}
            }
        }
        elements.unknown.sort_unstable();
        elements.put_in_order(smallest_first);
        Some(elements)
    }

    fn put_in_order(&mut self, smallest_first: bool) {
        let mut order: Vec<u32> = (0..self.all.len() as u32).collect();
        order.sort_unstable_by_key(|at| self.all[*at as usize].value);
        if !smallest_first {
            order.reverse();
        }
        let mut place = vec![0; order.len()];
        for (now, before) in order.iter().enumerate() {
            place[*before as usize] = now as u32;
        }
        self.all = order.iter().map(|at| self.all[*at as usize]).collect();
        self.peeks.iter_mut().for_each(|(element, _)| *element = place[*element as usize]);
        self.peeks.sort_unstable();
    }

    /// The calls by then of takes of nobody knows what.
    pub fn unknown(&self, events: u32) -> &[u32] {
        &self.unknown[..self.unknown.partition_point(|call| *call < events)]
    }

    /// What is known after so many events; `lenient`: whatever nobody took may have been taken by unknown takes.
    /// `None`: that alone is impossible.
    pub fn view(&self, events: u32, lenient: bool) -> Option<View> {
        let first_unknown = self.unknown.first().copied().unwrap_or(NEVER);
        let returned = |at: u32| if at < events { at } else { events + 1 };
        let mut view = View { events, elements: vec![], peeks: vec![], empties: vec![] };
        let mut peeks = self.peeks.iter().peekable();
        for (place, element) in self.all.iter().enumerate() {
            let from = view.peeks.len() as u32;
            while let Some((_, span)) = peeks.next_if(|(of, _)| *of as usize == place) {
                view.peeks.extend((span.1 < events).then_some(*span));
            }
            let to = view.peeks.len() as u32;
            let take = match element.take {
                // What was taken once is not there any more.
                Some(_) if element.second_take < events => return None,
                Some(known) if known.1 < events => known,
                _ => {
                    let may_be = if lenient { first_unknown } else { NEVER };
                    (element.first_call.min(may_be).min(events), events + 1)
                }
            };
            let is_found = take.1 < events || from < to;
            let put = match element.put.filter(|put| put.0 < events) {
                Some(put) => (put.0, returned(put.1)),
                None if is_found => return None,
                None => continue,
            };
            // A put that nobody knows of need not have happened.
            if put.1 > events && !is_found {
                continue;
            }
            let looks = view.peeks.get(from as usize..to as usize).unwrap_or_default();
            let is_early = |look: &Span| look.1 < put.0 || take.1 < look.0;
            if take.1 < put.0 || looks.iter().any(is_early) {
                return None;
            }
            view.elements.push(Shown { put, take, peeks: (from, to) });
        }
        view.empties.extend(self.empties.iter().filter(|span| span.1 < events));
        Some(view)
    }
}

impl View {
    /// When somebody looked at it.
    pub fn looks(&self, element: &Shown) -> &[Span] {
        self.peeks.get(element.peeks.0 as usize..element.peeks.1 as usize).unwrap_or_default()
    }
}
