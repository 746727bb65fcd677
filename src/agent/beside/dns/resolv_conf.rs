//! Whom the node's processes ask for names, as resolv.conf(5) says: the agent's container shares the node's.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

const PATH: &str = "/etc/resolv.conf";
/// The most that any C library heeds.
const NDOTS_MAX: usize = 15;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// In the order in which they are asked; never empty.
    pub(super) nameservers: Vec<IpAddr>,
    /// In what a short name is looked for.
    search: Vec<String>,
    /// With how many dots a name is tried as it is first.
    ndots: usize,
}

impl ResolvConf {
    /// Reads the file anew. Without one, processes ask this machine.
    pub(super) fn read() -> Result<ResolvConf, String> {
        match std::fs::read_to_string(PATH) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(format!("{PATH}: {why}")),
            text => ResolvConf::parse(&text.unwrap_or_default()),
        }
    }

    fn parse(text: &str) -> Result<ResolvConf, String> {
        let mut conf = ResolvConf { nameservers: vec![], search: vec![], ndots: 1 };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match (words.next(), words) {
                (Some("nameserver"), mut words) => {
                    let address = words.next().unwrap_or_default();
                    let address: IpAddr = address.parse().map_err(|_| {
                        format!(
                            "{PATH}: `nameserver {address}`: not an address without a zone, and \
                             so not one in whose place the agent can answer"
                        )
                    })?;
                    let address = address.to_canonical();
                    if !conf.nameservers.contains(&address) {
                        conf.nameservers.push(address);
                    }
                }
                // The last of either wins.
                (Some("search" | "domain"), words) => {
                    let domains = words.map(|domain| domain.trim_end_matches('.'));
                    let domains = domains.filter(|domain| !domain.is_empty());
                    conf.search = domains.map(str::to_string).collect();
                }
                (Some("options"), words) => {
                    for ndots in words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok())
                    {
                        conf.ndots = NDOTS_MAX.min(ndots);
                    }
                }
                _ => {}
            }
        }
        if conf.nameservers.is_empty() {
            conf.nameservers.push(Ipv4Addr::LOCALHOST.into());
        }
        Ok(conf)
    }

    /// Under which full names a name is looked for, one after the other. One with a dot at its end is full.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.into()];
        }
        let mut names: Vec<String> =
            self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.matches('.').count();
        names.insert(if dots >= self.ndots { 0 } else { names.len() }, name.into());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_whom_to_ask_and_for_what() {
        let text = "# a comment\n; nameserver 9.9.9.9\nnameserver 10.0.0.2\n\
                    domain old.example\nsearch a.example b.example.\n\
                    nameserver  fd00::2 # another\nnameserver ::ffff:10.0.0.2\n\
                    options edns0 ndots:2 trust-ad\nsortlist 1.2.3.4\n\n";
        let conf = ResolvConf::parse(text).unwrap();
        let addresses: Vec<String> = conf.nameservers.iter().map(IpAddr::to_string).collect();
        assert_eq!(addresses, ["10.0.0.2", "fd00::2"]);
        assert_eq!(conf.candidates("db"), ["db.a.example", "db.b.example", "db"]);
        assert_eq!(conf.candidates("a.b.c"), ["a.b.c", "a.b.c.a.example", "a.b.c.b.example"]);
        assert_eq!(conf.candidates("db."), ["db"]);
    }

    #[test]
    fn a_file_that_says_nothing_means_this_machine() {
        let conf = ResolvConf::parse("").unwrap();
        assert_eq!(conf.nameservers, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(conf.candidates("db"), ["db"]);
    }

    #[test]
    fn an_address_that_cannot_be_stood_in_for_is_named() {
        for wrong in ["nameserver fe80::1%eth0", "nameserver", "nameserver dns.example"] {
            let error = ResolvConf::parse(wrong).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
