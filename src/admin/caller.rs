//! The caller, as far as it is known.

use std::fmt;
use std::net::IpAddr;

/// Caller for whom the limits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A user of this machine, who is also at the other end of a proxy that runs as that user.
    Uid(u32),
    /// An address, where the kernel does not tell the user. Of IPv6 it is the network, since a network has addresses
    /// without end.
    Network(IpAddr),
}

impl Who {
    /// Returns a caller of whom only the address is known.
    pub(super) fn at(ip: IpAddr) -> Self {
        /// Bits of an IPv6 address that are the network's.
        const NETWORK: u128 = !0 << 64;
        Self::Network(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
            IpAddr::V6(ip) => std::net::Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into(),
        })
    }
}

/// Caller that changes something, as the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) who: Who,
    /// Id of the process, where the kernel tells it.
    pub(super) pid: Option<i32>,
    /// Whether the token let the caller in.
    pub(super) by_token: bool,
}

impl fmt::Display for Caller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_token {
            out.write_str("a holder of the token, ")?;
        }
        match self.who {
            Who::Uid(uid) => write!(out, "uid {uid}")?,
            Who::Network(ip) => write!(out, "at {ip}")?,
        }
        match self.pid {
            Some(pid) => write!(out, " (pid {pid})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_by_user_process_and_right() {
        let told = |who, pid, by_token| Caller { who, pid, by_token }.to_string();
        assert_eq!(told(Who::Uid(0), None, false), "uid 0");
        assert_eq!(told(Who::Uid(7), Some(12), false), "uid 7 (pid 12)");
        assert_eq!(told(Who::Uid(7), Some(12), true), "a holder of the token, uid 7 (pid 12)");
        let who = Who::at("192.0.2.1".parse().expect("an address"));
        assert_eq!(told(who, None, true), "a holder of the token, at 192.0.2.1");
    }

    #[test]
    fn one_network_is_one_caller() {
        let at = |text: &str| Who::at(text.parse().expect("an address"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_ne!(at("::1"), at("::2"));
    }
}
