//! How a registry says what it wants to see of whoever asks: the `WWW-Authenticate` header (RFC 9110, 11.6.1). Pure.

use std::collections::BTreeMap;

/// What it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, which is had elsewhere.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
    },
}

/// Of a header, what is understood of it.
pub(super) fn parse(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = parameters(rest);
    Some(Challenge::Bearer {
        realm: parameters.remove("realm")?,
        service: parameters.remove("service"),
    })
}

/// `key="value"`, with commas between them and perhaps in the quotes.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        parameters.insert(key, value.trim().to_string());
        text = rest;
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_told_apart_and_taken_apart() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
        };
        for (header, challenge) in [
            (r#"Basic realm="registry""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a/b:pull,push""#,
                bearer("https://auth.example.com/token", Some("r.example.com")),
            ),
            (r#"bearer Realm="https://a/t?x=y""#, bearer("https://a/t?x=y", None)),
            (r#"Bearer service=plain, realm="https://a/t""#, bearer("https://a/t", Some("plain"))),
            (r#"Bearer scope="repository:a:pull""#, None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(parse(header), challenge, "{header}");
        }
    }
}
