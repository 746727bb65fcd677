//! The scenario's own set-up and teardown.
//!
//! Invariant: the journal says how to tear down before set-up begins, so that whatever becomes of the runner
//! the teardown is run, after the faults are healed and the nodes are gone. A teardown that succeeded is not
//! run again; one that failed stays in the journal, for `firedrill heal`.

use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::journal::Undo;
use super::stages::INTERRUPTED;
use super::{Command, Drill};
use crate::command::{self, CommandError};

/// The journal's number of each command of the teardown, in their order.
pub(super) type Journaled = Vec<Option<u32>>;

impl Drill {
    /// Writes down how to tear down, the last command first: a replay begins with what came latest.
    pub(super) fn journal_teardown(&self) -> Result<Journaled, String> {
        let before = |Command { argv, limit }: &Command| {
            let how = Undo::Teardown { argv: argv.clone(), limit: *limit };
            let journal = self.safety.journal.as_ref();
            journal.map(|journal| journal.before(how)).transpose().map_err(|e| e.to_string())
        };
        let mut ids: Journaled =
            self.options.teardown.iter().rev().map(before).collect::<Result<_, _>>()?;
        ids.reverse();
        Ok(ids)
    }

    /// One after the other, until one fails or somebody says stop.
    pub(super) async fn set_up(&self) -> Result<(), String> {
        for command in &self.options.setup {
            let ran = self.hook("setup", command, &self.stop.soft).await;
            ran.map_err(|e| match e {
                CommandError::GivenUp { .. } => INTERRUPTED.into(),
                e => format!("setup: {e}"),
            })?;
        }
        Ok(())
    }

    /// All of them, whatever the others did, until a second Ctrl-C: the journal has the rest. Runs also after
    /// an interruption: it is the user's own clean-up.
    pub(super) async fn tear_down(&self, ids: &Journaled) -> Result<(), String> {
        let mut failures = vec![];
        for (command, id) in self.options.teardown.iter().zip(ids) {
            let journaled = self.safety.journal.as_ref().zip(*id);
            match self.hook("teardown", command, &self.stop.hard).await {
                Ok(()) => {
                    if let Some(Err(e)) = journaled.map(|(journal, id)| journal.done(id)) {
                        tracing::warn!("{e}"); // it is done all the same
                    }
                }
                Err(CommandError::GivenUp { .. }) => return Err(INTERRUPTED.into()),
                Err(e) => {
                    if let Some((journal, id)) = journaled {
                        journal.failed(id, e.why());
                    }
                    failures.push(format!("teardown: {e}"));
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    /// Runs one, until `stop`: then it is killed.
    async fn hook(
        &self,
        stage: &'static str,
        Command { argv, limit }: &Command,
        stop: &CancellationToken,
    ) -> Result<(), CommandError> {
        self.tell(Event::Command { stage, command: command::shown(argv) });
        let around = command::Around { guard: self.safety.guard.clone(), ..Default::default() };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(CommandError::GivenUp { command: command::shown(argv) }),
            ran = command::run(argv.clone(), *limit, around) => ran,
        }
    }
}
