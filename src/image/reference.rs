//! What an image is called: `registry/repository:tag`, in the form that Docker and Kubernetes read it in. Pure.
//!
//! Deliberately absent: digests (an image that is yet to be made has none), and `latest` where no tag stands: what a
//! cluster has under that name depends on when it pulled.

use std::fmt;
use std::str::FromStr;

/// Where names without a registry lead to.
pub const DOCKER_HUB: &str = "docker.io";
/// A tag has this many characters at most (OCI Distribution Specification).
const TAG_MAX: usize = 128;

/// An image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As it was written.
    written: String,
    /// The registry's host, perhaps with a port.
    pub registry: String,
    /// The repository there.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No tag.
    #[error(
        "`{0}` has no tag: expected a name and a tag, such as \
         registry.example.com/firedrill/agent:0.1.0"
    )]
    NoTag(String),
    /// What should be the repository.
    #[error(
        "`{0}` is no repository: lower-case letters and digits, with `.`, `_` or `-` between them, \
         in parts that `/` separates"
    )]
    Repository(String),
    /// What should be the tag.
    #[error(
        "`{0}` is no tag: up to {TAG_MAX} letters, digits, `.`, `_` and `-`, the first of them no \
         `.` or `-`"
    )]
    Tag(String),
    /// What should be the registry.
    #[error("`{0}` is no registry: a host, perhaps with `:` and a port")]
    Registry(String),
}

impl Reference {
    /// The whole name with nothing left to defaults, as containerd keeps it.
    pub fn canonical(&self) -> String {
        format!("{}/{}:{}", self.registry, self.repository, self.tag)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let (name, tag) = text
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .ok_or_else(|| ReferenceError::NoTag(text.into()))?;
        // The first part is a host where it looks like one; else there would be no telling it from a user's name.
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => (DOCKER_HUB, name),
        };
        if !is_registry(registry) {
            return Err(ReferenceError::Registry(registry.into()));
        }
        if !path.split('/').all(is_part) {
            return Err(ReferenceError::Repository(path.into()));
        }
        if !is_tag(tag) {
            return Err(ReferenceError::Tag(tag.into()));
        }
        let repository = match registry == DOCKER_HUB && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_string(),
        };
        Ok(Reference {
            written: text.into(),
            registry: registry.into(),
            repository,
            tag: tag.into(),
        })
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "443"));
    let of_host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    !host.is_empty() && host.chars().all(of_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= TAG_MAX
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_registry_that_docker_reads_in_them() {
        for (text, canonical) in [
            ("r.example.com/a/b:1", "r.example.com/a/b:1"),
            ("localhost:5000/agent:V_1.0-x", "localhost:5000/agent:V_1.0-x"),
            ("localhost/agent:1", "localhost/agent:1"),
            ("firedrill/agent:1", "docker.io/firedrill/agent:1"),
            ("agent:1", "docker.io/library/agent:1"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(
                (reference.canonical().as_str(), reference.to_string()),
                (canonical, text.into())
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_part_that_is_wrong() {
        let long = format!("a:{}", "x".repeat(129));
        for (text, said) in [
            ("agent", "`agent` has no tag"),
            ("localhost:5000/agent", "`localhost:5000/agent` has no tag"),
            ("", "has no tag"),
            ("Agent:1", "`Agent` is no repository"),
            ("a//b:1", "`a//b` is no repository"),
            ("a/-b:1", "is no repository"),
            ("a b:1", "`a b` is no repository"),
            ("agent:", "`` is no tag"),
            ("agent:.1", "`.1` is no tag"),
            (long.as_str(), "is no tag"),
            ("host:port/agent:1", "`host:port` is no registry"),
            ("user@r.example.com/agent:1", "`user@r.example.com` is no registry"),
        ] {
            let refused = text.parse::<Reference>().unwrap_err().to_string();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}
