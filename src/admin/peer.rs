//! Who is calling: the uid of the process at the other end of a connection, from the kernel. Of the socket it tells it
//! outright (`SO_PEERCRED`); of a loopback connection it is looked up.
//!
//! `/proc/net/tcp` and `/proc/net/tcp6` list every socket of the network namespace with the uid that made it; see
//! `proc(5)` and `Documentation/networking/proc_net_tcp.rst`. The row we want is the other end of our own connection.
//! Only a row in state ESTABLISHED counts: a socket that its process has closed is listed with uid 0, whoever it was.
//!
//! The tables know the users of our own user namespace; whoever is not of it appears as the overflow uid (65534), which
//! is why no daemon should run as that user.
//!
//! The tables can be long, and anybody can make them longer by opening sockets. So one reader answers everybody who is
//! waiting with one pass over them.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OnceCell, mpsc, oneshot};

use super::caller::Who;

/// How many questions may wait, and how many are answered by one pass.
const WAITING: usize = 1024;

/// How often the tables are read for a connection that is not found: a pass over a table that changes meanwhile can
/// miss a row.
const PASSES: usize = 2;

/// The state of a socket that is connected and open at both ends, as the tables write it.
const ESTABLISHED: &str = "01";

/// An address without what does not distinguish connections of one machine (flow label, scope), and with an IPv4
/// address written as one even where an IPv6 socket holds it.
type End = (IpAddr, u16);

fn end(address: SocketAddr) -> End {
    (address.ip().to_canonical(), address.port())
}

/// A connection as the socket of the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    local: End,
    remote: End,
}

/// One open socket of the tables.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    ends: Ends,
    uid: u32,
}

/// Reads one line of a table: `sl local remote st tx:rx tr:when retrnsmt uid timeout inode …`. `None` for the heading,
/// for a socket that is not open at both ends, and for what cannot be understood.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (fields.next()?, fields.next()?);
    if fields.next()? != ESTABLISHED {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    let inode: u64 = fields.nth(1)?.parse().ok()?;
    // No inode: a socket that no process holds. Its uid would be made up.
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

/// What the tables say of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Uid(u32),
    /// Two rows, two users: nothing to rely on.
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

/// A question, and where its answer goes.
#[derive(Debug)]
struct Question {
    ends: Ends,
    answer: oneshot::Sender<Option<u32>>,
}

/// Answers the questions with as few passes over the tables as there can be.
fn answer_all(tables: &[PathBuf], mut questions: Vec<Question>) {
    for _ in 0..PASSES {
        let mut seen: HashMap<Ends, Seen> = questions.iter().map(|asked| (asked.ends, Seen::Nothing)).collect();
        for table in tables {
            // A table that is not there (no IPv6) or cannot be read says nothing, and who is in none is not known.
            let Ok(file) = File::open(table) else { continue };
            if let Err(error) = look(BufReader::with_capacity(1 << 16, file), &mut seen) {
                tracing::debug!("cannot read {}: {error}", table.to_string_lossy());
            }
        }
        let mut open = Vec::new();
        for Question { ends, answer } in questions {
            let known = match seen.get(&ends) {
                Some(Seen::Uid(uid)) => Some(*uid),
                Some(Seen::Contradiction) => None,
                Some(Seen::Nothing) | None => {
                    open.push(Question { ends, answer });
                    continue;
                }
            };
            // Nobody listens any more when the connection has gone.
            answer.send(known).ok();
        }
        if open.is_empty() {
            return;
        }
        questions = open;
    }
    // Dropping what is still open answers: not known.
}

/// Knows the uids of callers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Callers {
    questions: mpsc::Sender<Question>,
}

impl Callers {
    /// The tables of the kernel.
    pub(super) fn kernel_tables() -> Vec<PathBuf> {
        vec!["/proc/net/tcp".into(), "/proc/net/tcp6".into()]
    }

    /// Something that knows, and the task that makes it know; the task ends with the last clone.
    pub(super) fn new(tables: Vec<PathBuf>) -> (Self, impl Future<Output = ()>) {
        let (questions, mut asked) = mpsc::channel(WAITING);
        let tables: Arc<[PathBuf]> = tables.into();
        let reader = async move {
            let mut batch = Vec::new();
            while asked.recv_many(&mut batch, WAITING).await > 0 {
                let (tables, batch) = (tables.clone(), std::mem::take(&mut batch));
                if let Err(error) = tokio::task::spawn_blocking(move || answer_all(&tables, batch)).await {
                    tracing::error!("The lookup of callers failed: {error}");
                }
            }
        };
        (Self { questions }, reader)
    }

    async fn ask(&self, ends: Ends) -> Option<u32> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { ends, answer }).await.ok()?;
        answered.await.ok().flatten()
    }
}

/// The other end of one connection.
#[derive(Debug)]
pub(super) enum Peer {
    /// On the port.
    Port {
        address: SocketAddr,
        ends: Ends,
        /// A second descriptor of the connection, to see whether it is still the one it was.
        connection: TcpStream,
        uid: OnceCell<Option<u32>>,
    },
    /// On the socket: who it was when it connected.
    Socket { uid: u32, pid: Option<i32> },
}

impl Peer {
    /// The peer of a connection to the port that was just accepted.
    ///
    /// # Errors
    /// When the connection has gone already, or no descriptor is left.
    pub(super) fn new(stream: &tokio::net::TcpStream, address: SocketAddr) -> io::Result<Self> {
        use std::os::fd::AsFd;
        let ends = Ends { local: end(address), remote: end(stream.local_addr()?) };
        let connection = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Self::Port { address, ends, connection, uid: OnceCell::new() })
    }

    /// The peer of a connection to the socket.
    ///
    /// # Errors
    /// When the kernel does not tell who it is.
    pub(super) fn of_socket(stream: &tokio::net::UnixStream) -> io::Result<Self> {
        let known = stream.peer_cred()?;
        Ok(Self::Socket { uid: known.uid(), pid: known.pid() })
    }

    /// The process, where the kernel tells it.
    pub(super) fn pid(&self) -> Option<i32> {
        match self {
            Self::Port { .. } => None,
            Self::Socket { pid, .. } => *pid,
        }
    }

    /// The uid of its process; `None` when the kernel does not tell.
    ///
    /// A socket keeps the uid that made it, so it is asked for once.
    pub(super) async fn uid(&self, callers: &Callers) -> Option<u32> {
        match self {
            Self::Port { ends, connection, uid, .. } => {
                let ask = async {
                    let uid = callers.ask(*ends).await?;
                    // Had our connection been reset before the tables were read, another process could have come by the
                    // same two ports since, and the row would be about that one. A socket that was reset has no peer.
                    connection.peer_addr().ok().map(|_| uid)
                };
                *uid.get_or_init(|| ask).await
            }
            Self::Socket { uid, .. } => Some(*uid),
        }
    }

    /// Whom to count it for: its user, or where it is.
    pub(super) async fn who(&self, callers: &Callers) -> Who {
        match (self.uid(callers).await, self) {
            (Some(uid), _) => Who::Uid(uid),
            (None, Self::Socket { uid, .. }) => Who::Uid(*uid),
            (None, Self::Port { address, .. }) => Who::at(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { address, .. } => write!(out, "{address}"),
            Self::Socket { uid, pid: Some(pid) } => write!(out, "the socket, uid {uid} (pid {pid})"),
            Self::Socket { uid, pid: None } => write!(out, "the socket, uid {uid}"),
        }
    }
}

#[cfg(test)]
mod tests;
