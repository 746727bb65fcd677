//! Pushes an image to a registry (OCI Distribution Specification v1.1): what is there already is not sent again.
//!
//! Deliberately absent: pulling; proxies; credentials that a helper program of Docker's keeps; plain HTTP to anything
//! but this machine, since what is pushed is run in clusters.

mod challenge;
mod credentials;
mod http;

use std::fmt;

use hyper::body::Bytes;
use hyper::{Method, StatusCode};

use self::http::{Answer, Http};
use crate::image::{Blob, Image, Reference};

/// What went wrong between here and a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer.
    #[error("no registry answers at {url}: {why}")]
    Silent {
        /// What was asked.
        url: String,
        /// What happened.
        why: String,
    },
    /// Another answer than the specification has.
    #[error("registry {host} does not take {what}: {status}{said}")]
    Refused {
        /// Which registry.
        host: String,
        /// What it was to take.
        what: String,
        /// The status of its answer.
        status: StatusCode,
        /// Its own words, behind a colon.
        said: String,
    },
    /// It wants to know who pushes.
    #[error(
        "registry {host} lets nobody push to {repository} {known}: `docker login {host}` writes \
         them down"
    )]
    Denied {
        /// Which registry.
        host: String,
        /// The repository.
        repository: String,
        /// What is known of credentials.
        known: String,
    },
    /// What it says is not to be followed.
    #[error("registry {host} {0}", host = .1)]
    Astray(String, String),
    /// Credentials that cannot be read.
    #[error("{0}")]
    Credentials(String),
    /// No runtime, no certificates.
    #[error("{0}")]
    Here(String),
}

/// What a push came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Layers and configs that were sent.
    pub sent: usize,
    /// Those that were there.
    pub there: usize,
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} blobs sent, {} there already", self.sent, self.there)
    }
}

/// Pushes an image to the registry that its name leads to. Blocks.
pub fn push(image: &Image, to: &Reference) -> Result<Pushed, RegistryError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| RegistryError::Here(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let mut http = Http::new(to, credentials::of(&to.registry)?)?;
        let mut pushed = Pushed { sent: 0, there: 0 };
        for blob in image.blobs() {
            match is_there(&mut http, blob).await? {
                true => pushed.there += 1,
                false => {
                    send(&mut http, blob).await?;
                    pushed.sent += 1;
                }
            }
        }
        let manifests: Vec<&Blob> = image.manifests().collect();
        for (n, manifest) in manifests.iter().enumerate() {
            // The tag comes last: whoever pulls meanwhile gets the old image, or all of the new one.
            let name = if n + 1 == manifests.len() { &to.tag } else { &manifest.digest };
            put_manifest(&mut http, manifest, name).await?;
        }
        Ok(pushed)
    })
}

async fn is_there(http: &mut Http, blob: &Blob) -> Result<bool, RegistryError> {
    let url = http.url(&format!("blobs/{}", blob.digest));
    let answer = http.ask(Method::HEAD, &url, None).await?;
    match answer.status {
        // Some have it elsewhere, and say where.
        status if status.is_success() || status.is_redirection() => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        _ => Err(refused(http, &format!("the question for blob {}", blob.digest), answer)),
    }
}

async fn send(http: &mut Http, blob: &Blob) -> Result<(), RegistryError> {
    let start = http.url("blobs/uploads/");
    let answer = http.ask(Method::POST, &start, None).await?;
    let place = match (answer.status, answer.header("location")) {
        (StatusCode::ACCEPTED, Some(place)) => http.resolve(place)?,
        _ => return Err(refused(http, "an upload", answer)),
    };
    let separator = if place.contains('?') { '&' } else { '?' };
    let place = format!("{place}{separator}digest={}", blob.digest);
    let body = ("application/octet-stream", Bytes::from(blob.bytes.clone()));
    let answer = http.ask(Method::PUT, &place, Some(body)).await?;
    match answer.status {
        StatusCode::CREATED => Ok(()),
        _ => Err(refused(http, &format!("blob {}", blob.digest), answer)),
    }
}

async fn put_manifest(http: &mut Http, manifest: &Blob, name: &str) -> Result<(), RegistryError> {
    let url = http.url(&format!("manifests/{name}"));
    let body = (manifest.media_type, Bytes::from(manifest.bytes.clone()));
    let answer = http.ask(Method::PUT, &url, Some(body)).await?;
    match answer.status {
        StatusCode::CREATED => Ok(()),
        _ => Err(refused(http, &format!("manifest {name}"), answer)),
    }
}

fn refused(http: &Http, what: &str, answer: Answer) -> RegistryError {
    RegistryError::Refused {
        host: http.host().to_string(),
        what: what.to_string(),
        status: answer.status,
        said: answer.words(),
    }
}
