//! The models: what kind of object the clients work on. A model decides which calls are made, which checks
//! can judge them, and which systems can be asked. The one list that the command line and the schema print.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of object that the clients work on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Registers: read, write, compare-and-set.
    Register,
    /// Counters: add, and read the total.
    Counter,
    /// Sets: insert unique elements, and read them all.
    Set,
    /// Queues: enqueue unique elements, dequeue, drain at the end.
    Queue,
    /// Message logs: append numbered messages, read from an offset.
    Log,
    /// A bank: transfers between accounts, whose total never changes.
    Bank,
    /// Lists: transactions that append to and read several lists.
    ListAppend,
    /// Requests to a service that keeps nothing: each is answered or not.
    Requests,
}

impl Model {
    /// What each account of a bank holds before the load: [`super::client::Driver::prepare`] sees to it.
    pub const OPENING_BALANCE: i64 = crate::history::OPENING_BALANCE;

    /// Those that work on data: all but requests.
    pub const fn of_data() -> &'static [Model] {
        use Model::*;
        &[Register, Counter, Set, Queue, Log, Bank, ListAppend]
    }

    /// Every model, in the order of the catalogue.
    pub const fn all() -> &'static [Model] {
        use Model::*;
        &[Register, Counter, Set, Queue, Log, Bank, ListAppend, Requests]
    }

    /// The model's name in a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Model::Register => "register",
            Model::Counter => "counter",
            Model::Set => "set",
            Model::Queue => "queue",
            Model::Log => "log",
            Model::Bank => "bank",
            Model::ListAppend => "list-append",
            Model::Requests => "requests",
        }
    }

    /// The fewest objects (keys) that the model works on: a transfer needs two accounts.
    pub const fn fewest_keys(self) -> u32 {
        match self {
            Model::Bank => 2,
            _ => 1,
        }
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_is_what_a_scenario_says() {
        for model in Model::all() {
            let text = serde_json::to_string(model).unwrap();
            assert_eq!(text, format!("\"{}\"", model.name()));
        }
    }
}
