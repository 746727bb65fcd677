//! The frames between nodes.

use openraft::error::RaftError;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio_util::codec::LengthDelimitedCodec;

use crate::store::raft::{LogId, TypeConfig};

/// A question to a peer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    Poll(Poll),
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Append(Result<AppendEntriesResponse<u64>, RaftError<u64>>),
    Vote(Result<VoteResponse<u64>, RaftError<u64>>),
    /// Whether an election by the sender would be welcome.
    Poll(bool),
}

/// Would you vote for me? Raft's pre-vote (Ongaro's thesis, 9.6): changes nothing, and no term
/// rises by it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Poll {
    /// The end of the asker's log.
    pub last_log: Option<LogId>,
}

/// Frames of up to 64 MiB, far more than a replication call carries.
pub(super) fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(64 << 20).new_codec()
}

pub(super) fn encode<T: Serialize>(value: &T) -> std::io::Result<tokio_util::bytes::Bytes> {
    Ok(serde_json::to_vec(value)?.into())
}

pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> std::io::Result<T> {
    Ok(serde_json::from_slice(frame)?)
}
