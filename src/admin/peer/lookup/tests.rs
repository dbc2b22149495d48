use std::net::{Ipv4Addr, TcpStream};

use super::*;

const HEADING: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

/// An address as the tables of this machine write it: its words in this machine's byte order.
fn written(ip: IpAddr, port: u16) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words: String =
        bytes.chunks(4).map(|four| format!("{:08X}", u32::from_ne_bytes(four.try_into().unwrap()))).collect();
    format!("{words}:{port:04X}")
}

fn line(local: &str, remote: &str, state: &str, uid: u32, inode: u64) -> String {
    format!(
        "   7: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid:5}        0 {inode} 1 0000 20 4"
    )
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
#[cfg(target_endian = "little")]
fn a_row_as_the_kernel_wrote_it() {
    let v4 = "   1: 0100007F:A1B2 0100007F:1F40 01 00000000:00000000 02:000005E6 00000000  1000        0 21876 2 \
              00000000b0a7a4c5 20 4 30 10 -1";
    let ends = Ends { local: (LOCAL, 41394), remote: (LOCAL, 8000) };
    assert_eq!(row(v4), Some(Row { ends, uid: 1000 }));
    let v6 = "   0: 00000000000000000000000001000000:D2F0 00000000000000000000000001000000:1F40 01 00000000:00000000 \
              00:00000000 00000000 65534        0 9 1 0000000000000000 20 0 0 10 -1";
    let one = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert_eq!(row(v6), Some(Row { ends: Ends { local: (one, 54000), remote: (one, 8000) }, uid: 65534 }));
    let mapped = "  12: 0000000000000000FFFF00000100007F:A1B2 0000000000000000FFFF00000100007F:1F40 01 \
                  00000000:00000000 00:00000000 00000000     0        0 9 1 0000000000000000 20 0 0 10 -1";
    assert_eq!(row(mapped), Some(Row { ends, uid: 0 }));
}

#[test]
fn only_a_socket_that_is_open_at_both_ends_counts() {
    let (one, two) = (written(LOCAL, 41394), written(LOCAL, 8000));
    assert!(row(&line(&one, &two, "01", 1000, 5)).is_some());
    // Every other state: a closed socket is listed with uid 0.
    for state in ["02", "03", "04", "05", "06", "07", "08", "09", "0A", "0B", "0C"] {
        assert_eq!(row(&line(&one, &two, state, 0, 0)), None, "{state}");
        assert_eq!(row(&line(&one, &two, state, 0, 5)), None, "{state}");
    }
    assert_eq!(row(&line(&one, &two, "01", 0, 0)), None, "a socket without an inode belongs to nobody");
}

#[test]
fn what_cannot_be_understood_is_passed_over() {
    let (one, two) = (written(LOCAL, 1), written(LOCAL, 2));
    let good = line(&one, &two, "01", 1000, 5);
    let mut bad: Vec<String> = vec![
        HEADING.into(),
        String::new(),
        line(&one[1..], &two, "01", 0, 5),
        line("0100007F", &two, "01", 0, 5),
        line("0100007F:", &two, "01", 0, 5),
        line("0100007F:1FFFF", &two, "01", 0, 5),
        line("ÄÖÜß:0001", &two, "01", 0, 5),
        line("XX00007F:0001", &two, "01", 0, 5),
    ];
    let end_of_uid = good.find(" 1000").unwrap() + 5;
    bad.extend((0..end_of_uid).map(|length| good[..length].to_owned()));
    for line in bad {
        assert_eq!(row(&line), None, "{line}");
    }
}

#[test]
fn the_row_is_the_clients_and_not_our_own() {
    let (client, ours) = (written(LOCAL, 41394), written(LOCAL, 8000));
    let table = [
        HEADING.to_owned(),
        line(&ours, &client, "01", 0, 4),
        line(&written(LOCAL, 41395), &ours, "01", 7, 5),
        line(&client, &ours, "01", 1000, 6),
    ];
    let ends = Ends { local: (LOCAL, 41394), remote: (LOCAL, 8000) };
    let mut seen = HashMap::from([(ends, Seen::Nothing)]);
    look(table.join("\n").as_bytes(), &mut seen).unwrap();
    assert_eq!(seen[&ends], Seen::Uid(1000));
    // The same again changes nothing; another user's row for the same ends leaves nothing to rely on.
    look(table.join("\n").as_bytes(), &mut seen).unwrap();
    assert_eq!(seen[&ends], Seen::Uid(1000));
    look(line(&client, &ours, "01", 0, 7).as_bytes(), &mut seen).unwrap();
    assert_eq!(seen[&ends], Seen::Contradiction);
}

/// A client and the server's end of its connection.
fn connected(listen: &str) -> Option<(TcpStream, TcpStream, SocketAddr)> {
    // A machine without IPv6 has no such address.
    let listener = std::net::TcpListener::bind(listen).ok()?;
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, address) = listener.accept().unwrap();
    Some((client, stream, address))
}

/// The two ways to ask.
fn lookups() -> [(&'static str, PeerUidLookup); 2] {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(PathBuf::from).to_vec();
    [
        ("sock_diag", PeerUidLookup { tables: Vec::new(), ..PeerUidLookup::new() }),
        ("tables", PeerUidLookup::by_tables(tables)),
    ]
}

fn asked(lookup: &mut PeerUidLookup, stream: &TcpStream, address: SocketAddr) -> Option<u32> {
    lookup.peers([(stream, address)].into_iter()).pop().expect("one").uid()
}

#[test]
fn the_kernel_knows_our_own_uid_over_ipv4_and_ipv6() {
    let own = rustix::process::geteuid().as_raw();
    for (way, mut lookup) in lookups() {
        for listen in ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"] {
            let Some((_client, stream, address)) = connected(listen) else { continue };
            assert_eq!(asked(&mut lookup, &stream, address), Some(own), "{way} {listen}");
        }
        let Ok(listener) = std::net::TcpListener::bind("[::]:0") else { continue };
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port())).unwrap();
        let (stream, address) = listener.accept().unwrap();
        assert_eq!(asked(&mut lookup, &stream, address), Some(own), "{way}, an IPv6 server");
    }
}

#[test]
fn an_ipv4_client_with_an_ipv6_socket_is_known_too() {
    for (way, mut lookup) in lookups() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Ok(_client) = TcpStream::connect((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port)) else {
            return; // a machine without IPv6
        };
        let (stream, address) = listener.accept().unwrap();
        assert_eq!(asked(&mut lookup, &stream, address), Some(rustix::process::geteuid().as_raw()), "{way}");
    }
}

#[test]
fn a_client_that_has_closed_is_not_known() {
    for (way, mut lookup) in lookups() {
        let (client, stream, address) = connected("127.0.0.1:0").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(asked(&mut lookup, &stream, address), None, "{way}: half closed");
        let (client, stream, address) = connected("127.0.0.1:0").unwrap();
        drop(client);
        assert_eq!(asked(&mut lookup, &stream, address), None, "{way}: closed");
    }
}

#[test]
fn a_server_that_has_not_accepted_is_nobody_yet() {
    for (way, mut lookup) in lookups() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = Ends::of_peer(client.peer_addr().unwrap(), client.local_addr().unwrap());
        // The kernel would say root.
        assert_eq!(lookup.uid(ends), None, "{way}");
        let _accepted = listener.accept().unwrap();
        assert_eq!(lookup.uid(ends), Some(rustix::process::geteuid().as_raw()), "{way}");
    }
}

#[test]
fn an_answer_about_a_connection_that_was_reset_does_not_count() {
    // The table knows the two ports, but our connection is not alive any more.
    let (client, mut stream, address) = connected("127.0.0.1:0").unwrap();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let text = line(&written(local.ip(), local.port()), &written(remote.ip(), remote.port()), "01", 0, 5);
    let table = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(table.path(), text).unwrap();
    let mut lookup = PeerUidLookup::by_tables(vec![table.path().into()]);
    assert_eq!(asked(&mut lookup, &stream, address), Some(0));
    // Closing with bytes unread is a reset.
    std::io::Write::write_all(&mut stream, b"x").unwrap();
    client.peek(&mut [0]).unwrap();
    drop(client);
    while stream.peer_addr().is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(asked(&mut lookup, &stream, address), None);
}

#[test]
fn many_are_answered_in_one_go_and_without_tables_nobody_is_known() {
    let lines: Vec<_> =
        (1..=3000).map(|n| line(&written(LOCAL, n), &written(LOCAL, 8000), "01", n.into(), 5)).collect();
    let table = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(table.path(), lines.join("\n")).unwrap();
    let mut lookup = PeerUidLookup::by_tables(vec!["/nowhere/at/all".into(), table.path().into()]);
    let all: Vec<Ends> = (1..=3001).map(|port| Ends { local: (LOCAL, port), remote: (LOCAL, 8000) }).collect();
    let expected: Vec<Option<u32>> = (1..=3001).map(|port| (port <= 3000).then_some(port)).collect();
    assert_eq!(lookup.uids(&all), expected);
    let mut lookup = PeerUidLookup::by_tables(vec!["/nowhere/at/all".into()]);
    let (_client, stream, address) = connected("127.0.0.1:0").unwrap();
    assert_eq!(asked(&mut lookup, &stream, address), None);
}

#[test]
fn what_the_kernel_does_not_tell_is_read_in_the_tables() {
    // Nothing was found by that way before, and the tables know more.
    let table = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(table.path(), line(&written(LOCAL, 1), &written(LOCAL, 2), "01", 1000, 5)).unwrap();
    let mut lookup = PeerUidLookup { diag: Diag::open(), tables: vec![table.path().into()] };
    assert_eq!(lookup.uid(Ends { local: (LOCAL, 1), remote: (LOCAL, 2) }), Some(1000));
    assert!(lookup.diag.is_none());
}
