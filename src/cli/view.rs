//! The live view's picture: the state of a drill as a few lines of a given width. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::shown::{Course, Fault, Node, State, clock, millis};

/// How many lines there are.
pub(super) const HEIGHT: u16 = 8;

/// How many of them are for active faults.
const ACTIVE: usize = 2;

/// The picture: exactly [`HEIGHT`] lines, none wider than `width`.
pub(super) fn lines(state: &State, width: usize, colour: bool) -> Vec<Line<'static>> {
    let paint = |style: Style| if colour { style } else { Style::new() };
    let mut lines = vec![
        Line::styled("─".repeat(width), paint(Style::new().dim())),
        Line::styled(head(state, width), paint(Style::new().bold())),
        bar(state, width, colour),
    ];
    lines.extend(active(state, width).into_iter().map(|(alarm, text)| {
        Line::styled(text, paint(Style::new().fg(if alarm { Color::Red } else { Color::Yellow })))
    }));
    lines.push(Line::from(fit(&figures(state), width)));
    lines.push(Line::from(fit(&format!("{}  ops/s", sparkline(state, width)), width)));
    lines.push(nodes(&state.nodes, width, colour));
    lines.truncate(usize::from(HEIGHT));
    lines
}

fn head(state: &State, width: usize) -> String {
    let left = format!("{}  {}  seed {}", state.scenario, state.target, state.seed);
    let time = match state.load_began {
        Some(_) => format!("{} / {}", clock(state.elapsed()), clock(state.load)),
        None => clock(state.now.since(Default::default())),
    };
    let right = format!("{}  {time}", state.phase);
    let room = width.saturating_sub(right.chars().count() + 2);
    let left = fit(&left, room);
    fit(&format!("{left:<room$}  {right}"), width)
}

/// The load from its beginning to its end: what is done is solid, a fault is thick, now is a mark.
fn bar(state: &State, width: usize, colour: bool) -> Line<'static> {
    let load = state.load.as_secs_f64();
    if load <= 0.0 || width < 3 {
        return Line::default();
    }
    let cell = load / width as f64;
    let now = state.elapsed().as_secs_f64();
    let spans = (0..width).map(|i| {
        let (from, to) = (i as f64 * cell, (i + 1) as f64 * cell);
        let fault = state.faults.iter().find(|f| {
            let (begins, ends) = extent(state, f);
            begins < to && ends > from
        });
        let done = to <= now;
        let (text, style) = match (fault, state.load_began.is_some() && from <= now && now < to) {
            (_, true) => ("┃", Style::new().bold()),
            (Some(f), _) if f.unproven => ("▓", Style::new().fg(Color::Red)),
            (Some(_), _) if done => ("█", Style::new().fg(Color::Yellow)),
            (Some(_), _) => ("▒", Style::new().fg(Color::Yellow)),
            (None, _) if done => ("━", Style::new().fg(Color::Green)),
            (None, _) => ("─", Style::new().dim()),
        };
        Span::styled(text, if colour { style } else { Style::new() })
    });
    Line::from_iter(spans)
}

/// When a fault is or was or will be in effect, in seconds of the load.
fn extent(state: &State, fault: &Fault) -> (f64, f64) {
    let began = state.load_began.unwrap_or_default();
    let length = fault.planned.length;
    let (from, to) = match fault.course {
        Course::Planned | Course::Injecting => (fault.planned.at, fault.planned.at + length),
        Course::Active(at) => {
            let from = at.since(began);
            (from, (from + length).max(state.elapsed()))
        }
        Course::Over(from, to) => (from.since(began), to.since(began)),
    };
    (from.as_secs_f64(), to.as_secs_f64())
}

/// One line for each active fault, as many as there is room for; then what comes next.
fn active(state: &State, width: usize) -> Vec<(bool, String)> {
    let mut all: Vec<(bool, String)> =
        state.active().map(|f| (f.unproven, active_words(state, f))).collect();
    let hidden = all.len().saturating_sub(ACTIVE);
    if hidden > 0 {
        all.truncate(ACTIVE);
        if let Some((_, last)) = all.last_mut() {
            let more = format!("  (+{hidden} more)");
            *last = fit(last, width.saturating_sub(more.len())) + &more;
        }
    }
    let next =
        state.faults.iter().filter(|f| f.course == Course::Planned).min_by_key(|f| f.planned.at);
    if let Some(next) = next.filter(|_| all.len() < ACTIVE) {
        let left = next.planned.at.saturating_sub(state.elapsed());
        all.push((false, format!("  next in {}: {}", clock(left), next.what)));
    }
    all.resize(ACTIVE, (false, String::new()));
    all.into_iter().map(|(alarm, text)| (alarm, fit(&text, width))).collect()
}

fn active_words(state: &State, fault: &Fault) -> String {
    let what = &fault.what;
    let proven = if fault.unproven { ", NOT PROVEN" } else { "" };
    match fault.course {
        Course::Active(at) => {
            let since: Duration = state.now.since(at);
            let (since, of) = (since.as_secs_f64(), fault.planned.length.as_secs_f64());
            format!("▶ {what}: {since:.1} s of {of:.1} s{proven}")
        }
        _ => format!("▷ {what}: injecting"),
    }
}

fn figures(state: &State) -> String {
    let Some(p) = &state.progress else { return "no operations yet".into() };
    let success = p.success.map_or("-".into(), |s| format!("{:.1}%", s.fraction() * 100.0));
    let [p50, p99] = [p.p50, p.p99].map(|t| t.map_or("-".into(), millis));
    format!(
        "{:.0} ops/s  {success} ok  p50 {p50}  p99 {p99}  in flight {}  dropped {}",
        p.rate, p.in_flight, p.dropped,
    )
}

/// The rate's past: the highest rate seen is full height.
fn sparkline(state: &State, width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = state.rates.iter().copied().fold(0.0, f64::max);
    let room = width.saturating_sub("  ops/s".len());
    let from = state.rates.len().saturating_sub(room);
    let shown = state.rates.iter().skip(from);
    let block = |rate: &f64| match top > 0.0 && *rate > 0.0 {
        true => BLOCKS[((rate / top * 7.0).round() as usize).min(7)],
        false => ' ',
    };
    format!("{:>room$}", shown.map(block).collect::<String>())
}

/// By zone: `dc1: n1* n2 down | dc2: n3`, the leader with a star.
fn nodes(
    nodes: &BTreeMap<crate::inventory::NodeId, Node>,
    width: usize,
    colour: bool,
) -> Line<'static> {
    let mut zones: BTreeMap<&str, Vec<(String, &'static str)>> = BTreeMap::new();
    for (id, node) in nodes {
        let leads = if node.leads { "*" } else { "" };
        let state = if matches!(node.state, "up" | "") {
            String::new()
        } else {
            format!(" {}", node.state)
        };
        zones.entry(&node.zone).or_default().push((format!("{id}{leads}{state}"), node.state));
    }
    let mut spans: Vec<Span> = vec![];
    let mut room = width;
    let mut push = |text: String, style: Style| {
        let text = fit(&text, room);
        room -= text.chars().count();
        spans.push(Span::styled(text, if colour { style } else { Style::new() }));
    };
    for (i, (zone, members)) in zones.into_iter().enumerate() {
        push(format!("{}{zone}:", if i > 0 { " | " } else { "" }), Style::new().dim());
        for (text, state) in members {
            let style = match state {
                "died" => Style::new().fg(Color::Red).bold(),
                "down" | "starting" => Style::new().fg(Color::Yellow),
                _ => Style::new().fg(Color::Green),
            };
            push(format!(" {text}"), style);
        }
    }
    Line::from(spans)
}

/// The text, cut to a width; what was cut off shows as `…`.
fn fit(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_string(),
        false if width == 0 => String::new(),
        false => text.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// The text in lines of at most this many characters, broken at spaces where there are some.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![];
    let mut rest: Vec<char> = text.chars().collect();
    let mut indent = 0;
    while rest.len() + indent > width {
        let room = width.saturating_sub(indent).max(1);
        let line = &rest[..room.min(rest.len())];
        let space = line.iter().rposition(|c| *c == ' ').filter(|at| *at > room / 2);
        let tail = rest.split_off(space.map_or(line.len(), |at| at + 1));
        lines.push(" ".repeat(indent) + rest.iter().collect::<String>().trim_end());
        rest = tail;
        indent = 14.min(width / 2); // under the words, behind the instant
        if rest.is_empty() {
            return lines;
        }
    }
    lines.push(" ".repeat(indent) + &rest.iter().collect::<String>());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::shown::tests::{in_the_middle, injected};
    use super::*;

    fn state() -> State {
        let mut state = State::default();
        in_the_middle().iter().for_each(|event| state.take(event));
        state
    }

    fn picture(state: &State, width: usize) -> String {
        let lines = lines(state, width, false);
        assert_eq!(lines.len(), usize::from(HEIGHT));
        lines.iter().map(|l| format!("{l}\n")).collect()
    }

    #[test]
    fn the_picture_shows_time_faults_figures_and_nodes() {
        insta::assert_snapshot!(picture(&state(), 80), @r#"
        ────────────────────────────────────────────────────────────────────────────────
        leader-datacenter-loss  local  seed 42                         load  0:12 / 1:00
        ━━━━━━━━━━━━━███┃▒▒▒▒▒▒▒▒▒▒──────────────────────────▒▒▒▒▒▒▒▒▒▒▒▒▒▒─────────────
        ▶ kill n1, n2 (dc1): 2.0 s of 10.0 s
          next in 0:28: pause n5
        450 ops/s  90.0% ok  p50 2.10 ms  p99 35 ms  in flight 4  dropped 7
                                                                              █▂▇  ops/s
        dc1: n1 down n2 down | dc2: n3* n4 | dc3: n5 died
        "#);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_at_any_width() {
        let mut state = state();
        state.take(&injected(13_001, 1, &"pause n5 ".repeat(20), Some("n5 still answers")));
        state.take(&injected(13_002, 1, "again", None));
        for width in 0..200 {
            for line in picture(&state, width).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn before_the_first_event_there_is_a_picture_too() {
        assert!(picture(&State::default(), 80).contains("no operations yet"));
    }

    #[test]
    fn long_lines_are_broken_at_spaces_and_lose_nothing() {
        let text = format!("{:>12}  {}", "1.000 s", "word ".repeat(40));
        for width in [20, 40, 80, 120] {
            let lines = wrap(text.trim_end(), width);
            assert!(lines.iter().all(|l| l.chars().count() <= width), "{width}: {lines:#?}");
            let words = |t: &str| t.split_whitespace().map(String::from).collect::<Vec<_>>();
            assert_eq!(words(&lines.join(" ")), words(&text), "{width}");
        }
        assert_eq!(wrap(&"x".repeat(50), 20).concat().replace(' ', ""), "x".repeat(50));
    }
}
