//! Whether what was measured of a link is what was asked of it. Pure.
//!
//! A busy machine makes everything later, never earlier, and spreads nothing thinner than a limit lets it pass: so
//! times are held against their least, rates against their most, chance against five standard deviations.

use std::time::Duration;

use crate::agent::beside::probe::Datagram;
use crate::agent::beside::protocol::Connect;
use crate::condition::{Delivery, Link};
use crate::quantity::Bandwidth;

/// How many datagrams show whether a link passes.
const DATAGRAMS: u32 = 3;
/// How many show how much it loses.
const SAMPLE: u32 = 200;
const EVERY: Duration = Duration::from_millis(2);
/// The share of a limited link that its measuring may take.
const SHARE: f64 = 0.25;
/// From how many picked packets on it is certain that chance picked some.
const CERTAIN: f64 = 20.0;
/// A burst lasts about so long on a limited link, and has so many datagrams.
const BURST: Duration = Duration::from_millis(200);
const BURST_COUNTS: (f64, f64) = (4.0, 64.0);
/// What a datagram weighs on the wire beyond its padding: it, UDP, IPv4, Ethernet.
const HEAD: usize = Datagram::LENGTH + 8 + 20 + 14;
/// By how much a rate may be over what was asked: the first arrival may have been noted late.
const RATE_SLACK: f64 = 1.5;
/// How much earlier than asked something may seem to come, for rounding.
const TIME_SLACK: Duration = Duration::from_micros(500);

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In words, with figures.
    pub text: String,
    /// Whether it is what was asked.
    pub as_asked: bool,
}

/// As asked.
pub fn right(text: String) -> Finding {
    Finding { text, as_asked: true }
}

/// Not as asked.
pub fn wrong(text: String) -> Finding {
    Finding { text, as_asked: false }
}

/// Datagrams to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Volley {
    pub count: u32,
    pub padding: u16,
    pub every: Duration,
}

/// What came of a volley.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Came {
    pub sent: u32,
    pub arrived: usize,
    /// How long each that is known of was on its way.
    pub each: Vec<Duration>,
    /// Whether that is there and back.
    pub back: bool,
    /// From the first to the last.
    pub over: Duration,
}

/// Datagrams that show whether a link passes, how late, and how much it spoils.
pub(super) fn sample(link: Link) -> Volley {
    let count = if link.draws_lots() { SAMPLE } else { DATAGRAMS };
    let fits = link.bandwidth.map(|most| {
        Duration::from_secs_f64((HEAD * 8) as f64 / (most.bits_per_second() as f64 * SHARE))
    });
    Volley { count, padding: 0, every: fits.unwrap_or_default().clamp(EVERY, EVERY * 50) }
}

/// Datagrams all at once, of which a limit lets so much pass in so much time.
pub(super) fn burst(most: Bandwidth) -> Volley {
    let bytes = most.bits_per_second() as f64 / 8.0 * BURST.as_secs_f64();
    let full = HEAD + usize::from(Datagram::PADDING_MAX);
    let count = (bytes / full as f64).clamp(BURST_COUNTS.0, BURST_COUNTS.1).floor();
    let padding = (bytes / count - HEAD as f64).clamp(0.0, f64::from(Datagram::PADDING_MAX));
    Volley { count: count as u32, padding: padding as u16, every: Duration::ZERO }
}

/// Whether what arrived of a [`sample`] is what was asked. `silence`: how long it was waited for.
pub(super) fn passes(what: &str, link: Link, came: &Came, silence: Duration) -> Finding {
    let (sent, arrived) = (came.sent, came.arrived);
    let back = if came.back { " there and back" } else { "" };
    let text = match came.each.iter().min() {
        _ if arrived == 0 => {
            format!("{what}: none of {sent} datagrams arrived within {}", ms(silence))
        }
        Some(least) => {
            let first = ms(*least);
            format!("{what}: {arrived} of {sent} datagrams arrived, the first after {first}{back}")
        }
        None => format!("{what}: {arrived} of {sent} datagrams arrived"),
    };
    let (asked, slack) = (link.latency.0, link.jitter.0 + TIME_SLACK);
    let early = came.each.iter().filter(|took| **took + slack < asked).count();
    match link.delivery {
        Delivery::Drop | Delivery::Reject if arrived == 0 => right(text),
        Delivery::Drop | Delivery::Reject => wrong(format!("{text}, asked none")),
        _ if link.reorder.fraction() == 0.0 && early > 0 => {
            wrong(format!("{text}, asked {}", ms(asked)))
        }
        _ if link.draws_lots() => lots(text, link, came, early),
        // The system's own traffic may fill a narrow link.
        _ if link.bandwidth.is_some() && arrived > 0 => right(text),
        _ if arrived < sent as usize => wrong(format!("{text}, asked all")),
        _ => right(text),
    }
}

/// Chance is believed within five standard deviations of what was asked; and where it must have picked some, it
/// must show that it did.
fn lots(text: String, link: Link, came: &Came, early: usize) -> Finding {
    let [lost, twice, corrupt, ahead] =
        [link.loss, link.duplicate, link.corrupt, link.reorder].map(|share| share.fraction());
    let (n, arrived) = (f64::from(came.sent), came.arrived as f64);
    // What comes in bursts varies more.
    let bursts = 1.0 / (1.0 - link.correlation.fraction()).max(0.05);
    let slack = |share: f64| 5.0 * (n * share * (1.0 - share)).sqrt() * bursts;
    let (least, most) = (n * (1.0 - lost) * (1.0 - corrupt), n * (1.0 - lost) * (1.0 + twice));
    let spread = slack(lost) + slack(corrupt) + slack(twice) + 1.0;
    let narrow = link.bandwidth.is_some();
    let alone = |other: f64| other == 0.0 && bursts == 1.0;
    let spoils = if lost > 0.0 { ("a loss", link.loss) } else { ("corruption", link.corrupt) };
    let wrongs = [
        ((arrived < least - spread && !narrow), ("no more than a loss", link.loss)),
        (arrived > most + spread, ("a loss", link.loss)),
        // One bit flipped is nearly always a checksum that does not fit.
        (n * lost.max(corrupt) >= CERTAIN && alone(twice) && arrived >= n, spoils),
        (
            n * twice >= CERTAIN && alone(lost + corrupt) && !narrow && arrived <= n,
            ("duplicates", link.duplicate),
        ),
        (early as f64 > n * ahead + slack(ahead) + 1.0, ("overtaking", link.reorder)),
        // Only what is later than its jitter can be seen to have been overtaken.
        (
            n * ahead >= CERTAIN
                && alone(lost + corrupt)
                && early == 0
                && link.latency.0 > link.jitter.0 * 2 + TIME_SLACK * 40,
            ("overtaking", link.reorder),
        ),
    ];
    let text = match ahead > 0.0 {
        true => format!("{text}, {early} overtook"),
        false => text,
    };
    match wrongs.into_iter().find(|(so, _)| *so) {
        Some((_, (what, share))) => wrong(format!("{text}, asked {what} of {share}")),
        None => right(text),
    }
}

/// Whether what arrived of a [`burst`] came no faster than was asked.
pub(super) fn rate(what: &str, most: Bandwidth, volley: Volley, came: &Came) -> Finding {
    let arrived = came.arrived;
    if arrived < 2 {
        return wrong(format!("{what}: {arrived} of {} datagrams show no rate", came.sent));
    }
    let bits = (arrived - 1) as f64 * ((HEAD + usize::from(volley.padding)) * 8) as f64;
    let measured = bits / came.over.as_secs_f64().max(1e-9);
    let text = format!(
        "{what}: {arrived} datagrams of a burst came over {}, {:.3} Mbit/s",
        ms(came.over),
        measured / 1e6
    );
    match measured > most.bits_per_second() as f64 * RATE_SLACK {
        true => wrong(format!("{text}, asked at most {most}")),
        false => right(text),
    }
}

/// Whether a connect was refused, where it should be, and accepted where not.
pub(super) fn connects(what: &str, refused: bool, how: Connect, took: Duration) -> Finding {
    let text = match how {
        Connect::Accepted => format!("{what}: connect accepted after {}", ms(took)),
        Connect::Refused => format!("{what}: connect refused after {}", ms(took)),
        Connect::Silent => format!("{what}: connect not answered within {}", ms(took)),
    };
    match (refused, how) {
        (true, Connect::Refused) | (false, Connect::Accepted) => right(text),
        (true, _) => wrong(format!("{text}, asked a refusal")),
        (false, _) => wrong(format!("{text}, asked that it passes")),
    }
}

/// A time for people.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::{Ratio, Span};

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn as_asked(link: Link, sent: u32, each: Vec<Duration>) -> bool {
        let came = Came { sent, arrived: each.len(), each, ..Came::default() };
        passes("a -> b", link, &came, at(300)).as_asked
    }

    #[test]
    fn what_arrives_is_held_against_what_was_asked() {
        let late = Link { latency: Span::millis(50), ..Link::default() };
        let fine = Link::default();
        let rejected = Link { delivery: Delivery::Reject, ..fine };
        let reset = Link { delivery: Delivery::Reset, ..fine };
        for (link, one_way, expected) in [
            (fine, vec![at(1); 3], true),
            (fine, vec![at(1); 2], false),
            (fine, vec![], false),
            (Link::CUT, vec![], true),
            (Link::CUT, vec![at(1)], false),
            (rejected, vec![], true),
            (rejected, vec![at(1)], false),
            (reset, vec![at(1); 3], true),
            (reset, vec![], false),
            (late, vec![at(51), at(52), at(50)], true),
            (late, vec![at(51), at(52), at(20)], false),
            (late, vec![at(1); 3], false),
        ] {
            assert_eq!(as_asked(link, 3, one_way.clone()), expected, "{link:?} {one_way:?}");
        }
    }

    #[test]
    fn chance_must_show_and_must_not_overdo() {
        let share = Ratio::new(0.3);
        let fine = Link::default();
        let loss = Link { loss: share, ..fine };
        let corrupt = Link { corrupt: share, ..fine };
        let twice = Link { duplicate: share, ..fine };
        for (link, arrived, expected) in [
            (loss, 140, true),
            (loss, 200, false),
            (loss, 20, false),
            (corrupt, 142, true),
            (corrupt, 200, false),
            (corrupt, 20, false),
            (twice, 260, true),
            (twice, 200, false),
            (twice, 400, false),
            (twice, 100, false),
        ] {
            let found = as_asked(link, 200, vec![at(1); arrived]);
            assert_eq!(found, expected, "{link:?} {arrived}");
        }
    }

    #[test]
    fn what_overtakes_must_be_seen_to_and_the_rest_be_late() {
        let ahead = Link { latency: Span::millis(50), reorder: Ratio::new(0.3), ..Link::default() };
        for (early, expected) in [(60, true), (0, false), (150, false)] {
            let mut each = vec![at(1); early];
            each.resize(200, at(51));
            assert_eq!(as_asked(ahead, 200, each), expected, "{early}");
        }
    }

    #[test]
    fn a_burst_shows_the_rate_that_a_link_lets_pass() {
        for mbits in [1_u64, 10, 100] {
            let most = Bandwidth::bits(mbits * 1_000_000);
            let volley = burst(most);
            let bits =
                f64::from(volley.count - 1) * (HEAD as f64 + f64::from(volley.padding)) * 8.0;
            let took = Duration::from_secs_f64(bits / (mbits as f64 * 1e6));
            let judged = |over: Duration, arrived: usize| {
                let came = Came { sent: volley.count, arrived, over, ..Came::default() };
                rate("a -> b", most, volley, &came).as_asked
            };
            let all = volley.count as usize;
            assert!(judged(took, all) && judged(took * 3, all), "{mbits}");
            assert!(!judged(took / 2, all) && !judged(Duration::ZERO, all), "{mbits}");
            assert!(!judged(took, 1) && !judged(took, 0), "{mbits}");
        }
        let narrow = burst(Bandwidth::bits(8_000));
        assert!(narrow.count >= 2 && narrow.padding == 0, "{narrow:?}");
    }

    #[test]
    fn a_refused_link_refuses_and_a_healed_one_accepts() {
        for (refused, how, expected) in [
            (true, Connect::Refused, true),
            (true, Connect::Accepted, false),
            (true, Connect::Silent, false),
            (false, Connect::Accepted, true),
            (false, Connect::Refused, false),
            (false, Connect::Silent, false),
        ] {
            assert_eq!(
                connects("a -> b", refused, how, at(1)).as_asked,
                expected,
                "{refused} {how:?}"
            );
        }
    }
}
