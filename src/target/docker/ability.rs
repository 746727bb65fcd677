//! What an engine's containers can do, found out by one that is thrown away: while planning, so that what cannot be
//! done is refused before anything is touched.

use std::path::Path;
use std::time::Duration;

use super::attached::Place;
use super::{beside, engine, image};
use crate::agent::beside::protocol::Shaping;
use crate::condition::Condition;
use crate::target::TargetError;

/// It is asked nothing but who it is, and ends when it is dropped.
const LEASE: Duration = Duration::from_secs(10);

/// Why this target cannot make a condition true on any engine, and what could.
pub fn cannot(condition: &Condition) -> Option<String> {
    let placed = condition.wants_orchestrator().then(|| {
        "its nodes are containers of one machine, which nobody placed there; target kubernetes has \
         machines and controllers"
            .to_string()
    });
    placed.or_else(|| cannot_load(condition))
}

/// Why no node can be loaded like this, and what could be done.
fn cannot_load(condition: &Condition) -> Option<String> {
    let (held, limit) = (condition.load.memory?, condition.load.memory_limit?);
    (held >= limit).then(|| {
        format!(
            "{held} cannot be held beside a node within its limit of {limit}: hold less, or limit \
             it to more"
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Load;
    use crate::quantity::Bytes;

    #[test]
    fn what_is_held_beside_a_node_must_fit_into_its_limit() {
        let loaded = |memory: Option<u64>, memory_limit: Option<u64>| {
            let [memory, memory_limit] = [memory, memory_limit].map(|n| n.map(Bytes::mebibytes));
            let load = Load { memory, memory_limit, ..Load::default() };
            cannot_load(&Condition { load, ..Condition::default() })
        };
        let why = loaded(Some(64), Some(64)).unwrap_or_default();
        assert!(why.contains("64MiB") && why.contains("hold less"), "{why}");
        assert_eq!(loaded(Some(63), Some(64)), None);
        assert_eq!((loaded(Some(64), None), loaded(None, Some(64))), (None, None));
    }
}
