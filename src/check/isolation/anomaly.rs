//! The anomalies by their names, and which imply which (Adya, "Weak Consistency"; Cerone, Bernardi & Gotsman, "A
//! Framework for Transactional Consistency Models with Atomic Visibility"; the names are those of Elle).

use std::fmt;

macro_rules! anomalies {
    ($($name:ident $text:literal => [$($implied:ident)*],)*) => {
        /// What no execution at some level of isolation may show.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Anomaly { $($name,)* }

        const ALL: &[(Anomaly, &str, &[Anomaly])] =
            &[$((Anomaly::$name, $text, &[$(Anomaly::$implied),*]),)*];
    };
}

anomalies! {
    G0 "G0" => [G1c G0Process],
    G0Process "G0-process" => [G1cProcess G0Realtime],
    G0Realtime "G0-realtime" => [G1cRealtime],
    G1a "G1a" => [G1],
    G1b "G1b" => [G1],
    G1c "G1c" => [G1 G1cProcess],
    G1cProcess "G1c-process" => [G1cRealtime G1Process],
    G1cRealtime "G1c-realtime" => [G1Realtime],
    G1 "G1" => [G1Process],
    G1Process "G1-process" => [G1Realtime],
    G1Realtime "G1-realtime" => [],
    GSingleItem "G-single-item" => [GSingle GSingleItemProcess GNonadjacentItem],
    GSingleItemProcess "G-single-item-process" =>
        [GSingleProcess GSingleItemRealtime GNonadjacentItemProcess],
    GSingleItemRealtime "G-single-item-realtime" => [GSingleRealtime GNonadjacentItemRealtime],
    GSingle "G-single" => [GNonadjacent GSingleProcess],
    GSingleProcess "G-single-process" => [GNonadjacentProcess GSingleRealtime],
    GSingleRealtime "G-single-realtime" => [GNonadjacentRealtime],
    GNonadjacentItem "G-nonadjacent-item" => [GNonadjacent G2Item GNonadjacentItemProcess],
    GNonadjacentItemProcess "G-nonadjacent-item-process" =>
        [GNonadjacentProcess G2ItemProcess GNonadjacentItemRealtime],
    GNonadjacentItemRealtime "G-nonadjacent-item-realtime" => [G2ItemRealtime GNonadjacentRealtime],
    GNonadjacent "G-nonadjacent" => [G2 GNonadjacentProcess],
    GNonadjacentProcess "G-nonadjacent-process" => [G2Process GNonadjacentRealtime],
    GNonadjacentRealtime "G-nonadjacent-realtime" => [G2Realtime],
    G2Item "G2-item" => [G2 G2ItemProcess],
    G2ItemProcess "G2-item-process" => [G2Process G2ItemRealtime],
    G2ItemRealtime "G2-item-realtime" => [G2Realtime],
    G2 "G2" => [G2Process],
    G2Process "G2-process" => [G2Realtime],
    G2Realtime "G2-realtime" => [],
    Internal "internal" => [],
    FutureRead "future-read" => [G1c],
    LostUpdate "lost-update" => [WriteSkew G2Item],
    WriteSkew "write-skew" => [G2],
    DirtyUpdate "dirty-update" => [G1a],
    IncompatibleOrder "incompatible-order" => [G1a],
    ThinAirRead "thin-air-read" => [G1a],
    DuplicateElements "duplicate-elements" => [],
    CyclicVersions "cyclic-versions" => [],
    CommitOrderCycle "commit-order-cycle" => [],
    EmptyTransactionGraph "empty-transaction-graph" => [],
    CycleSearchTimeout "cycle-search-timeout" => [],
}

impl Anomaly {
    /// Its name.
    pub fn name(self) -> &'static str {
        ALL.get(self as usize).map_or("", |(_, name, _)| name)
    }

    /// What it is called in plain words.
    fn plainly(self) -> Option<&'static str> {
        let base = self.name().trim_end_matches("-process").trim_end_matches("-realtime");
        Some(match base {
            "G0" => "write cycle",
            "G1a" => "aborted read",
            "G1b" => "intermediate read",
            "G1c" => "circular information flow",
            "G-single" | "G-single-item" => "read skew",
            "G-nonadjacent" | "G-nonadjacent-item" => "long fork",
            "G2" | "G2-item" => "write skew",
            "internal" => "internal inconsistency",
            "incompatible-order" => "incompatible orders",
            "duplicate-elements" => "duplicate element",
            "thin-air-read" => "value from nowhere",
            _ => return None,
        })
    }

    /// Its name, behind what it is called in plain words.
    pub fn told(self) -> String {
        match self.plainly() {
            Some(words) => format!("{words} ({self})"),
            None => self.to_string(),
        }
    }

    /// By its name.
    pub fn of(name: &str) -> Option<Anomaly> {
        ALL.iter().find(|(_, known, _)| *known == name).map(|(anomaly, ..)| *anomaly)
    }

    /// All of their names, for a message.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name, _)| *name)
    }

    /// It says nothing about the history, only that nothing can be said.
    pub fn is_unknown(self) -> bool {
        matches!(self, Anomaly::EmptyTransactionGraph | Anomaly::CycleSearchTimeout)
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of anomalies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anomalies(u64);

impl Anomalies {
    /// Whether this one is in it.
    pub fn has(self, anomaly: Anomaly) -> bool {
        self.0 & (1 << anomaly as u32) != 0
    }
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Adds one.
    pub fn add(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u32;
    }
    /// Those of both.
    pub fn and(self, other: Anomalies) -> Anomalies {
        Anomalies(self.0 & other.0)
    }
    /// Those of either.
    pub fn or(self, other: Anomalies) -> Anomalies {
        Anomalies(self.0 | other.0)
    }
    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        ALL.iter().map(|(anomaly, ..)| *anomaly).filter(move |a| self.has(*a))
    }
    /// With all that these imply.
    pub fn implied(mut self) -> Anomalies {
        loop {
            let before = self;
            for (anomaly, _, implied) in ALL {
                if self.has(*anomaly) {
                    implied.iter().for_each(|other| self.add(*other));
                }
            }
            if self == before {
                return self;
            }
        }
    }
    /// With all that imply any of these.
    pub fn implying(mut self) -> Anomalies {
        loop {
            let before = self;
            for (anomaly, _, implied) in ALL {
                if implied.iter().any(|other| self.has(*other)) {
                    self.add(*anomaly);
                }
            }
            if self == before {
                return self;
            }
        }
    }
}

impl FromIterator<Anomaly> for Anomalies {
    fn from_iter<I: IntoIterator<Item = Anomaly>>(all: I) -> Anomalies {
        let mut set = Anomalies::default();
        all.into_iter().for_each(|anomaly| set.add(anomaly));
        set
    }
}
