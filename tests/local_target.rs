//! The local target with real processes: this very test binary, run again, is the node (see
//! `cast`).

#[path = "local_target/cast.rs"]
mod cast;
#[path = "local_target/etcd.rs"]
mod etcd;
#[path = "local_target/life.rs"]
mod life;
#[path = "local_target/links.rs"]
mod links;
#[path = "local_target/start.rs"]
mod start;
#[path = "local_target/streams.rs"]
mod streams;
