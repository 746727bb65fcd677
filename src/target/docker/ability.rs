//! What an engine's containers can do, found out by one that is thrown away: while planning, so that what cannot be
//! done is refused before anything is touched.

use std::path::Path;
use std::time::Duration;

use super::attached::Place;
use super::beside;
use super::{engine, image};
use crate::agent::beside::protocol::Shaping;
use crate::condition::Condition;
use crate::target::TargetError;

/// It is asked nothing but who it is, and ends when it is dropped.
const LEASE: Duration = Duration::from_secs(10);

/// Whether a condition takes more than the packet filter, so that it matters what [`shaping`] says.
pub fn is_shaped(condition: &Condition) -> bool {
    let mut links = condition.links.from.values().chain(condition.links.to.values());
    links.any(|link| link.is_shaped())
}

/// How an agent beside this engine's containers would shape traffic: what one says that stands in a network
/// namespace of its own. `binary`: of which its image is made.
pub async fn shaping(engine: Option<&str>, binary: &Path) -> Result<Shaping, TargetError> {
    let api = engine::connect(engine).await?;
    let place = Place {
        run: format!("planning-{:08x}", rand::random::<u32>()),
        image: image::ensure(&api, binary).await?,
        lease: LEASE,
        node: "none".into(),
        command: vec![],
        host: Place::bare(),
    };
    let agent = beside::start(&api, place, "none").await.map_err(TargetError::Other)?;
    Ok(agent.hello.shaping.clone())
}
