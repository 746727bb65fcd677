//! A resolver of the test's own, and those who ask it: messages are written and read byte by byte here, so that no
//! mistake of a library's is made on both sides.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::lab::*;

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
pub const HTTPS: u16 = 65;

/// What the resolver says of every name.
pub const TRUE_V4: &str = "192.0.2.1";
pub const TRUE_V6: &str = "2001:db8::1";
/// How long it takes for names that begin with `slow`.
pub const SLOW: Duration = Duration::from_millis(700);

pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;

/// A question.
pub fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// The name that a message asks for, what kind, and where the question ends; `None` if there is none.
fn asked(bytes: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, vec![]);
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => break,
            length => {
                let label = bytes.get(at + 1..=at + length)?;
                labels.push(String::from_utf8_lossy(label).to_string());
                at += length + 1;
            }
        }
    }
    let kind = bytes.get(at + 1..at + 3)?;
    Some((labels.join("."), u16::from_be_bytes(kind.try_into().unwrap()), at + 5))
}

/// What the resolver answers: nothing to `mute...`, NXDOMAIN to `missing...`, over UDP too much to `big...`; and what
/// is no question comes back as it is.
fn answer(message: &[u8], over_udp: bool) -> Option<Vec<u8>> {
    let Some((name, kind, end)) = asked(message) else { return Some(message.to_vec()) };
    let name = name.to_ascii_lowercase();
    if name.starts_with("mute") {
        return None;
    }
    if name.starts_with("slow") {
        std::thread::sleep(SLOW);
    }
    let truncated = over_udp && name.starts_with("big");
    let address: Option<IpAddr> = match kind {
        A => Some(TRUE_V4.parse().unwrap()),
        AAAA => Some(TRUE_V6.parse().unwrap()),
        _ => None,
    };
    let missing = name.starts_with("missing");
    let address = address.filter(|_| !missing && !truncated);
    let mut bytes = message.get(..end)?.to_vec();
    bytes[2] = 0x81 | if truncated { 2 } else { 0 };
    bytes[3] = 0x80 | if missing { NXDOMAIN } else { 0 };
    bytes[6..12].copy_from_slice(&[0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60, 0, octets.len() as u8]);
        bytes.extend(octets);
    }
    Some(bytes)
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    Address(String),
    NoData,
    Code(u8),
    Nothing,
}

pub fn truth() -> Came {
    Came::Address(TRUE_V4.into())
}

/// What an answer to a question says.
fn read(question: &[u8], answer: &[u8]) -> Came {
    assert_eq!(answer[..2], question[..2], "another number");
    assert_eq!(answer[12..question.len()], question[12..], "another question");
    assert_eq!(answer[2] & 0x80, 0x80, "no answer");
    match (answer[3] & 15, answer[7]) {
        (0, 0) => Came::NoData,
        (0, _) => {
            // The name again: a reference to the question's, or in full.
            let name = &answer[question.len()..];
            let length = match name[0] {
                0xc0 => 2,
                _ => name.iter().position(|byte| *byte == 0).unwrap() + 1,
            };
            let record = &name[length..];
            let octets = &record[10..10 + usize::from(record[9])];
            let address: IpAddr = match octets.len() {
                4 => <[u8; 4]>::try_from(octets).unwrap().into(),
                _ => <[u8; 16]>::try_from(octets).unwrap().into(),
            };
            Came::Address(address.to_string())
        }
        (code, _) => Came::Code(code),
    }
}

fn next_id() -> u16 {
    static ID: AtomicU16 = AtomicU16::new(1);
    ID.fetch_add(1, Ordering::Relaxed)
}

/// A resolver at work, on UDP and TCP, until it is dropped.
pub struct Resolver {
    over: Arc<AtomicBool>,
}

impl Resolver {
    pub fn at(lab: &Lab, side: &str, address: &str, port: u16) -> Resolver {
        let at = SocketAddr::new(address.parse().unwrap(), port);
        let (socket, listener) =
            lab.on(side, || (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap()));
        let resolver = Resolver { over: Arc::default() };
        let look = Duration::from_millis(50);
        socket.set_read_timeout(Some(look)).unwrap();
        let over = resolver.over.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                let Ok((count, from)) = socket.recv_from(&mut bytes) else { continue };
                let (message, socket) = (bytes[..count].to_vec(), socket.try_clone().unwrap());
                let say = move || answer(&message, true).map(|bytes| socket.send_to(&bytes, from));
                std::thread::spawn(say);
            }
        });
        listener.set_nonblocking(true).unwrap();
        let over = resolver.over.clone();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(std::thread::spawn(move || converse(stream))),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        resolver
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    loop {
        let message = hear(&mut stream)?;
        if let Some(bytes) = answer(&message, false) {
            say(&mut stream, &bytes)?;
        }
    }
}

pub fn say(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = (message.len() as u16).to_be_bytes();
    stream.write_all(&[&length[..], message].concat())
}

pub fn hear(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Who asks one resolver, from the near side: always with the same UDP socket.
pub struct Asker<'a> {
    lab: &'a Lab,
    resolver: SocketAddr,
    socket: UdpSocket,
}

impl<'a> Asker<'a> {
    pub fn of(lab: &'a Lab, resolver: &str) -> Asker<'a> {
        let resolver = SocketAddr::new(resolver.parse().unwrap(), 53);
        let any = if resolver.is_ipv4() { "0.0.0.0" } else { "::" };
        let socket = lab.udp(&lab.near, any);
        lab.on(&lab.near, || socket.connect(resolver).unwrap());
        Asker { lab, resolver, socket }
    }

    /// One question over UDP, asked once, and answered within this time.
    pub fn within(&self, patience: Duration, name: &str, kind: u16) -> Came {
        let question = question(next_id(), name, kind);
        let sent = self.socket.send(&question).or_else(|_| self.socket.send(&question));
        sent.unwrap();
        let (until, mut bytes) = (Instant::now() + patience, [0; 2048]);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            match self.socket.hear(&mut bytes) {
                Ok(count) if bytes[..2] == question[..2] => {
                    return read(&question, &bytes[..count]);
                }
                Ok(_) => {} // of a question before
                Err(_) if Instant::now() >= until => return Came::Nothing,
                Err(_) => {}
            }
        }
    }

    /// What comes, when something must.
    pub fn udp(&self, name: &str, kind: u16) -> Came {
        self.within(PATIENCE, name, kind)
    }

    /// That nothing comes.
    pub fn assert_silent(&self, name: &str) {
        assert_eq!(self.within(SILENCE, name, A), Came::Nothing, "{} {name}", self.resolver);
    }

    pub fn connect(&self) -> TcpStream {
        let dial = || TcpStream::connect_timeout(&self.resolver, PATIENCE).unwrap();
        let stream = self.lab.on(&self.lab.near, dial);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One question over a connection of its own.
    pub fn tcp(&self, name: &str, kind: u16) -> Came {
        converse_once(&mut self.connect(), name, kind)
    }

    /// Sends bytes over UDP; what comes back.
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.socket.send(bytes).unwrap();
        let mut came = [0; 2048];
        let count = self.socket.hear(&mut came).unwrap();
        came[..count].to_vec()
    }

    /// Asks, and does not wait.
    pub fn ask(&self, name: &str) {
        self.socket.send(&question(next_id(), name, A)).unwrap();
    }
}

/// One question over a connection; silence if there is nothing for a while.
pub fn converse_once(stream: &mut TcpStream, name: &str, kind: u16) -> Came {
    let question = question(next_id(), name, kind);
    say(stream, &question).unwrap();
    match uninterrupted(|| hear(stream)) {
        Ok(answer) => read(&question, &answer),
        Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => Came::Nothing,
        Err(why) => panic!("{why}"),
    }
}
