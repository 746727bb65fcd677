//! Room for compare-and-sets that found another value than they expected.
//!
//! An order has everything as early as it can be. Such an operation finds no place in it if the value that it did
//! not find was there all its time. Then what set the value may have come later; or another value may have come
//! after it, and before the operation's return. Either is a matter of holding one operation back, and of lining all
//! of them up again: what comes of it is walked through as any other order, so a wrong guess costs time, not truth.

use std::collections::HashMap;

use super::{Action, Interval, LinedUp, Value};

/// How far back in the order another value is looked for.
const BACK: usize = 256;

/// Holds operations back for those that have no place. Whether that changes anything.
pub(super) fn make_room(
    seen: &mut [(usize, Action, Interval)],
    lined_up: &LinedUp,
    homeless: &[(Value, Interval)],
) -> bool {
    let mut places: HashMap<Value, usize> = homeless.iter().map(|(value, _)| (*value, 0)).collect();
    for (place, block) in lined_up.blocks.iter().enumerate() {
        for effect in &lined_up.effects[block.from..block.to] {
            if let Some(known) = places.get_mut(&effect.value) {
                *known = place;
            }
        }
    }
    let mut changed = false;
    for (value, during) in homeless {
        let place = places.get(value).copied().unwrap_or_default();
        if let Some((op, since)) = room(lined_up, place, *value, during)
            && let Ok(at) = seen.binary_search_by_key(&op, |(op, ..)| *op)
            && seen[at].2.invoked < since
        {
            seen[at].2.invoked = since;
            changed = true;
        }
    }
    changed
}

/// Which operation to hold back until when, for one that did not find this value.
fn room(lined_up: &LinedUp, place: usize, value: Value, during: &Interval) -> Option<(usize, u64)> {
    let block = &lined_up.blocks[place];
    let effects = &lined_up.effects[block.from..block.to];
    let setter = effects.iter().position(|effect| effect.value == value)?;
    let returned = effects[setter..].iter().map(|effect| effect.during.returned).min()?;
    if during.invoked <= returned {
        return Some((effects[setter].op, during.invoked));
    }
    // Too late for that: another value must follow.
    let after = block.latest_call.saturating_add(1);
    if effects.last()?.value != value || after > during.returned {
        return None;
    }
    let others = lined_up.blocks[place.saturating_sub(BACK)..place].iter().rev();
    let mut others =
        others.filter(|other| other.earliest_return >= after && other.latest_call < after);
    others.next().map(|other| (lined_up.effects[other.from].op, after))
}
