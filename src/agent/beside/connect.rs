//! TCP connects, and who accepts them: whether a link refuses shows only where something listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::protocol::Connect;

/// Before accepting again after the kernel would not.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts on a free port of every address, and closes at once. Returns the port.
pub(super) async fn accept_all() -> io::Result<u16> {
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?,
    };
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        loop {
            if listener.accept().await.is_err() {
                sleep(PAUSE).await;
            }
        }
    });
    Ok(port)
}

/// What a connect comes to, and after how many nanoseconds.
pub async fn connect(to: SocketAddr, wait: Duration) -> (Connect, u64) {
    let began = Instant::now();
    let how = match timeout(wait, TcpStream::connect(to)).await {
        Ok(Ok(_)) => Connect::Accepted,
        Ok(Err(why)) if is_refusal(why.kind()) => Connect::Refused,
        Ok(Err(_)) | Err(_) => Connect::Silent,
    };
    (how, u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Whether the other end, or somebody in its name, said no; not that there is no way to it.
fn is_refusal(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_listens_accepts_and_what_does_not_refuses() {
        let port = accept_all().await.unwrap();
        let patience = Duration::from_secs(60);
        for _ in 0..2 {
            let (how, _) = connect((Ipv4Addr::LOCALHOST, port).into(), patience).await;
            assert_eq!(how, Connect::Accepted);
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        assert_eq!(connect(free, patience).await.0, Connect::Refused);
    }
}
