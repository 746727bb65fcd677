//! A drill on a terminal: a view of a few lines that stays at the bottom, and above it, in the scroll-back,
//! a line for each thing that happened.
//!
//! Invariant: the terminal needs no restoring. No raw mode (Ctrl-C stays a signal), no other screen, the
//! cursor stays visible; so even a runner that is killed leaves a terminal that works.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Position;
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};
use ratatui::{Terminal, TerminalOptions, Viewport};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::drill::event::Stamped;

use super::lines::Lines;
use super::logs::Logs;
use super::shown::{State, Weight, words};
use super::terminal::Show;
use super::view;

/// How long after one picture the next one is drawn at the earliest.
const REDRAW: Duration = Duration::from_millis(100);

/// Below this the view says nothing; lines say more.
const SMALLEST: (u16, u16) = (40, view::HEIGHT + 2);

/// Whether a view is on the screen. Held while it is drawn.
static ON_SCREEN: Mutex<bool> = Mutex::new(false);

/// From now on a panic anywhere ends the view before it speaks, so that its message is not drawn over.
fn make_way_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let speak = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A view that is just being drawn is waited for; one that panics itself holds the lock for good.
            for _ in 0..50 {
                if let Ok(mut on_screen) = ON_SCREEN.try_lock() {
                    if std::mem::replace(&mut *on_screen, false) {
                        let _ = io::stderr().write_all(b"\r\n");
                    }
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            speak(panic);
        }));
    });
}

/// Shows a drill's events until their channel closes, on a thread of its own: a slow terminal holds up no
/// drill. Join it before anything else is printed. While it lasts, nothing else may print.
pub fn spawn(
    events: UnboundedReceiver<Stamped>,
    show: Show,
    logs: &Logs,
) -> io::Result<JoinHandle<()>> {
    let logs = logs.clone();
    std::thread::Builder::new().name("show".into()).spawn(move || match show {
        Show::Live => live(events, &logs),
        Show::Lines => lines(events),
        Show::Nothing => drain(events),
    })
}

fn drain(mut events: UnboundedReceiver<Stamped>) {
    while events.blocking_recv().is_some() {}
}

fn lines(mut events: UnboundedReceiver<Stamped>) {
    let mut lines = Lines::new(io::stderr());
    while let Some(event) = events.blocking_recv() {
        lines.take(&event);
    }
}

fn live(events: UnboundedReceiver<Stamped>, logs: &Logs) {
    let fits = ratatui::crossterm::terminal::size()
        .is_ok_and(|(columns, rows)| columns >= SMALLEST.0 && rows >= SMALLEST.1);
    let options = TerminalOptions { viewport: Viewport::Inline(view::HEIGHT) };
    let backend = CrosstermBackend::new(io::stderr());
    let terminal = fits.then(|| Terminal::with_options(backend, options));
    let Some(Ok(terminal)) = terminal else { return lines(events) };
    let colour = super::terminal::stderr_colour();
    let log_lines = logs.divert();
    make_way_for_panics();
    *ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner) = true;
    let mut screen = Screen { terminal, colour };
    let rest = screen.show(events, &log_lines);
    screen.leave();
    logs.restore();
    for line in log_lines.try_iter() {
        let _ = io::stderr().write_all(&line);
    }
    // A terminal that refused in the middle gets the rest as lines.
    if let Some(rest) = rest {
        lines(rest);
    }
}

/// The view, and the scroll-back above it.
struct Screen<B: Backend> {
    terminal: Terminal<B>,
    colour: bool,
}

impl<B: Backend> Screen<B> {
    /// Until the channel closes; or gives it back, if the terminal refuses.
    fn show(
        &mut self,
        mut events: UnboundedReceiver<Stamped>,
        log_lines: &Receiver<Vec<u8>>,
    ) -> Option<UnboundedReceiver<Stamped>> {
        let mut state = State::default();
        loop {
            let until = Instant::now() + REDRAW;
            let mut traces = vec![];
            let open = loop {
                match events.try_recv() {
                    Ok(event) => {
                        state.take(&event);
                        let trace = words(&event.event);
                        traces.extend(
                            trace.map(|(w, text)| (w, format!("{:>12}  {text}", event.at))),
                        );
                    }
                    Err(TryRecvError::Empty) => break true,
                    Err(TryRecvError::Disconnected) => break false,
                }
            };
            for line in log_lines.try_iter() {
                let text = crate::report::plain(&String::from_utf8_lossy(&line));
                traces.push((Weight::Alarm, text.trim_end().to_string()));
            }
            let on_screen = ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
            if !*on_screen {
                return Some(events);
            }
            let shown = self.trace(&traces).and_then(|()| self.draw(&state));
            drop(on_screen);
            match (shown, open) {
                (_, false) => return None,
                (Err(_), true) => return Some(events),
                (Ok(()), true) => {
                    std::thread::sleep(until.saturating_duration_since(Instant::now()))
                }
            }
        }
    }

    /// Puts lines into the scroll-back, wrapped by the width that the terminal has now.
    fn trace(&mut self, traces: &[(Weight, String)]) -> Result<(), B::Error> {
        let width = usize::from(self.terminal.size()?.width).max(20);
        for (weight, text) in traces {
            let style = match (self.colour, weight) {
                (false, _) | (true, Weight::Plain) => Style::new(),
                (true, Weight::Mark) => Style::new().fg(Color::Yellow),
                (true, Weight::Alarm) => Style::new().fg(Color::Red).bold(),
            };
            let lines: Vec<Line> = view::wrap(text, width).into_iter().map(Line::from).collect();
            let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
            self.terminal.insert_before(height, |buffer| {
                Paragraph::new(lines).style(style).render(buffer.area, buffer);
            })?;
        }
        Ok(())
    }

    fn draw(&mut self, state: &State) -> Result<(), B::Error> {
        self.terminal.draw(|frame| {
            let area = frame.area();
            let lines = view::lines(state, usize::from(area.width), self.colour);
            // A cursor with a place is a cursor that is shown. Behind the text a `^C` does no harm.
            let behind = lines.last().map_or(0, |line| line.width() + 1);
            let x = u16::try_from(behind).unwrap_or(0).min(area.width.saturating_sub(1));
            frame.render_widget(Paragraph::new(lines), area);
            frame.set_cursor_position(Position::new(x, area.bottom().saturating_sub(1)));
        })?;
        Ok(())
    }

    /// Takes the view away. What was put into the scroll-back stays.
    fn leave(&mut self) {
        let mut on_screen = ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *on_screen, false) {
            let top = self.terminal.get_frame().area().as_position();
            let _ = self.terminal.clear();
            let _ = self.terminal.set_cursor_position(top);
        }
        let _ = self.terminal.show_cursor();
    }
}
