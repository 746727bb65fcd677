//! Histories with known verdicts, and small ones against trying every order.

mod known;
mod long_fork;
mod named;
mod oracle;
mod registers;
mod serial;
mod snapshot;
mod weak;
