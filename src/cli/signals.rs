//! Ctrl-C and SIGTERM: the first one heals and reports, the second one waits for nothing more.

use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, terminal};
use crate::drill::Stop;

/// Watches for signals from now on, for as long as the runtime lives. Must be called within a runtime.
pub(super) fn watch() -> Result<Stop, CliError> {
    let stop = Stop::default();
    let failed = |e: std::io::Error| CliError::Failed(format!("no signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
            if told.soft.is_cancelled() {
                terminal::say(&format!("{name} again: waiting for nothing more"));
                told.hard.cancel();
            } else {
                terminal::say(&format!(
                    "{name}: healing, then reporting; once more gives up waiting"
                ));
                told.soft.cancel();
            }
        }
    });
    Ok(stop)
}
