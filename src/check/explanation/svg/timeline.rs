//! Operations over time. The axis is linear in pieces, one between each two neighbouring instants: their order is
//! exact, idle time is short and marked as broken, and each label has room; true times are in the tooltips.

use std::collections::BTreeMap;

use super::super::partial::end;
use super::super::timeline::{Operation, Timeline};
use super::super::units::{instant, span};
use super::{Canvas, LINE, short, width};
use crate::check::objects::Op;

/// The least and the most between two instants, and what idle time takes, in pixels.
const LEAST: f64 = 20.0;
const MOST: f64 = 70.0;
const IDLE: f64 = 44.0;
/// A row: a line for labels, and a bar.
const ROW: f64 = 44.0;
const BAR: f64 = 16.0;

struct Axis {
    /// Where each instant lies.
    at: BTreeMap<u64, f64>,
    /// Where idle time was shortened.
    breaks: Vec<f64>,
    right: f64,
}

impl Axis {
    fn x(&self, t: u64) -> f64 {
        self.at.get(&t).copied().unwrap_or(self.right)
    }
}

fn returned(op: &Operation) -> Option<u64> {
    end(&Op { call: (), invoked: op.invoked, returned: op.returned })
}

/// The row of each operation. A process has more than one if its operations overlap.
fn rows(told: &Timeline) -> (Vec<usize>, Vec<u64>) {
    let mut row_of = vec![0; told.operations.len()];
    let mut names = Vec::new();
    for (process, list) in &told.rows {
        let first = names.len();
        let mut free: Vec<Option<u64>> = Vec::new();
        for at in list {
            let op = &told.operations[*at];
            let found = free.iter().position(|until| until.is_some_and(|t| t < op.invoked));
            let place = found.unwrap_or_else(|| {
                free.push(None);
                free.len() - 1
            });
            free[place] = returned(op);
            row_of[*at] = first + place;
        }
        names.resize(first + free.len(), *process);
    }
    (row_of, names)
}

fn busy(told: &Timeline, from: u64, to: u64) -> bool {
    told.operations.iter().any(|op| op.invoked <= from && returned(op).is_some_and(|t| t >= to))
}

fn axis(told: &Timeline, row_of: &[usize], left: f64) -> Axis {
    let ends = told.operations.iter().filter_map(returned);
    let faults = told.faults.iter().flat_map(|f| std::iter::once(f.from).chain(f.to));
    let mut all: Vec<u64> =
        told.operations.iter().map(|o| o.invoked).chain(ends).chain(faults).collect();
    all.sort_unstable();
    all.dedup();
    let gaps: Vec<u64> = all.windows(2).map(|w| w[1] - w[0]).collect();
    let pairs = all.windows(2).filter(|w| busy(told, w[0], w[1]));
    let mut sorted: Vec<u64> = pairs.map(|w| w[1] - w[0]).collect();
    sorted.sort_unstable();
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(1).max(1);
    let mut calls: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, op) in told.operations.iter().enumerate() {
        calls.entry(op.invoked).or_default().push(at);
    }
    let mut axis = Axis { at: BTreeMap::new(), breaks: Vec::new(), right: left };
    let mut label_end: BTreeMap<usize, f64> = BTreeMap::new();
    let mut x = left;
    for (place, t) in all.iter().enumerate() {
        if let Some(before) = place.checked_sub(1) {
            let idle = gaps[before] > usual.saturating_mul(4) && !busy(told, all[before], *t);
            let ratio = gaps[before] as f64 / usual as f64;
            let step = if idle { IDLE } else { (30.0 * ratio).clamp(LEAST, MOST) };
            let start = x;
            x += step;
            let starting = calls.get(t).into_iter().flatten();
            let needs = starting.filter_map(|at| label_end.get(&row_of[*at]).copied());
            x = needs.fold(x, f64::max);
            if idle {
                axis.breaks.push((start + x) / 2.0);
            }
        }
        axis.at.insert(*t, x);
        for at in calls.get(t).into_iter().flatten() {
            let label = short(&told.operations[*at].label);
            label_end.insert(row_of[*at], x + width(&label) + 10.0);
        }
    }
    axis.right = label_end.values().copied().fold(x + 40.0, f64::max);
    axis
}

fn since(told: &Timeline) -> u64 {
    let faults = told.faults.iter().map(|f| f.from);
    told.operations.iter().map(|op| op.invoked).chain(faults).min().unwrap_or(0)
}

/// The picture.
pub fn timeline(told: &Timeline) -> String {
    draw(told).done("Timeline of a history that is not linearizable", &told.sentence)
}

pub(in super::super) fn draw(told: &Timeline) -> Canvas {
    let (row_of, names) = rows(told);
    let labels = names.iter().map(|process| width(&format!("process {process}")));
    let left = 16.0 + labels.fold(0.0, f64::max) + 20.0;
    let axis = axis(told, &row_of, left);
    let mut canvas = Canvas::default();
    let top = faults(&mut canvas, told, &axis, 16.0);
    let top = band(&mut canvas, told, &axis, top, names.len());
    for (row, process) in names.iter().enumerate() {
        let y = top + ROW * row as f64;
        canvas.path(&format!("M16 {:.1}H{:.1}", y + ROW - 3.0, axis.right), "grid");
        if row == 0 || names[row - 1] != *process {
            canvas.text(16.0, y + LINE + BAR - 3.0, "soft", &format!("process {process}"));
        }
    }
    let places = places(told, &axis, &row_of, top);
    line(&mut canvas, &places);
    for (at, row) in row_of.iter().enumerate() {
        operation(&mut canvas, told, &axis, at, top + ROW * *row as f64);
    }
    numbers(&mut canvas, &places);
    ticks(&mut canvas, told, &axis, top + ROW * names.len() as f64);
    canvas
}

fn faults(canvas: &mut Canvas, told: &Timeline, axis: &Axis, mut y: f64) -> f64 {
    for fault in &told.faults {
        let (x, until) = (axis.x(fault.from), fault.to.map_or(axis.right, |t| axis.x(t)));
        let ended = fault.to.map_or("not healed".to_owned(), |t| {
            format!("for {}", span(t.saturating_sub(fault.from)))
        });
        let title = format!("fault {}: {ended}", fault.name);
        canvas.rect((x, y + LINE, (until - x).max(3.0), 6.0), "fault", &title);
        canvas.text(x, y + 12.0, "soft", &short(&fault.name));
        y += LINE + 12.0;
    }
    y
}

fn band(canvas: &mut Canvas, told: &Timeline, axis: &Axis, y: f64, rows: usize) -> f64 {
    let Some(interval) = told.interval else { return y };
    let (x, until) = (axis.x(interval.from), axis.x(interval.to));
    let caption =
        if told.exact { "impossible from here on" } else { "no order found from here on" };
    let title = format!("{caption}: within {}", span(interval.to - interval.from));
    let high = ROW * rows as f64 + 4.0;
    canvas.rect((x, y + LINE + 2.0, (until - x).max(4.0), high), "band", &title);
    canvas.text(x, y + 12.0, "bad strong", caption);
    y + LINE + 6.0
}

fn operation(canvas: &mut Canvas, told: &Timeline, axis: &Axis, at: usize, y: f64) {
    let op = &told.operations[at];
    let start = since(told);
    let line = op.line.map_or_else(String::new, |line| format!(", line {line}"));
    let ended =
        returned(op).map_or("outcome unknown".to_owned(), |t| format!("+{}", instant(t - start)));
    let title = format!(
        "{}: process {}{line}, +{} to {ended}",
        op.label,
        op.process,
        instant(op.invoked - start)
    );
    let stuck = told.stuck.contains(&at);
    let class = match op.returned {
        _ if stuck => "stuck",
        _ if told.later.contains(&at) => "later",
        None => "bar open",
        Some(_) => "bar",
    };
    let x = axis.x(op.invoked);
    let until = returned(op).map_or(axis.right, |t| axis.x(t));
    let place = (x, y + LINE + 2.0, (until - x).max(4.0), BAR);
    if op.returned.is_some() {
        canvas.rect(place, class, &title);
    } else {
        // Fades out in steps: a gradient would need an identifier, and those clash where pictures share a page.
        let part = place.2 / 5.0;
        for step in 0..5 {
            let left = x + part * f64::from(step);
            canvas.body += &format!("<g opacity=\"{:.2}\">", 0.9 - 0.17 * f64::from(step));
            canvas.rect((left, place.1, part, BAR), "fade", &title);
            canvas.body += "</g>\n";
        }
        let (low, high) = (place.1 + BAR, place.1);
        canvas.path(&format!("M{until:.1} {high:.1}H{x:.1}V{low:.1}H{until:.1}"), "line open");
    }
    canvas.text(x, y + 13.0, if stuck { "bad strong" } else { "" }, &short(&op.label));
    if stuck {
        let (mid, low) = (x + 9.0, y + LINE + BAR - 2.0);
        canvas.text(mid, low, "bad strong mid", "x");
    }
}

/// Where the points of the partial linearization lie.
fn places(told: &Timeline, axis: &Axis, row_of: &[usize], top: f64) -> Vec<(f64, f64)> {
    let middle = |at: usize| top + ROW * row_of[at] as f64 + LINE + 2.0 + BAR / 2.0;
    told.order.iter().map(|p| (axis.x(p.at), middle(p.operation))).collect()
}

fn line(canvas: &mut Canvas, places: &[(f64, f64)]) {
    let steps: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    if !steps.is_empty() {
        canvas.path(&format!("M{}", steps.join("L")), "line");
    }
}

fn numbers(canvas: &mut Canvas, places: &[(f64, f64)]) {
    for (place, (x, y)) in places.iter().enumerate() {
        let number = (place + 1).to_string();
        let wide = (width(&number) + 4.0).max(16.0);
        let (left, top) = (x - wide / 2.0, y - 8.0);
        canvas.body += &format!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"16\" rx=\"8\" \
             class=\"dot\"/>\n"
        );
        canvas.text(*x, y + 4.0, "mid", &number);
    }
}

fn ticks(canvas: &mut Canvas, told: &Timeline, axis: &Axis, y: f64) {
    canvas.path(&format!("M16 {y:.1}H{:.1}", axis.right), "grid");
    let start = since(told);
    let mut free = 0.0;
    for (t, x) in &axis.at {
        canvas.path(&format!("M{x:.1} {y:.1}v5"), "grid");
        let label = format!("+{}", instant(t - start));
        if *x >= free {
            canvas.text(*x, y + 18.0, "soft", &label);
            free = x + width(&label) + 10.0;
        }
    }
    for x in &axis.breaks {
        canvas.path(&format!("M{:.1} {:.1}l6 -12m4 0l-6 12", x - 5.0, y + 6.0), "line");
    }
    let start = span(start);
    let scale = format!("0 is {start} of the history; // idle time, shortened; not to scale");
    canvas.text(16.0, y + 38.0, "soft", &scale);
    canvas.text(
        16.0,
        y + 54.0,
        "soft",
        "numbers: an order that is legal; x: no place in it; dots: comes after x",
    );
    canvas.grow(axis.right, y);
}
