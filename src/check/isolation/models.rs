//! Consistency models, which of them imply which, and what each proscribes (Adya, "Weak Consistency"; Bailis et al.,
//! "Highly Available Transactions"; Cerone, Bernardi & Gotsman; Daudjee & Salem; in the arrangement of
//! jepsen.io/consistency and of Elle).

use std::fmt;

use super::anomaly::Anomaly::{
    CyclicVersions, DuplicateElements, FutureRead, G0, G0Process, G0Realtime, G1, G1Process,
    G1Realtime, G1a, G1cProcess, G1cRealtime, G2, G2Item, G2Process, G2Realtime, GNonadjacent,
    GNonadjacentProcess, GNonadjacentRealtime, GSingle, Internal, LostUpdate,
};
use super::anomaly::{Anomalies, Anomaly};

macro_rules! models {
    ($($name:ident $text:literal => [$($implied:ident)*] [$($anomaly:ident)*],)*) => {
        /// A consistency model of transactions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Model { $($name,)* }

        const ALL: &[(Model, &str, &[Model], &[Anomaly])] =
            &[$((Model::$name, $text, &[$(Model::$implied),*], &[$($anomaly),*]),)*];
    };
}

// In the order of their names. The models that each implies, and what it proscribes beyond what those do.
models! {
    CausalCerone "causal-cerone" => [ReadAtomic] [Internal G1a],
    ConsistentView "consistent-view" => [CursorStability MonotonicView] [G1 GSingle],
    CursorStability "cursor-stability" => [ReadCommitted] [G1 LostUpdate],
    ForwardConsistentView "forward-consistent-view" => [ConsistentView] [G1],
    MonotonicAtomicView "monotonic-atomic-view" => [ReadCommitted] [],
    MonotonicSnapshotRead "monotonic-snapshot-read" => [ReadCommitted] [G1],
    MonotonicView "monotonic-view" => [ReadCommitted] [G1],
    ParallelSnapshotIsolation "parallel-snapshot-isolation" =>
        [CausalCerone UpdateAtomic] [Internal G1a],
    Prefix "prefix" => [CausalCerone] [Internal G1a],
    ReadAtomic "read-atomic" => [MonotonicAtomicView] [Internal G1a FutureRead],
    ReadCommitted "read-committed" => [ReadUncommitted] [G1],
    ReadUncommitted "read-uncommitted" => [] [G0 DuplicateElements CyclicVersions],
    RepeatableRead "repeatable-read" =>
        [CursorStability MonotonicAtomicView] [G1 G2Item LostUpdate],
    Serializable "serializable" =>
        [RepeatableRead SnapshotIsolation UpdateSerializable] [G1 G2 Internal],
    SnapshotIsolation "snapshot-isolation" =>
        [ForwardConsistentView MonotonicAtomicView MonotonicSnapshotRead ParallelSnapshotIsolation
         Prefix] [Internal G1 GNonadjacent],
    StrongReadCommitted "strong-read-committed" =>
        [StrongSessionReadCommitted StrongReadUncommitted] [G1cRealtime],
    StrongReadUncommitted "strong-read-uncommitted" =>
        [StrongSessionReadUncommitted] [G0Realtime],
    StrongSerializable "strong-serializable" =>
        [Serializable StrongSnapshotIsolation StrongSessionSerializable]
        [G1 G1cRealtime G2Realtime],
    StrongSessionReadCommitted "strong-session-read-committed" =>
        [ReadCommitted StrongSessionReadUncommitted] [G1cProcess],
    StrongSessionReadUncommitted "strong-session-read-uncommitted" =>
        [ReadUncommitted] [G0Process],
    StrongSessionSerializable "strong-session-serializable" =>
        [Serializable StrongSessionSnapshotIsolation] [G1Process G2Process],
    StrongSessionSnapshotIsolation "strong-session-snapshot-isolation" =>
        [SnapshotIsolation StrongSessionReadCommitted] [Internal G1Process GNonadjacentProcess],
    StrongSnapshotIsolation "strong-snapshot-isolation" =>
        [StrongSessionSnapshotIsolation StrongReadCommitted]
        [Internal G1Realtime GNonadjacentRealtime],
    UpdateAtomic "update-atomic" => [ReadAtomic] [LostUpdate],
    UpdateSerializable "update-serializable" => [ForwardConsistentView] [G1],
}

/// Other names for some of them.
const ALIASES: &[(&str, Model)] = &[
    ("strict-serializable", Model::StrongSerializable),
    ("strict-serializability", Model::StrongSerializable),
    ("serializability", Model::Serializable),
    ("conflict-serializable", Model::Serializable),
    ("causal", Model::CausalCerone),
    ("ROLA", Model::UpdateAtomic),
    ("PL-1", Model::ReadUncommitted),
    ("PL-2", Model::ReadCommitted),
    ("PL-CS", Model::CursorStability),
    ("PL-2L", Model::MonotonicView),
    ("PL-MSR", Model::MonotonicSnapshotRead),
    ("PL-2+", Model::ConsistentView),
    ("PL-FCV", Model::ForwardConsistentView),
    ("PL-2.99", Model::RepeatableRead),
    ("PL-SI", Model::SnapshotIsolation),
    ("PL-3U", Model::UpdateSerializable),
    ("PL-3", Model::Serializable),
    ("PL-SS", Model::StrongSerializable),
];

impl Model {
    /// Its name.
    pub fn name(self) -> &'static str {
        ALL.get(self as usize).map_or("", |(_, name, ..)| name)
    }

    /// By its name, or by one of its other names.
    pub fn of(name: &str) -> Option<Model> {
        let own = ALL.iter().find(|(_, known, ..)| *known == name).map(|(model, ..)| *model);
        own.or_else(|| ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, model)| *model))
    }

    /// All of their names, for a message.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name, ..)| *name)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Models(u32);

impl Models {
    /// Whether this one is in it.
    pub fn has(self, model: Model) -> bool {
        self.0 & (1 << model as u32) != 0
    }
    /// Adds one.
    pub fn add(&mut self, model: Model) {
        self.0 |= 1 << model as u32;
    }
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = Model> {
        ALL.iter().map(|(model, ..)| *model).filter(move |m| self.has(*m))
    }
    /// With all that these imply.
    pub fn implied(mut self) -> Models {
        loop {
            let before = self;
            for (model, _, implied, _) in ALL {
                if self.has(*model) {
                    implied.iter().for_each(|other| self.add(*other));
                }
            }
            if self == before {
                return self;
            }
        }
    }
    /// The anomalies of which each proves that one of these does not hold.
    pub fn proscribed(self) -> Anomalies {
        let all = self.implied();
        let direct = ALL.iter().filter(|(model, ..)| all.has(*model));
        let direct: Anomalies =
            direct.flat_map(|(.., anomalies)| anomalies.iter().copied()).collect();
        direct.implying()
    }
}

impl FromIterator<Model> for Models {
    fn from_iter<I: IntoIterator<Item = Model>>(all: I) -> Models {
        let mut set = Models::default();
        all.into_iter().for_each(|model| set.add(model));
        set
    }
}

/// Which models anomalies refute: the weakest of them, and those that imply one of these.
pub fn refuted(anomalies: Anomalies) -> (Models, Models) {
    let all = anomalies.implied();
    let mut impossible: Models = ALL
        .iter()
        .filter(|(.., proscribed)| proscribed.iter().any(|a| all.has(*a)))
        .map(|(model, ..)| *model)
        .collect();
    loop {
        let before = impossible;
        for (model, _, implied, _) in ALL {
            if implied.iter().any(|other| impossible.has(*other)) {
                impossible.add(*model);
            }
        }
        if impossible == before {
            break;
        }
    }
    let weakest = |model: &Model| {
        let implied = ALL.get(*model as usize).map_or(&[][..], |(_, _, implied, _)| *implied);
        let below = implied.iter().copied().collect::<Models>().implied();
        below.0 & impossible.0 == 0
    };
    let not: Models = impossible.iter().filter(weakest).collect();
    (not, Models(impossible.0 & !not.0))
}
