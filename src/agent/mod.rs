//! Beside a node: its processes, and the proxies through which its links run. Makes conditions
//! true, and measures nothing but itself.
//!
//! Deliberately absent: faults, plans, and who decides. Only `beside` needs a privilege: elsewhere
//! processes are signalled by their owner, and links are cut in user space.

pub mod beside;
pub mod process;
pub mod proxy;
pub mod within;

/// What could not be done beside a node.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A process could not be started at all.
    #[error("`{command}` cannot be started: {why}")]
    Launch {
        /// The program, as it was written.
        command: String,
        /// What the system said, and the remedy.
        why: String,
    },
    /// Processes did not do what a signal should make them do.
    #[error("{what} after {after:?}: processes {pids}")]
    Signal {
        /// What is wrong: `still alive`, `not stopped`.
        what: &'static str,
        /// How long it was waited for.
        after: std::time::Duration,
        /// Which processes, separated by commas.
        pids: String,
    },
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
    /// The kernel refuses, or has not, what an agent needs.
    #[error("cannot {what}: {why}")]
    Kernel {
        /// What was tried, and what it needs.
        what: &'static str,
        /// What the system said.
        why: std::io::Error,
    },
}
