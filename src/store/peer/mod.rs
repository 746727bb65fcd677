//! How nodes talk: frames of JSON with their length in front, over TCP, one call at a time a
//! connection.
//!
//! Between two nodes stands a proxy that may hold bytes back for seconds, delay or reset. So: every
//! call has a time limit, and a connection whose call did not end well is closed, never used again,
//! so that a late answer cannot be taken for the next one's. Calls of their own connection cannot
//! block each other.

mod incoming;
mod outgoing;
mod wire;

pub(crate) use incoming::serve;
pub(crate) use outgoing::{Links, poll};
pub(crate) use wire::Poll;
