//! Whether a member keeps up with its leader: it has, within [`LAG`], all that the leader had when it was asked.
//!
//! A lag in time, not in entries: it means the same for a log that grows by ten entries a second and by ten thousand.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::history::Standing;

/// How far behind a member may be and still count as caught up: a replica that is well may wait for the next heartbeat
/// until it learns what was committed.
pub(super) const LAG: Duration = Duration::from_millis(500);

/// How often a member that is behind is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// How a member stands that was at `first` in the log after its leader was at `goal`. `ask` tells where it is now, or
/// how it stands instead.
pub(super) async fn keeps_up<'a>(
    goal: u64,
    first: u64,
    unit: &str,
    mut ask: impl FnMut() -> BoxFuture<'a, Result<u64, Standing>>,
) -> Standing {
    let (until, mut at) = (Instant::now() + LAG, first);
    while at < goal {
        if Instant::now() >= until {
            let missing = goal - at;
            let lag = LAG.as_secs_f64();
            return Standing::Behind(format!(
                "{missing} {unit} short of what the leader had {lag} s before"
            ));
        }
        sleep(AGAIN).await;
        at = match ask().await {
            Ok(at) => at,
            Err(standing) => return standing,
        };
    }
    Standing::Full
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member whose position grows by so much with each question.
    async fn member(first: u64, step: u64) -> Standing {
        let mut at = first;
        let ask = || -> BoxFuture<'static, Result<u64, Standing>> {
            at += step;
            let now = at;
            Box::pin(async move { Ok(now) })
        };
        keeps_up(100, first, "entries", ask).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_catches_up_in_a_moment_is_full_and_one_that_does_not_is_behind() {
        assert_eq!(member(100, 0).await, Standing::Full);
        assert_eq!(member(97, 1).await, Standing::Full);
        let why = "100 entries short of what the leader had 0.5 s before";
        assert_eq!(member(0, 0).await, Standing::Behind(why.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_wrong_in_between_is_how_it_stands() {
        let gone = Standing::Absent("no connection".into());
        let said = gone.clone();
        let ask = move || -> BoxFuture<'static, Result<u64, Standing>> {
            let said = said.clone();
            Box::pin(async { Err(said) })
        };
        assert_eq!(keeps_up(2, 1, "entries", ask).await, gone);
    }
}
