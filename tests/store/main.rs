//! The embedded store, as real processes: what it promises without a bug, and that each bug breaks
//! just that.

mod bugs;
mod chaos;
mod cluster;
mod durability;
mod models;
mod net;
mod starting;
