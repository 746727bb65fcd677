//! The agent's own way to the true resolver. What it sends is marked, so that the rules let it pass.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::agent::beside::netfilter::OWN_QUESTION;

/// A UDP socket that speaks with the resolver alone.
pub(super) fn datagrams(resolver: SocketAddr) -> io::Result<UdpSocket> {
    let socket = unbound(resolver)?;
    SockRef::from(&socket).set_mark(OWN_QUESTION)?;
    connected(socket, resolver)
}

/// A UDP socket that speaks with the resolver as any process's does.
pub(super) fn plain_datagrams(resolver: SocketAddr) -> io::Result<UdpSocket> {
    connected(unbound(resolver)?, resolver)
}

/// A connection to the resolver.
pub(super) async fn stream(resolver: SocketAddr) -> io::Result<TcpStream> {
    let socket = if resolver.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    SockRef::from(&socket).set_mark(OWN_QUESTION)?;
    socket.connect(resolver).await
}

fn unbound(resolver: SocketAddr) -> io::Result<std::net::UdpSocket> {
    match resolver {
        SocketAddr::V4(_) => std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

fn connected(socket: std::net::UdpSocket, resolver: SocketAddr) -> io::Result<UdpSocket> {
    socket.connect(resolver)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
