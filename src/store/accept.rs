//! Accepts connections until it is told to stop, and gives each a task of its own.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long to wait where no connection could be accepted: file descriptors may be used up.
const AGAIN: Duration = Duration::from_millis(50);

/// Converses with whoever comes (`who` for the log), until `stop`; standing conversations end, too.
pub(super) async fn serve<C, E>(
    listener: TcpListener,
    who: &'static str,
    stop: CancellationToken,
    mut converse: impl FnMut(TcpStream) -> C,
) where
    C: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (conversation, stop) = (converse(stream), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        ended = conversation => {
                            if let Err(error) = ended {
                                tracing::debug!(%error, "the connection of a {who} ended");
                            }
                        }
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the connection of a {who} was not accepted");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
