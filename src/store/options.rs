//! The command line of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{Bug, StoreError};

/// The options of one node.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The name of this node; one of the members.
    #[arg(long)]
    pub name: String,
    /// Where clients reach this node: the address that it listens on.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_client: String,
    /// Where this node listens for its peers.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_peer: String,
    /// A member and where its peers reach it, once for each (or joined by commas), this node included. The
    /// same on every node.
    #[arg(long = "member", value_name = "NAME=HOST:PORT", required = true, value_delimiter = ',')]
    pub members: Vec<Address>,
    /// Where clients reach a member, once for each: named in answers that send a client to the
    /// leader.
    #[arg(long = "client-member", value_name = "NAME=HOST:PORT")]
    pub client_members: Vec<Address>,
    /// The folder that keeps the log and the vote over restarts; created if need be.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// A bug to switch on; may be given several times.
    #[arg(long = "bug", value_enum, value_name = "NAME")]
    pub bugs: Vec<Bug>,
    /// A follower that hears no leader for one to two times this long stands for election. At least
    /// 50 ms.
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = duration)]
    pub election_timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// `NAME=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The member.
    pub name: String,
    /// Where it is.
    pub address: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let parts = text.split_once('=').filter(|(name, address)| {
            let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            !name.is_empty() && matches!(port, Some(Ok(_)))
        });
        match parts {
            Some((name, address)) => Ok(Address { name: name.into(), address: address.into() }),
            None => Err(format!("`{text}` is not NAME=HOST:PORT")),
        }
    }
}

/// The options, checked and put in order.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// This node's place among the members, which is its id.
    pub(super) me: u64,
    /// Name and peer address of each member, by its id: its place in the order of the names.
    pub(super) members: Vec<(String, String)>,
    /// Client address of each member that has one, by name.
    pub(super) clients: BTreeMap<String, String>,
}

impl Options {
    pub(super) fn cluster(&self) -> Result<Cluster, StoreError> {
        let wrong = |why: String| Err(StoreError::Options(why));
        let named: BTreeMap<_, _> =
            self.members.iter().map(|m| (m.name.clone(), m.address.clone())).collect();
        let names = || named.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if named.len() != self.members.len() {
            return wrong(format!("a member is named twice among {}", names()));
        }
        let addresses: BTreeSet<_> = named.values().collect();
        if addresses.len() != named.len() {
            return wrong(format!("two members share an address among {}", names()));
        }
        for other in &self.client_members {
            if !named.contains_key(&other.name) {
                let (name, names) = (&other.name, names());
                return wrong(format!("--client-member names `{name}`; the members are {names}"));
            }
        }
        if self.election_timeout < Duration::from_millis(50) {
            let given = humantime::format_duration(self.election_timeout);
            return wrong(format!("--election-timeout is {given}, at least 50ms"));
        }
        let Some(me) = named.keys().position(|name| *name == self.name) else {
            return wrong(format!("--name `{}` is not a member; they are {}", self.name, names()));
        };
        Ok(Cluster {
            me: me as u64,
            members: named.into_iter().collect(),
            clients: self
                .client_members
                .iter()
                .map(|m| (m.name.clone(), m.address.clone()))
                .collect(),
        })
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn cluster(more: &[&str]) -> Result<Cluster, String> {
        let line = ["store", "--listen-client", "a:1", "--listen-peer", "b:2", "--data", "d"];
        let parsed = Line::try_parse_from(line.iter().chain(more)).map_err(|e| e.to_string())?;
        parsed.options.cluster().map_err(|e| e.to_string())
    }

    #[test]
    fn the_id_of_a_node_is_its_place_among_the_sorted_names() {
        let members = ["--name", "n2", "--member", "n3=h:3", "--member", "n2=h:2"];
        let cluster = cluster(&members).unwrap();
        assert_eq!(cluster.me, 0);
        assert_eq!(cluster.members[1], ("n3".into(), "h:3".into()));
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let one = ["--name", "n1", "--member", "n1=h:1"];
        let with = |more: &[&str]| cluster(&[&one, more].concat()).unwrap_err();
        assert!(
            cluster(&["--name", "n9", "--member", "n1=h:1"]).unwrap_err().contains("they are n1")
        );
        assert!(with(&["--member", "n1=h:2"]).contains("named twice"));
        assert!(with(&["--member", "n2=h:1"]).contains("share an address"));
        assert!(with(&["--client-member", "n7=h:1"]).contains("`n7`"));
        assert!(with(&["--election-timeout", "10ms"]).contains("10ms"));
        assert!(with(&["--member", "n2"]).contains("`n2` is not NAME=HOST:PORT"));
        assert!(with(&["--member", "n2=h:http"]).contains("not NAME=HOST:PORT"));
    }
}
