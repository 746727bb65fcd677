//! Inside a node's own process namespace: what is done to its processes through `/proc`, and to nothing else.
//!
//! Invariant: it reverts by itself when whoever holds it dies. Deliberately absent: networks (`beside`),
//! starting and stopping (`process`), and signals: from inside the namespace its first process ignores them.

pub mod clock;
