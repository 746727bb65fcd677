//! Clients' connections: a line in, a line out.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

use super::accept;
use super::protocol::{LINE, Request, Response};
use super::service::Service;

/// Answers clients until `stop`.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, stop: CancellationToken) {
    accept::serve(listener, "client", stop, |stream| {
        let service = service.clone();
        async move { converse(stream, &service).await }
    })
    .await;
}

async fn converse(stream: TcpStream, service: &Service) -> Result<(), LinesCodecError> {
    stream.set_nodelay(true)?;
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(LINE));
    while let Some(line) = lines.next().await {
        let answer = match line {
            Ok(line) => answer(&line, service).await,
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                let why = format!("the line is longer than {LINE} bytes");
                lines.send(json(&Response::Fail(why))).await?;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        lines.send(answer).await?;
    }
    Ok(())
}

async fn answer(line: &str, service: &Service) -> String {
    match serde_json::from_str(line) {
        Ok(Request::Status { .. }) => json(&service.status()),
        Ok(request) => json(&service.respond(request).await),
        Err(_) => {
            let why = "not a request: expected {\"client\", \"seq\", \"call\"}, \
                       {\"client\", \"seq\", \"open\"} or {\"status\": true}";
            json(&Response::Fail(why.into()))
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|_| r#"{"unknown":"the answer cannot be written as JSON"}"#.into())
}
