//! Lookup of the user at the other end of a TCP connection of this machine, by asking the kernel.
//!
//! The kernel is asked about one socket by its two addresses (`sock_diag(7)`, `linux/inet_diag.h`), which takes the
//! same time however many sockets there are. Where it does not answer such questions, `/proc/net/tcp` and
//! `/proc/net/tcp6` are read instead; they list every socket of the network namespace (`proc(5)`), and one pass answers
//! for as many connections as are asked about.
//!
//! Only a socket in state ESTABLISHED that a process holds counts. A closed socket, and one that nobody has accepted
//! yet, are listed with uid 0, whoever the user was.
//!
//! The answers are in terms of our own user namespace. A user outside of it appears as the overflow uid (65534), which
//! is why no daemon should run as that user.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// Number of passes over the tables for a connection that is not found: a pass over a table that changes meanwhile can
/// miss a row.
const PASSES: usize = 2;

/// State of a socket that is connected and open at both ends, as the tables write it.
const ESTABLISHED: &str = "01";

/// The same state in an answer of `sock_diag`.
const TCP_ESTABLISHED: u8 = 1;

/// An address without the parts that do not distinguish connections of one machine (flow label, scope). An IPv4 address
/// is written as one even where an IPv6 socket holds it.
type End = (IpAddr, u16);

fn end(address: SocketAddr) -> End {
    (address.ip().to_canonical(), address.port())
}

/// A connection as the socket at the other end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    local: End,
    remote: End,
}

impl Ends {
    /// Returns the ends as the peer has them. `peer` is its address, `ours` that of our own socket.
    pub(super) fn of_peer(peer: SocketAddr, ours: SocketAddr) -> Self {
        Self { local: end(peer), remote: end(ours) }
    }
}

/// Lookup of the user that a connection belongs to.
#[derive(Debug)]
pub struct PeerUidLookup {
    diag: Option<Diag>,
    tables: Vec<PathBuf>,
}

impl PeerUidLookup {
    /// Returns a lookup that asks the kernel of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self { diag: Diag::open(), ..Self::by_tables(vec!["/proc/net/tcp".into(), "/proc/net/tcp6".into()]) }
    }

    /// Returns a lookup that reads these tables only.
    pub(in crate::admin) fn by_tables(tables: Vec<PathBuf>) -> Self {
        Self { diag: None, tables }
    }

    /// Returns the uid that holds each of these sockets; `None` where the kernel does not tell.
    pub(super) fn uids(&mut self, all: &[Ends]) -> Vec<Option<u32>> {
        let mut uids = vec![None; all.len()];
        let mut open = Vec::new();
        for (at, ends) in all.iter().enumerate() {
            match self.diag.as_mut().map(|diag| diag.find(ends)) {
                Some(Ok(Found::Uid(uid))) => uids[at] = Some(uid),
                Some(Ok(Found::Nothing)) => {}
                Some(Ok(Found::Unproven) | Err(_)) | None => open.push(at),
            }
        }
        if !open.is_empty() {
            let asked: Vec<Ends> = open.iter().map(|at| all[*at]).collect();
            for (at, uid) in open.into_iter().zip(self.read_tables(&asked)) {
                uids[at] = uid;
                if uid.is_some() && self.diag.as_ref().is_some_and(|diag| !diag.is_proven) {
                    // The kernel did not tell what the tables know, so it is asked no more.
                    self.diag = None;
                }
            }
        }
        uids
    }

    /// Returns the uid that holds one socket.
    pub(super) fn uid(&mut self, ends: Ends) -> Option<u32> {
        self.uids(&[ends]).into_iter().next().flatten()
    }

    fn read_tables(&self, asked: &[Ends]) -> Vec<Option<u32>> {
        let mut seen: HashMap<Ends, Seen> = asked.iter().map(|ends| (*ends, Seen::Nothing)).collect();
        for _ in 0..PASSES {
            for table in &self.tables {
                // A table that is missing (no IPv6) or cannot be read says nothing.
                let Ok(file) = File::open(table) else { continue };
                if let Err(error) = look(BufReader::with_capacity(1 << 16, file), &mut seen) {
                    tracing::debug!("cannot read {}: {error}", table.to_string_lossy());
                }
            }
            if !seen.values().any(|seen| *seen == Seen::Nothing) {
                break;
            }
        }
        let uid = |ends| match seen.get(ends) {
            Some(Seen::Uid(uid)) => Some(*uid),
            Some(Seen::Contradiction | Seen::Nothing) | None => None,
        };
        asked.iter().map(uid).collect()
    }
}

impl Default for PeerUidLookup {
    fn default() -> Self {
        Self::new()
    }
}

/// A socket to the part of the kernel that tells about sockets.
#[derive(Debug)]
struct Diag {
    socket: OwnedFd,
    sequence: u32,
    /// Whether a socket was found before. Until then, "there is none" may mean that the kernel lacks that part.
    is_proven: bool,
}

/// Answer of the kernel about one connection.
enum Found {
    Uid(u32),
    Nothing,
    Unproven,
}

impl Diag {
    /// Size of the header of a `NETLINK_SOCK_DIAG` message: 16 bytes (length, type, flags, number, sender), before what
    /// follows.
    const HEADER: usize = 16;
    const ERROR: u16 = 2;
    const BY_FAMILY: u16 = 20;
    const IS_REQUEST: u16 = 1;
    const TCP: u8 = 6;
    /// Size of a `struct inet_diag_msg`: family, state, two more bytes, the 48 bytes of `struct inet_diag_sockid`, and
    /// five words, of which the fourth is the uid and the last the inode.
    const ANSWER: usize = 72;

    fn open() -> Option<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG)).ok()?;
        Some(Self { socket, sequence: 0, is_proven: false })
    }

    fn find(&mut self, ends: &Ends) -> io::Result<Found> {
        self.sequence = self.sequence.wrapping_add(1);
        send(&self.socket, &question(ends, self.sequence), SendFlags::empty())?;
        let mut buffer = [0; 1024];
        loop {
            // The kernel answers before `send` returns, so there is nothing to wait for.
            let (length, _) = recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
            let answer = &buffer[..length.min(buffer.len())];
            // This is the answer to an earlier question that was given up.
            if word(answer, 8) != Some(self.sequence) {
                continue;
            }
            let found = match half(answer, 4) {
                Some(Self::BY_FAMILY) => Some(uid_of(&answer[Self::HEADER.min(answer.len())..], ends)),
                Some(Self::ERROR) if word(answer, 16).map(u32::cast_signed) == Some(-Errno::NOENT.raw_os_error()) => {
                    None
                }
                _ => return Err(Errno::OPNOTSUPP.into()),
            };
            self.is_proven |= found.is_some();
            return Ok(match found {
                Some(Some(uid)) => Found::Uid(uid),
                Some(None) => Found::Nothing,
                None if self.is_proven => Found::Nothing,
                None => Found::Unproven,
            });
        }
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Writes the question for one TCP socket: the header, and `struct inet_diag_req_v2`.
fn question(ends: &Ends, sequence: u32) -> Vec<u8> {
    let family = if ends.local.0.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut bytes = Vec::with_capacity(Diag::ANSWER);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(Diag::BY_FAMILY.to_ne_bytes());
    bytes.extend(Diag::IS_REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    // Numbers of address families are small.
    bytes.extend([family.as_raw().to_le_bytes()[0], Diag::TCP, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(ends.local.1.to_be_bytes());
    bytes.extend(ends.remote.1.to_be_bytes());
    for ip in [ends.local.0, ends.remote.0] {
        let mut room = [0; 16];
        match ip {
            IpAddr::V4(ip) => room[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => room.copy_from_slice(&ip.octets()),
        }
        bytes.extend(room);
    }
    // Any interface, and no cookie.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([u8::MAX; 8]);
    bytes
}

/// Reads a `struct inet_diag_msg`; `None` where it is about a socket that does not count.
fn uid_of(answer: &[u8], ends: &Ends) -> Option<u32> {
    let answer = answer.get(..Diag::ANSWER)?;
    let is_ipv4 = u16::from(answer[0]) == AddressFamily::INET.as_raw();
    let port = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let ip = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = answer[at..at + 16].try_into().ok()?;
        Some(match is_ipv4 {
            true => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
            false => IpAddr::V6(bytes.into()).to_canonical(),
        })
    };
    // Where there is no such connection, the kernel answers with the socket that listens.
    let is_it = Ends { local: (ip(8)?, port(4)), remote: (ip(24)?, port(6)) } == *ends;
    let (uid, inode) = (word(answer, 64)?, word(answer, 68)?);
    (is_it && answer[1] == TCP_ESTABLISHED && inode != 0).then_some(uid)
}

/// One open socket of the tables.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    ends: Ends,
    uid: u32,
}

/// Reads one line of a table: `sl local remote st tx:rx tr:when retrnsmt uid timeout inode …`. Returns `None` for the
/// heading, for a socket that is not open at both ends, and for a line that cannot be understood.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (fields.next()?, fields.next()?);
    if fields.next()? != ESTABLISHED {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    let inode: u64 = fields.nth(1)?.parse().ok()?;
    // A socket without an inode is held by no process. Its uid would be made up.
    (inode != 0).then_some(())?;
    Some(Row { ends: Ends { local: table_end(local)?, remote: table_end(remote)? }, uid })
}

/// Reads `0100007F:1F40`: the address as 32-bit words in the byte order of the machine, the port as a plain number.
fn table_end(text: &str) -> Option<End> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

/// Result of the tables for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Uid(u32),
    /// Two rows with two users, which are nothing to rely on.
    Contradiction,
}

/// Looks for the connections that `seen` asks for in one table.
fn look(table: impl BufRead, seen: &mut HashMap<Ends, Seen>) -> io::Result<()> {
    for line in table.lines() {
        let Some(row) = row(&line?) else { continue };
        let Some(answer) = seen.get_mut(&row.ends) else { continue };
        *answer = match *answer {
            Seen::Nothing => Seen::Uid(row.uid),
            Seen::Uid(uid) if uid == row.uid => Seen::Uid(uid),
            Seen::Uid(_) | Seen::Contradiction => Seen::Contradiction,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
