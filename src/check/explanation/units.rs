//! Times for people.

/// A span of nanoseconds, in the largest unit that it fills, with up to three decimals.
pub(super) fn span(ns: u64) -> String {
    told(ns, 3)
}

/// The same with as many decimals as it takes: events that are near each other differ.
pub(super) fn instant(ns: u64) -> String {
    told(ns, 9)
}

fn told(ns: u64, decimals: usize) -> String {
    let (digits, name) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (3, "us"),
        1_000_000..1_000_000_000 => (6, "ms"),
        _ => (9, "s"),
    };
    let unit = 10_u64.pow(digits);
    let rest = format!("{:0wide$}", ns % unit, wide = digits as usize);
    let rest: String = rest.chars().take(decimals).collect();
    let rest = rest.trim_end_matches('0');
    let dot = if rest.is_empty() { "" } else { "." };
    format!("{}{dot}{rest} {name}", ns / unit)
}
