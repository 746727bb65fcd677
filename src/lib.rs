//! firedrill runs failover drills: it injects faults into a replicated system, keeps clients working
//! all the while, and judges from what the clients saw whether data and recovery time were as promised.
//!
//! Data flows one way: scenario, plan, drill, record, verdict, report. Everything but [`drill`] (and the
//! rooms that touch the world for it: [`target`], [`control`], [`agent`], [`workload`], [`store`]) is a pure function.
//! `ARCHITECTURE.md` has the floors; `tests/tidy.rs` holds them.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
pub mod catalogue;
pub mod check;
pub mod cli;
pub mod command;
pub mod condition;
pub mod control;
pub mod drill;
pub mod fault;
pub mod history;
pub mod image;
pub mod inventory;
pub mod plan;
pub mod quantity;
pub mod registry;
pub mod report;
pub mod scenario;
pub mod store;
pub mod target;
pub mod workload;
