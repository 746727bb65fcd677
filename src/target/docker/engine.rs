//! The Docker engine: found as Docker's own client finds it (`DOCKER_HOST`, `DOCKER_TLS_VERIFY`,
//! `DOCKER_CERT_PATH`, else the local socket), spoken to in a version that both know.

use bollard::Docker as Api;
use bollard::errors::Error;

use crate::target::TargetError;

/// Connects, and agrees on a version of the API. `host`: in place of `DOCKER_HOST`.
pub(super) async fn connect(host: Option<&str>) -> Result<Api, TargetError> {
    let place = match host {
        Some(host) => host.to_string(),
        None => std::env::var("DOCKER_HOST").unwrap_or_else(|_| "the local socket".into()),
    };
    let failed = |e: Error| {
        let why = words(&e);
        TargetError::Other(format!(
            "no Docker engine answers at {place}: {why}; start one, or say where it is with \
             DOCKER_HOST or `engine`"
        ))
    };
    let api = match host {
        Some(host) if host.starts_with("unix://") => {
            Api::connect_with_unix(host, 120, bollard::API_DEFAULT_VERSION)
        }
        Some(host) => Api::connect_with_host(host),
        None => Api::connect_with_defaults(),
    };
    api.map_err(failed)?.negotiate_version().await.map_err(failed)
}

/// What went wrong, in a fragment of a sentence: what the engine says where it says something.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_string(),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(deeper) = cause {
                let more = deeper.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                cause = deeper.source();
            }
            text
        }
    }
}

/// Whether the engine says that the thing is not there.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the engine says that it is so already.
pub(super) fn is_so_already(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 304 | 409, .. })
}
