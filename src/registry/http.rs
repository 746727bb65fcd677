//! Requests to one repository of a registry: who asks, and where an answer leads to. A request that is denied is made
//! once more, with what the registry wanted to see. Credentials go to the registry and to where it says tokens are had,
//! and to neither in the clear.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::RegistryError;
use super::challenge::{self, Challenge};
use super::credentials::Credentials;
use crate::image::{DOCKER_HUB, Reference};

/// Where Docker Hub's interface is.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// How long an answer may take; one to an upload has to wait for the bytes.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_WITH_UPLOADS: Duration = Duration::from_secs(900);
/// More than any answer here has to say.
const ANSWER_MAX: usize = 1 << 20;

/// A registry's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What it says itself, behind a colon: the message of its first error, else how it begins.
    pub fn words(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = &json["errors"][0];
        let message = error["message"].as_str().or(error["code"].as_str()).map(String::from);
        let text = String::from_utf8_lossy(&self.body);
        let words = message.or_else(|| Some(text.lines().next()?.chars().take(200).collect()));
        words
            .filter(|words| !words.is_empty())
            .map(|words| format!(": {words}"))
            .unwrap_or_default()
    }
}

/// A way to one repository.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// `https://` and the host.
    origin: String,
    registry: String,
    repository: String,
    credentials: Credentials,
    /// The header that the registry was content with.
    authorization: Option<String>,
}

/// Whether a host is this machine, to which nothing is in the clear.
fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

impl Http {
    pub fn new(to: &Reference, credentials: Credentials) -> Result<Http, RegistryError> {
        let connector = HttpsConnectorBuilder::new().with_native_roots();
        let connector = connector.map_err(|e| {
            RegistryError::Here(format!(
                "no certificates to know registries by (Debian: ca-certificates): {e}"
            ))
        })?;
        let connector = connector.https_or_http().enable_http1().build();
        let host = match to.registry.as_str() {
            DOCKER_HUB => DOCKER_HUB_HOST,
            host => host,
        };
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        let scheme = if is_here(bare) { "http" } else { "https" };
        Ok(Http {
            client: Client::builder(TokioExecutor::new()).build(connector),
            origin: format!("{scheme}://{host}"),
            registry: to.registry.clone(),
            repository: to.repository.clone(),
            credentials,
            authorization: None,
        })
    }

    pub fn host(&self) -> &str {
        &self.registry
    }

    /// The address of a thing in the repository.
    pub fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.origin, self.repository)
    }

    /// Where an answer leads to.
    pub fn resolve(&self, place: &str) -> Result<String, RegistryError> {
        let url = match place.starts_with('/') {
            true => format!("{}{place}", self.origin),
            false => place.to_string(),
        };
        self.secure(&url).map(|_| url)
    }

    /// An address that may be asked: not in the clear, unless it is of this machine.
    fn secure(&self, url: &str) -> Result<Uri, RegistryError> {
        let uri = url.parse::<Uri>().ok().filter(|uri| match uri.scheme_str() {
            Some("https") => true,
            Some("http") => uri.host().is_some_and(is_here),
            _ => false,
        });
        uri.ok_or_else(|| {
            let what = format!("leads to `{url}`, which is no address that begins with https");
            RegistryError::Astray(what, self.registry.clone())
        })
    }

    /// Asks, and once more if the registry first wants to know who does.
    pub async fn ask(
        &mut self,
        method: Method,
        url: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Answer, RegistryError> {
        // What stands elsewhere has its permission in its address.
        let own = url.starts_with(&format!("{}/", self.origin));
        let known = self.authorization.clone().filter(|_| own);
        let answer = self.send(method.clone(), url, body.clone(), known.as_deref()).await?;
        if answer.status != StatusCode::UNAUTHORIZED || !own {
            return Ok(answer);
        }
        let wanted = self.authorize(&answer).await?;
        let answer = self.send(method, url, body, Some(&wanted)).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.denied());
        }
        self.authorization = Some(wanted);
        Ok(answer)
    }

    /// What the registry wants to see.
    async fn authorize(&self, answer: &Answer) -> Result<String, RegistryError> {
        let headers = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = headers.filter_map(|header| challenge::parse(header.to_str().ok()?));
        let basic = match &self.credentials {
            Credentials::Basic(basic) => Some(format!("Basic {basic}")),
            Credentials::None(_) => None,
        };
        match challenges.next() {
            Some(Challenge::Basic) => basic.ok_or_else(|| self.denied()),
            Some(Challenge::Bearer { realm, service }) => {
                self.token(&realm, service.as_deref(), basic.as_deref()).await
            }
            None => {
                let what = "wants to know who pushes, in no way that is known here (Basic, Bearer)";
                Err(RegistryError::Astray(what.into(), self.registry.clone()))
            }
        }
    }

    /// A token for this repository, from where tokens are had.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        basic: Option<&str>,
    ) -> Result<String, RegistryError> {
        let separator = if realm.contains('?') { '&' } else { '?' };
        let mut url = format!("{realm}{separator}scope=repository:{}:pull,push", self.repository);
        if let Some(service) = service {
            url.push_str(&format!("&service={}", escaped(service)));
        }
        self.secure(&url)?;
        let answer = self.send(Method::GET, &url, None, basic).await?;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = json["token"].as_str().or(json["access_token"].as_str());
        match token.filter(|_| answer.status.is_success()) {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(self.denied()),
        }
    }

    fn denied(&self) -> RegistryError {
        let known = match &self.credentials {
            Credentials::Basic(_) => {
                "with the credentials that Docker's configuration has for it".into()
            }
            Credentials::None(why) => format!("without credentials {why}"),
        };
        RegistryError::Denied {
            host: self.registry.clone(),
            repository: self.repository.clone(),
            known,
        }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<(&str, Bytes)>,
        authorization: Option<&str>,
    ) -> Result<Answer, RegistryError> {
        let silent = |why: String| RegistryError::Silent { url: url.to_string(), why };
        let mut request = Request::builder().method(method).uri(self.secure(url)?);
        request = request.header(USER_AGENT, concat!("firedrill/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let patience = if body.is_some() { PATIENCE_WITH_UPLOADS } else { PATIENCE };
        if let Some((media_type, _)) = &body {
            request = request.header(CONTENT_TYPE, *media_type);
        }
        let body = body.map(|(_, bytes)| bytes).unwrap_or_default();
        let request = request.body(Full::new(body)).map_err(|e| silent(e.to_string()))?;
        let asked = async {
            let (head, body) =
                self.client.request(request).await.map_err(|e| words(&e))?.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|e| e.to_string())?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer.map_err(silent),
            Err(_) => Err(silent(format!("not within {} s", patience.as_secs()))),
        }
    }
}

/// What went wrong, down to its cause.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// A value in the query of an address (RFC 3986).
fn escaped(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    let one = |b: u8| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(name: &str) -> Http {
        Http::new(&name.parse().unwrap(), Credentials::None("(none)".into())).unwrap()
    }

    #[tokio::test]
    async fn only_this_machine_is_spoken_to_in_the_clear() {
        for (name, url) in [
            ("r.example.com/a:1", "https://r.example.com/v2/a/x"),
            ("r.example.com:80/a:1", "https://r.example.com:80/v2/a/x"),
            ("localhost:5000/a:1", "http://localhost:5000/v2/a/x"),
            ("127.0.0.1:5000/a:1", "http://127.0.0.1:5000/v2/a/x"),
            ("a:1", "https://registry-1.docker.io/v2/library/a/x"),
        ] {
            assert_eq!(http(name).url("x"), url);
        }
        let http = http("r.example.com/a:1");
        assert_eq!(http.resolve("/v2/u?x=1").unwrap(), "https://r.example.com/v2/u?x=1");
        assert_eq!(
            http.resolve("https://store.example.com/u").unwrap(),
            "https://store.example.com/u"
        );
        for place in ["http://r.example.com/u", "file:///etc/passwd", "u", ""] {
            let refused = http.resolve(place).unwrap_err().to_string();
            assert!(refused.contains("r.example.com leads to"), "{refused}");
        }
    }

    #[test]
    fn what_stands_in_a_query_is_escaped() {
        assert_eq!(escaped("Example Registry/1&x=2"), "Example%20Registry%2F1%26x%3D2");
    }
}
