//! Every judge against every order: small histories as an object would give them, some answers false, some outcomes
//! unknown.

use proptest::prelude::*;

use super::models::*;
use super::search::{alone, search};
use super::*;

fn all() -> Budget {
    Budget::of_steps(STEPS)
}

/// A model that makes up calls: `pick` and `value` choose one, `lie` is what it answers falsely.
pub(super) trait Sample: Object {
    fn sample(&self, state: &Self::State, pick: u8, value: i64, lie: Option<i64>) -> Self::Call;
}

fn found(truth: Option<i64>, lie: Option<i64>) -> Found {
    match lie {
        Some(value) if value < 0 => Found::Nothing,
        Some(value) => Found::Value(value),
        None => truth.map_or(Found::Nothing, Found::Value),
    }
}

fn container(pick: u8, value: i64, found: Found) -> ContainerCall {
    match pick {
        0..=3 => ContainerCall::Put(value),
        4..=8 => ContainerCall::Take(found),
        _ => ContainerCall::Peek(found),
    }
}

impl Sample for Stack {
    fn sample(&self, state: &Self::State, pick: u8, value: i64, lie: Option<i64>) -> ContainerCall {
        container(pick, value, found(state.pop().map(|top| top.0), lie))
    }
}
impl Sample for Priority {
    fn sample(&self, state: &Vec<i64>, pick: u8, value: i64, lie: Option<i64>) -> ContainerCall {
        let turn = if self.smallest_first { state.first() } else { state.last() };
        container(pick, value, found(turn.copied(), lie))
    }
}
impl Sample for Set {
    fn sample(&self, state: &Vec<i64>, pick: u8, value: i64, lie: Option<i64>) -> SetCall {
        let value = value % 3;
        let is_in = state.contains(&value) != lie.is_some();
        match pick {
            0 => SetCall::Add(value, None),
            1..=2 => SetCall::Add(value, Some(!is_in)),
            3..=5 => SetCall::Remove(value, Some(is_in)),
            6 => SetCall::Remove(value, None),
            7..=8 if self.is_read => SetCall::All(match lie {
                Some(lie) => state.iter().copied().filter(|e| *e != lie % 3).collect(),
                None => state.clone(),
            }),
            _ => SetCall::Contains(value, is_in),
        }
    }
}
impl Sample for Counter {
    fn sample(&self, state: &i64, pick: u8, value: i64, lie: Option<i64>) -> CounterCall {
        let by = value % 3 - 1;
        match pick {
            0..=3 => CounterCall::Add(by),
            4..=7 => CounterCall::Read(state + lie.unwrap_or(0)),
            _ => CounterCall::AddAndGet(by, state + by + lie.unwrap_or(0)),
        }
    }
}
impl Sample for Semaphore {
    fn sample(&self, state: &u64, pick: u8, _: i64, lie: Option<i64>) -> SemaphoreCall {
        match pick {
            0..=3 => SemaphoreCall::Up,
            _ => SemaphoreCall::Down(Some((*state > 0) != lie.is_some())),
        }
    }
}
impl Sample for Mutex {
    fn sample(&self, held: &bool, pick: u8, _: i64, lie: Option<i64>) -> MutexCall {
        match (held, pick) {
            _ if lie.is_some() => [MutexCall::Acquire, MutexCall::Release][usize::from(pick % 2)],
            (true, 0..=2) => MutexCall::Refused,
            (true, _) => MutexCall::Release,
            (false, _) => MutexCall::Acquire,
        }
    }
}
impl Sample for Rmw {
    fn sample(&self, state: &i64, pick: u8, value: i64, lie: Option<i64>) -> RmwCall {
        let seen = lie.unwrap_or(*state);
        match pick {
            0..=3 => RmwCall::ReadModifyWrite(seen, value),
            4..=7 => RmwCall::Read(seen),
            _ => RmwCall::Write(value),
        }
    }
}
impl Sample for Registers {
    fn sample(&self, state: &Self::State, pick: u8, value: i64, lie: Option<i64>) -> Vec<Access> {
        let of = |key: i64| state.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        let read = |key: i64| Access::Read(key, lie.or(of(key)));
        let (one, other) = (value % 2, 1 - value % 2);
        match pick {
            0..=2 => vec![Access::Write(one, value)],
            3..=4 => vec![Access::Write(one, value), Access::Write(other, value / 2)],
            5..=7 => vec![read(one), read(other)],
            _ => vec![read(one), Access::Write(other, value), Access::Read(other, Some(value))],
        }
    }
}
impl Sample for Text {
    fn sample(&self, state: &Self::State, pick: u8, value: i64, lie: Option<i64>) -> TextCall {
        let text = ["a", "b", "ab", "ba", "", "bb"][value.rem_euclid(6) as usize];
        match (pick, lie) {
            (0..=3, _) => TextCall::Append(text.into()),
            (4, _) => TextCall::Put(text.into()),
            (_, Some(_)) => TextCall::Get(text.into()),
            (_, None) => TextCall::Get(state.clone()),
        }
    }
}
impl Sample for Log {
    fn sample(&self, state: &Self::State, pick: u8, value: i64, lie: Option<i64>) -> LogCall {
        let (mut values, mut rest) = (vec![], state);
        while let Some((value, below)) = rest.pop() {
            values.insert(0, value);
            rest = below;
        }
        match (pick, lie) {
            (0..=3, _) => LogCall::Append(value % 3, None),
            (4..=5, _) => LogCall::Append(value, Some(state.len() + lie.map_or(0, |_| 1))),
            (_, Some(_)) => LogCall::All(values.into_iter().skip(1).collect()),
            (_, None) => LogCall::All(values),
        }
    }
}

/// One operation to be made up: what it does; when it is called, how long it takes and when in between it takes effect;
/// what is strange about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    pub pick: u8,
    pub value: i64,
    pub call: u64,
    pub length: u64,
    pub effect: u64,
    pub lie: Option<i64>,
    pub known: bool,
    pub never: bool,
}

pub(super) fn raw(known: f64, true_to_false: u32, end: u64) -> impl Strategy<Value = Raw> {
    let lie = prop_oneof![true_to_false => Just(None), 1 => (-1..6_i64).prop_map(Some)];
    let fate = (prop::bool::weighted(known), any::<bool>());
    let when = (0..end, 0..7_u64, 0..7_u64);
    (0..10_u8, 0..6_i64, when, lie, fate).prop_map(
        |(pick, value, (call, length, effect), lie, (known, never))| {
            let effect = call + effect.min(length);
            Raw { pick, value, call, length, effect, lie, known, never }
        },
    )
}

/// What the object says to them. `unique`: no value is put twice.
pub(super) fn history<O: Sample>(object: &O, raw: &[Raw], unique: bool) -> Vec<Op<O::Call>> {
    let mut order: Vec<usize> = (0..raw.len()).collect();
    order.sort_by_key(|i| raw[*i].effect);
    let (mut state, mut ops) = (object.first(), vec![None; raw.len()]);
    for i in order {
        let r = raw[i];
        let of = |i: i64| i / 7 * 7 + i * 5 % 7;
        let (value, lie) = match unique {
            true => (of(i as i64), r.lie.map(|lie| if lie < 0 { lie } else { of(lie) })),
            false => (r.value, r.lie),
        };
        let call = object.sample(&state, r.pick, value, lie);
        if r.known || !r.never {
            state = object.apply(&state, &call).unwrap_or(state);
        }
        ops[i] = Some(Op { call, invoked: r.call, returned: r.known.then_some(r.call + r.length) });
    }
    ops.into_iter().flatten().collect()
}

fn agrees<O: Sample>(object: &O, raw: &[Raw]) -> Result<(), TestCaseError>
where
    O::Call: std::fmt::Debug,
{
    let ops = history(object, raw, false);
    let truth = oracle::judge(object, &ops);
    prop_assert_eq!(search(object, &ops, &mut all()), truth, "{:?}", &ops);
    prop_assert_eq!(alone(object, &ops), [truth; 2], "{:?}", ops);
    Ok(())
}

/// How many cases: more where `FIREDRILL_CASES` says so.
pub(super) fn cases() -> ProptestConfig {
    let said = std::env::var("FIREDRILL_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig::with_cases(said.unwrap_or(10_000))
}

fn some() -> impl Strategy<Value = Vec<Raw>> {
    proptest::collection::vec(raw(0.75, 8, 14), 1..8)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn stacks(raw in some()) { agrees(&Stack, &raw)?; }
    #[test]
    fn priority_queues(raw in some(), smallest_first: bool) {
        agrees(&Priority { smallest_first }, &raw)?;
    }
    #[test]
    fn sets(raw in some(), is_read: bool) {
        agrees(&Set { is_read }, &raw)?;
        let ops = history(&Set { is_read }, &raw, false);
        prop_assert_eq!(judge_set(&ops, &mut all()), oracle::judge(&Set { is_read }, &ops), "{:?}", ops);
    }
    #[test]
    fn sets_that_only_grow(raw in proptest::collection::vec(raw(0.8, 12, 14), 1..8)) {
        // Additions without an answer, and reads.
        let pick = |raw: &Raw| Raw { pick: if raw.pick < 4 { 0 } else { 7 }, ..*raw };
        let raw: Vec<Raw> = raw.iter().map(pick).collect();
        let ops = history(&Set { is_read: true }, &raw, false);
        let truth = oracle::judge(&Set { is_read: true }, &ops);
        // Where it is read, no search is needed.
        let is_read = ops.iter().any(|op| matches!(op.call, SetCall::All(_)));
        let steps = if is_read { 0 } else { STEPS };
        prop_assert_eq!(judge_set(&ops, &mut Budget::of_steps(steps)), truth, "{:?}", ops);
    }
    #[test]
    fn counters(raw in some(), initial in -2..2_i64) { agrees(&Counter { initial }, &raw)?; }
    #[test]
    fn semaphores(raw in some(), initial in 0..2_u64) { agrees(&Semaphore { initial }, &raw)?; }
    #[test]
    fn locks(raw in some()) { agrees(&Mutex, &raw)?; }
    #[test]
    fn read_modify_writes(raw in some(), initial in 0..2_i64) { agrees(&Rmw { initial }, &raw)?; }
    #[test]
    fn several_registers(raw in some()) { agrees(&Registers { initial: vec![(1, 0)] }, &raw)?; }
    #[test]
    fn texts(raw in some()) { agrees(&Text, &raw)?; }
    #[test]
    fn logs(raw in some()) { agrees(&Log, &raw)?; }

    /// Where each value is put once, monitors say the same, and decide unless somebody took nobody knows what.
    #[test]
    fn monitored_stacks(raw in some(), takes: bool) { is_monitored(&Stack, &raw, takes)?; }
    #[test]
    fn monitored_priority_queues(raw in some(), smallest_first: bool, takes: bool) {
        is_monitored(&Priority { smallest_first }, &raw, takes)?;
    }

    #[test]
    fn monitors_say_what_the_search_says(
        raw in proptest::collection::vec(raw(0.95, 60, 50), 15..50),
        which in 0..3_u8,
    ) {
        match which {
            0 => is_monitored_at_large(&Priority { smallest_first: true }, &raw)?,
            _ => is_monitored_at_large(&Stack, &raw)?,
        }
    }

    /// What evidence rests on: without a group, what was possible is possible.
    #[test]
    fn groups_can_be_left_out(raw in some(), which in 0..3_u8) {
        match which {
            0 => goes_in_groups(&Stack, &raw)?,
            1 => goes_in_groups(&Priority { smallest_first: false }, &raw)?,
            _ => goes_in_groups(&Set { is_read: false }, &raw)?,
        }
    }

    /// What is left is impossible by itself, and nothing more can go; what came before is possible.
    #[test]
    fn evidence_is_a_proof_and_small(raw in some(), which in 0..3_u8) {
        match which {
            0 => proves(&Stack, &raw)?,
            1 => proves(&Priority { smallest_first: true }, &raw)?,
            _ => proves(&Set { is_read: false }, &raw)?,
        }
    }
}

/// `takes`: nobody knows what those of unknown outcome took.
fn is_monitored<O>(object: &O, raw: &[Raw], takes: bool) -> Result<(), TestCaseError>
where
    O: Sample + Container,
{
    let mut ops = history(object, raw, true);
    for op in ops.iter_mut().filter(|op| takes && op.returned.is_none()) {
        if matches!(op.call, ContainerCall::Take(_)) {
            op.call = ContainerCall::Take(Found::Unknown);
        }
    }
    let truth = oracle::judge(object, &ops);
    match object.monitor(&ops) {
        monitor::Verdict::Linearizable => prop_assert_eq!(truth, Answer::Yes, "{:?}", ops),
        monitor::Verdict::Broken { at, exact: true } => {
            prop_assert_eq!(truth, Answer::No(at), "{:?}", ops);
        }
        monitor::Verdict::Broken { exact: false, .. } => {
            prop_assert!(takes && matches!(truth, Answer::No(_)), "{:?}", ops);
        }
        monitor::Verdict::Undecided => {
            let unknown = |op: &Op<_>| op.call == ContainerCall::Take(Found::Unknown);
            prop_assert!(ops.iter().any(unknown), "{:?}", ops);
        }
    }
    let verdict = object.monitor(&ops);
    let both = monitor::with_search(verdict, || search(object, &ops, &mut all()));
    prop_assert_eq!(both, truth, "{:?}", ops);
    Ok(())
}

fn is_monitored_at_large<O: Sample + Container>(
    object: &O,
    raw: &[Raw],
) -> Result<(), TestCaseError> {
    let ops = history(object, raw, true);
    let expected = match search(object, &ops, &mut Budget::of_steps(300_000)) {
        Answer::Yes => monitor::Verdict::Linearizable,
        Answer::No(at) => monitor::Verdict::Broken { at, exact: true },
        Answer::GaveUp(_) => return Ok(()),
    };
    prop_assert_eq!(object.monitor(&ops), expected, "{:?}", ops);
    Ok(())
}

fn goes_in_groups<O: Sample>(object: &O, raw: &[Raw]) -> Result<(), TestCaseError>
where
    O::Call: std::fmt::Debug,
{
    let raw: Vec<Raw> = raw.iter().map(|raw| Raw { lie: None, ..*raw }).collect();
    let ops = history(object, &raw, false);
    prop_assert_eq!(oracle::judge(object, &ops), Answer::Yes);
    for gone in ops.iter().filter_map(|op| object.group(&op.call)) {
        let mut less = ops.clone();
        less.retain(|op| object.group(&op.call) != Some(gone));
        prop_assert_eq!(oracle::judge(object, &less), Answer::Yes, "{:?} of {:?}", less, ops);
    }
    Ok(())
}

fn proves<O: Sample>(object: &O, raw: &[Raw]) -> Result<(), TestCaseError>
where
    O::Call: std::fmt::Debug,
{
    let ops = history(object, raw, false);
    let Answer::No(at) = oracle::judge(object, &ops) else { return Ok(()) };
    let judge = |ops: &[Op<O::Call>], budget: &mut Budget| search(object, ops, budget);
    let found = evidence::find(object, &ops, at, judge, all());
    prop_assert!(found.is_minimal);
    let own: Vec<Op<O::Call>> = found.culprits.iter().map(|(_, op)| op.clone()).collect();
    prop_assert!(matches!(oracle::judge(object, &own), Answer::No(_)), "{:?} of {:?}", own, ops);
    for (_, gone) in &found.culprits {
        let group = object.group(&gone.call);
        let mut less = own.clone();
        match group {
            Some(_) => less.retain(|op| object.group(&op.call) != group),
            None if object.observes(&gone.call) => less.retain(|op| op != gone),
            None => continue,
        }
        prop_assert_eq!(oracle::judge(object, &less), Answer::Yes, "{:?} of {:?}", less, own);
    }
    let when = |op: &Op<O::Call>, i: usize| op.returned.map(|t| (t, i));
    let before = ops
        .iter()
        .enumerate()
        .filter(|(i, op)| when(op, *i).is_some_and(|own| Some(own) < when(&ops[at], at)));
    prop_assert_eq!(found.explained, before.count());
    Ok(())
}

#[test]
fn more_than_64_in_flight_are_told_apart() {
    let up = |invoked| Op { call: CounterCall::Add(1), invoked, returned: Some(1_000) };
    let mut ops: Vec<_> = (0..200).map(up).collect();
    let read = |n, at| Op { call: CounterCall::Read(n), invoked: at, returned: Some(at + 1) };
    ops.extend([read(70, 300), read(199, 500), read(200, 2_000)]);
    assert_eq!(search(&Counter::default(), &ops, &mut all()), Answer::Yes);
    ops.push(read(198, 600));
    let judged = search(&Counter::default(), &ops, &mut all());
    assert!(matches!(judged, Answer::No(203)), "{judged:?}");
}

#[test]
fn who_is_stuck_says_where() {
    // Any of 2^40 sums, but not this one.
    let one = |v: u64| Op { call: CounterCall::Add(1_i64 << v), invoked: 5, returned: Some(9 + v) };
    let mut ops = vec![Op { call: CounterCall::Read(0), invoked: 0, returned: Some(1) }];
    ops.extend((0..40).map(one));
    ops.push(Op { call: CounterCall::Read(-1), invoked: 5, returned: Some(7) });
    let mut budget = Budget::of_steps(100_000);
    assert_eq!(search(&Counter::default(), &ops, &mut budget), Answer::GaveUp(41));
    assert_eq!(budget.steps, 0);
}
