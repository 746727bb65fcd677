//! What an agent within a node measured of its processors, memory, disks and clocks, judged by what was asked. The
//! findings are the same wherever the node lives.

use std::collections::BTreeSet;

use super::inside::Insider;
use super::judge::{Finding, ms, right, wrong};
use crate::agent::within::Limits;
use crate::agent::within::protocol::{Clocks, Done, Measured, Order, Room};
use crate::condition::{ClockSkew, Disk, Load};
use crate::quantity::Bytes;

/// What it measures, with the room on these folders.
pub async fn measure(agent: &Insider, folders: BTreeSet<String>) -> Result<Measured, String> {
    match agent.ask(Order::Measure { folders }).await? {
        Done::Measured(measured) => Ok(measured),
        other => Err(format!("the agent answered {other:?}")),
    }
}

/// What was measured of a node's processors, memory and disk throughput.
pub fn of_load(asked: &Load, own: &Limits, measured: &Measured) -> Vec<Finding> {
    let mut found = vec![];
    let (limits, wanted) = (measured.limits.as_ref(), measured.asked.as_ref());
    let differs = |(file, value): (&String, &String)| {
        let now = limits.and_then(|limits| limits.get(file));
        (now != Some(value)).then(|| {
            format!("{file} is {}, asked {value}", now.map_or("not there", String::as_str))
        })
    };
    let differing: Vec<String> = wanted.into_iter().flatten().filter_map(differs).collect();
    if asked.has_limits() && wanted.is_none() {
        return vec![wrong("its limits were not told".into())];
    }
    match (differing.is_empty(), asked.has_limits()) {
        (false, _) => found.push(wrong(differing.join("; "))),
        (true, true) => {
            let changed = |(file, value): &(&String, &String)| own.get(*file) != Some(*value);
            let shown = limits.into_iter().flatten().filter(changed);
            let shown: Vec<String> = shown
                .map(|(file, value)| format!("{file} is {}", value.replace('\n', ", ")))
                .collect();
            found.push(right(match shown.is_empty() {
                true => "its own limits are as tight".into(),
                false => format!("the kernel says {}", shown.join("; ")),
            }));
        }
        (true, false) => found.push(right("its limits are its own".into())),
    }
    found.extend(of_reads(asked, measured));
    match (asked.cpu_workers, measured.stress_cpus) {
        (0, None) => {}
        (0, Some(cpus)) => found.push(wrong(format!("{cpus:.2} processors are taken still"))),
        (_, Some(cpus)) if cpus > 0.0 => {
            found.push(right(format!("the stress computes on {cpus:.2} processors")));
        }
        _ => found.push(wrong("the stress does not compute".into())),
    }
    match (asked.memory, measured.stress_memory) {
        (None, None) => {}
        (None, Some(held)) => found.push(wrong(format!("{} are held still", Bytes::of(held)))),
        (Some(size), held) => {
            let held = held.unwrap_or_default();
            let text = format!("the stress holds {} KiB, asked {size}", held / 1024);
            found.push(if held >= size.count() { right(text) } else { wrong(text) });
        }
    }
    found
}

/// How fast the node could read.
fn of_reads(asked: &Load, measured: &Measured) -> Option<Finding> {
    let limit = asked.read_limit?;
    Some(match measured.reads.as_ref()? {
        Ok(reads) if reads.is_within(limit) => right(reads.words()),
        Ok(reads) => wrong(format!("{}, asked {limit}", reads.words())),
        Err(why) => right(format!("how fast it reads is not measured: {why}")),
    })
}

/// What was measured of a node's file systems.
pub fn of_disk(asked: &Disk, measured: &Measured) -> Vec<Finding> {
    let finding = |(folder, room): (&String, &Room)| {
        let free = room.available / 1024;
        match (asked.full.contains_key(folder), room.refused) {
            (true, true) => right(format!(
                "{folder} is full: {} KiB filled, {free} KiB free, a block more is refused",
                room.filled / 1024
            )),
            (true, false) => wrong(format!("{folder} is not full: {free} KiB free")),
            (false, false) => right(format!("{folder} has room: {free} KiB free")),
            (false, true) => wrong(format!("{folder} is full still: {free} KiB free")),
        }
    };
    measured.rooms.iter().map(finding).collect()
}

/// What was measured of the clocks of a node's processes.
pub fn of_clocks(asked: ClockSkew, clocks: &Clocks) -> Finding {
    let Clocks { processes, odd, wall, width, as_asked } = clocks;
    let off = *wall as f64 / 1e9;
    let text =
        format!("the clock that a process reads is off by {off:+.6} s (known to {})", ms(*width));
    match (odd.first(), as_asked) {
        (None, true) => right(format!("{text}; {processes} of {processes} processes")),
        (Some(first), _) => {
            let count = odd.len();
            wrong(format!(
                "{count} of {processes} clocks are off by something else than {asked}: {first}"
            ))
        }
        (None, false) => wrong(format!("{text}, asked {asked}")),
    }
}
