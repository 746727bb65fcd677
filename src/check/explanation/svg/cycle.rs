//! Transactions of a cycle, one below the other; the last edge goes back along the left side.

use super::super::cycle::{Cycle, Edge};
use super::{Canvas, LINE, short, width, wrapped};

/// Where boxes begin, and the line of the edge that goes back.
const LEFT: f64 = 56.0;
const BACK: f64 = 24.0;

/// The picture.
pub fn cycle(told: &Cycle) -> String {
    draw(told).done(&format!("Cycle of transactions: {}", told.anomaly), &told.sentence)
}

pub(in super::super) fn draw(told: &Cycle) -> Canvas {
    let mut canvas = Canvas::default();
    canvas.text(16.0, 28.0, "strong", &short(&told.anomaly));
    let (mut y, mut top) = (48.0, 0.0);
    for (place, edge) in told.edges.iter().enumerate() {
        let (middle, bottom) = transaction(&mut canvas, told, edge.from, y);
        if place == 0 {
            top = middle;
        }
        y = reason(&mut canvas, edge, bottom, place + 1 < told.edges.len());
        if place + 1 == told.edges.len() {
            let path =
                format!("M{:.1} {bottom:.1}v10H{BACK}V{top:.1}H{:.1}", LEFT + 20.0, LEFT - 8.0);
            canvas.path(&path, "line back");
            canvas.path(&format!("M{LEFT} {top:.1}l-10 -5v10z"), "bad");
        }
    }
    canvas
}

/// A box; where its middle and its lower edge are.
fn transaction(canvas: &mut Canvas, told: &Cycle, at: usize, y: f64) -> (f64, f64) {
    let shown = &told.transactions[at];
    let lines: Vec<String> = shown.steps.iter().flat_map(|step| wrapped(step)).collect();
    let name = wrapped(&shown.name);
    let all = name.iter().chain(&lines);
    let wide = all.map(|line| width(line)).fold(120.0, f64::max) + 20.0;
    let high = LINE * (name.len() + lines.len()) as f64 + 12.0;
    canvas.rect((LEFT, y, wide, high), "bar", &shown.name);
    for (row, line) in name.iter().chain(&lines).enumerate() {
        let class = if row < name.len() { "strong" } else { "" };
        canvas.text(LEFT + 10.0, y + 18.0 + LINE * row as f64, class, line);
    }
    (y + high / 2.0, y + high)
}

/// An edge's label; where the next box begins. `down`: with an arrow to there.
fn reason(canvas: &mut Canvas, edge: &Edge, y: f64, down: bool) -> f64 {
    let lines = wrapped(&format!("{}: {}", edge.kind, edge.reason));
    let next = y + LINE * lines.len() as f64 + 24.0;
    for (row, line) in lines.iter().enumerate() {
        let class = if down { "" } else { "bad strong" };
        canvas.text(LEFT + 36.0, y + 24.0 + LINE * row as f64, class, line);
    }
    if down {
        let x = LEFT + 20.0;
        canvas.path(&format!("M{x} {y:.1}V{:.1}", next - 8.0), "line");
        canvas.path(&format!("M{x} {next:.1}l-5 -10h10z"), "tip");
    }
    next
}
