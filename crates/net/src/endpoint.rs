//! Whom a connection is with: an address, or a name that only a proxy can resolve.

use crate::error::NetError;
use crate::tcp;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The longest name of DNS, and the longest that SOCKS5 carries but for two.
const NAME_BYTES: usize = 253;

/// An address, or a name and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IP address.
    Ip(SocketAddr),
    /// A host name in lower case: never resolved here, handed to a proxy as it is.
    Name {
        /// Letters, digits, `-`, `_` and dots; does not look like an IPv4 address.
        host: Arc<str>,
        /// 1 to 65,535; I2P makes little of it.
        port: u16,
    },
}

impl Endpoint {
    /// Reads an IP literal or a host name.
    pub fn parse(host: &str, port: u16) -> Result<Self, NetError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::Ip(SocketAddr::new(ip, port)));
        }
        if !is_name(host) {
            return Err(NetError::Address { text: host.chars().take(NAME_BYTES).collect() });
        }
        Ok(Self::Name { host: host.to_ascii_lowercase().into(), port })
    }

    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Name { .. } => None,
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }

    /// The host's text: an IP literal in its canonical form, or the name.
    pub fn host(&self) -> String {
        match self {
            Self::Ip(address) => address.ip().to_canonical().to_string(),
            Self::Name { host, .. } => host.to_string(),
        }
    }

    /// Whether one host answers for both: see [`tcp::host`].
    pub fn is_same_host(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ip(one), Self::Ip(other)) => tcp::host(one.ip()) == tcp::host(other.ip()),
            (Self::Name { host: one, .. }, Self::Name { host: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Name { host, port } => write!(formatter, "{host}:{port}"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // What ends like a number is an odd spelling of an IPv4 address to whoever resolves it (127.1, 0x7f.1).
    let last = text.rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = digits.map_or_else(
        || last.bytes().all(|byte| byte.is_ascii_digit()),
        |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    );
    text.len() <= NAME_BYTES && !is_number && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::Endpoint;

    #[test]
    fn a_host_is_an_address_or_a_name_and_no_odd_spelling_of_an_address() {
        let of = |host: &str| Endpoint::parse(host, 80).map(|endpoint| endpoint.to_string()).ok();
        assert_eq!(of("192.0.2.1").as_deref(), Some("192.0.2.1:80"));
        assert_eq!(of("2001:DB8::1").as_deref(), Some("[2001:db8::1]:80"));
        assert_eq!(of("Peer.Example").as_deref(), Some("peer.example:80"));
        assert_eq!(of("abc.onion").as_deref(), Some("abc.onion:80"));
        for wrong in
            ["", ".", "a..b", "127.1", "0x7f.0x1", "2130706433", "a b", "a/b", "a:1", "\u{e9}.example"]
        {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        assert_eq!(of(&format!("{}example", "a.".repeat(130))), None);
        let host = |text: &str| Endpoint::parse(text, 1).unwrap();
        assert!(host("2001:db8::1").is_same_host(&host("2001:db8::2")));
        assert!(host("a.i2p").is_same_host(&host("A.i2p")) && !host("a.i2p").is_same_host(&host("1.2.3.4")));
    }
}
