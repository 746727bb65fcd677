//! Sequential models, and for each how a whole history of it is judged: by a monitor, part by part, or by the search.

mod containers;
mod grown;
mod list;
mod numbers;
mod registers;
mod set;
mod text;

pub use containers::{
    Container, ContainerCall, Found, Priority, Stack, judge_priority, judge_stack,
};
pub use numbers::{Counter, CounterCall, Mutex, MutexCall, Semaphore, SemaphoreCall};
pub use registers::{Access, Registers, Rmw, RmwCall};
pub use set::{Set, SetCall, judge_set};
pub use text::{Log, LogCall, Text, TextCall};
