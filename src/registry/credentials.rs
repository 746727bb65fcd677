//! Name and password for a registry, where `docker login` writes them down: `auths` in `config.json`, in the folder
//! that `DOCKER_CONFIG` names, else in `~/.docker`. What a helper program keeps is not asked for, but said.

use std::path::PathBuf;

use serde_json::Value;

use super::RegistryError;
use crate::image::DOCKER_HUB;

/// What is known of a registry's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// `name:password`, in base64, as it is sent.
    Basic(String),
    /// None, and where they were looked for.
    None(String),
}

/// Those for a registry.
pub(super) fn of(registry: &str) -> Result<Credentials, RegistryError> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
    let Some(file) = folder.map(|folder| folder.join("config.json")) else {
        return Ok(Credentials::None("(neither DOCKER_CONFIG nor HOME is set)".into()));
    };
    let place = file.display().to_string();
    match std::fs::read_to_string(&file) {
        Ok(text) => find(&text, registry, &place).map_err(RegistryError::Credentials),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Ok(Credentials::None(format!("(there is no {place})")))
        }
        Err(e) => Err(RegistryError::Credentials(format!("{place}: {e}"))),
    }
}

/// Those in the text of the file at `place`.
fn find(text: &str, registry: &str, place: &str) -> Result<Credentials, String> {
    let config: Value = serde_json::from_str(text).map_err(|e| format!("{place}: {e}"))?;
    // Docker's own keys, by age.
    let keys = match registry {
        DOCKER_HUB => vec!["https://index.docker.io/v1/".to_string(), DOCKER_HUB.into()],
        _ => vec![
            registry.to_string(),
            format!("https://{registry}"),
            format!("https://{registry}/v1/"),
            format!("https://{registry}/v2/"),
        ],
    };
    let auths = &config["auths"];
    let entry = keys.iter().find_map(|key| auths[key]["auth"].as_str());
    if let Some(auth) = entry.filter(|auth| !auth.is_empty()) {
        return match auth.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) {
            true => Ok(Credentials::Basic(auth.to_string())),
            false => Err(format!("{place}: `auth` of {registry} is not base64")),
        };
    }
    let helped = keys.iter().any(|key| config["credHelpers"].get(key).is_some());
    Ok(Credentials::None(match helped || config.get("credsStore").is_some() {
        true => format!(
            "(those that {place} leaves to a helper program are not read: put them into \
             `auths` of a file of its own, whose folder DOCKER_CONFIG names)"
        ),
        false => format!("(there are none for {registry} in {place})"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, registry: &str) -> Result<Credentials, String> {
        find(text, registry, "config.json")
    }

    #[test]
    fn each_registry_has_its_own() {
        let text = r#"{"auths": {"r.example.com": {"auth": "YTpi"}, "https://old.example.com/v1/": {"auth": "Yzpk"},
            "https://index.docker.io/v1/": {"auth": "ZTpm"}, "helped.example.com": {}}}"#;
        for (registry, auth) in
            [("r.example.com", "YTpi"), ("old.example.com", "Yzpk"), (DOCKER_HUB, "ZTpm")]
        {
            assert_eq!(found(text, registry), Ok(Credentials::Basic(auth.into())));
        }
        let none = found(text, "other.example.com");
        assert_eq!(
            none,
            Ok(Credentials::None("(there are none for other.example.com in config.json)".into()))
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let helped = found(r#"{"credsStore": "secretservice"}"#, "r.example.com").unwrap();
        assert!(matches!(helped, Credentials::None(why) if why.contains("helper program")));
        let one = r#"{"credHelpers": {"r.example.com": "ecr"}}"#;
        assert!(
            matches!(found(one, "r.example.com"), Ok(Credentials::None(why)) if why.contains("helper"))
        );
        assert!(found("{", "r.example.com").unwrap_err().starts_with("config.json: "));
        let odd = r#"{"auths": {"r.example.com": {"auth": "a:b\r\nX-Evil: 1"}}}"#;
        assert!(found(odd, "r.example.com").unwrap_err().contains("not base64"));
    }
}
