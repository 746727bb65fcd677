//! The vote file: replaced as a whole, so that a crash leaves the old vote or the new one.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::store::raft::Vote;

use super::JournalError;

/// The saved vote; `None` if there never was one.
pub(super) fn read(path: &Path) -> Result<Option<Vote>, JournalError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| JournalError::Corrupt {
            path: path.to_path_buf(),
            offset: 0,
            why: format!("not a vote: {e}"),
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JournalError::Io { path: path.to_path_buf(), source }),
    }
}

/// Saves the vote. On return it survives a power loss.
pub(super) fn write(path: &Path, vote: &Vote) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(&serde_json::to_vec(vote)?)?;
    file.sync_data()?;
    std::fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
