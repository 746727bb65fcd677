//! The packet filter's part of a condition: nf_tables in two tables of the agent's own, spoken over netlink.
//!
//! Invariants: the kernel deletes the tables when the agent's socket closes, however the agent ends; a change is
//! one transaction, in which the chains stay and their rules change, so that no packet meets half of either;
//! nobody else's rule is touched.
//!
//! A drop stands at the device: the sender's own stack sees a loss, as on a wire. (A drop in `output` would tell the
//! sender EPERM.) There are as many rules as addresses, each with a counter, and no sets: peers are few.

mod batch;
mod expression;
mod redirect;
mod rules;

use std::io;

use rustix::io::Errno;

use self::batch::{Batch, GET_RULE, Table};
use super::netlink::{Attributes, DUMP, Family, Netlink, REQUEST};
use super::protocol::HeldLink;
use crate::agent::AgentError;
pub(super) use redirect::{OWN_QUESTION, Redirection};
pub(super) use rules::{Device, Lane, Wire};

/// The agent's rules. Dropping it takes them back.
#[derive(Debug)]
pub(super) struct Netfilter {
    socket: Netlink,
}

impl Netfilter {
    /// Claims the namespace: makes the tables. Fails if another agent stands here.
    pub(super) fn claim() -> Result<Netfilter, AgentError> {
        let mut socket = Netlink::open(Family::Netfilter).map_err(unable)?;
        let mut batch = Batch::begin(socket.messages());
        Table::ALL.into_iter().for_each(|table| batch.table(table));
        socket.tell(batch.end()).map_err(|why| match is_claimed(&why) {
            true => AgentError::Kernel {
                what: "claim the packet filter (it needs NET_ADMIN, and that no other firedrill \
                       agent stands in this network namespace)",
                why,
            },
            false => unable(why),
        })?;
        Ok(Netfilter { socket })
    }

    /// Makes exactly these links true, on these interfaces; what is shaped by netem goes through these lanes.
    pub(super) fn hold(
        &mut self,
        links: &[HeldLink],
        wires: &[Wire],
        lanes: &[Lane],
    ) -> io::Result<()> {
        let mut batch = Batch::begin(self.socket.messages());
        rules::write(&mut batch, links, wires, lanes);
        self.socket.tell(batch.end())
    }

    /// Has exactly these resolvers answered for; what links suffer stays as it is.
    pub(super) fn redirect(&mut self, redirections: &[Redirection]) -> io::Result<()> {
        let mut batch = Batch::begin(self.socket.messages());
        redirect::write(&mut batch, redirections);
        self.socket.tell(batch.end())
    }

    /// How many packets the rules of each of `links` caught so far.
    pub(super) fn count(&mut self, links: usize) -> io::Result<Vec<u64>> {
        let mut packets = vec![0; links];
        for table in Table::ALL {
            let mut request = self.socket.messages();
            let header = batch::header(Some(table));
            request.message(batch::kind(GET_RULE), REQUEST | DUMP, &header);
            request.text(1, Table::NAME);
            self.socket.dump(request, |reply| {
                let rule = reply.attributes(4);
                let link = rule.get(7).and_then(batch::comment_of).and_then(rules::noted);
                let slot = link.and_then(|link| packets.get_mut(link));
                if let (Some(slot), Some(count)) = (slot, counted(rule)) {
                    *slot += count;
                }
            })?;
        }
        Ok(packets)
    }
}

/// Whether a claim failed because another agent has the namespace, or for want of the right.
pub(super) fn is_claimed(why: &io::Error) -> bool {
    matches!(Errno::from_io_error(why), Some(Errno::PERM | Errno::EXIST))
}

fn unable(why: io::Error) -> AgentError {
    AgentError::Kernel { what: "use nf_tables (Linux 5.16 or newer, with netdev and egress)", why }
}

/// What a rule's counter says.
fn counted(rule: Attributes) -> Option<u64> {
    let expressions = rule.nested(4)?;
    let counter = expressions.into_iter().find_map(|(_, expression)| {
        let expression = Attributes(expression);
        (expression.text(1) == Some("counter")).then(|| expression.nested(2))?
    })?;
    Some(u64::from_be_bytes(counter.get(2)?.try_into().ok()?))
}
