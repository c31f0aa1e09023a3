//! The client's half of SOCKS5 (RFC 1928), with the authentication of RFC 1929, and its header of datagrams.
//!
//! Strict: what is no answer of SOCKS5 ends the connection, and not a byte is read that belongs to whom it leads to.
//! Waits are bounded by who calls.

use crate::endpoint::Endpoint;
use crate::error::{DialError, ProxyFault};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
/// RFC 1929 has a version of its own.
const AUTHENTICATION_VERSION: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// Of a reply: the hop limit ran out. Tor says so of what it could not reach in time.
const TTL_EXPIRED: u8 = 6;
/// The longest header of a datagram: that of a name.
pub(crate) const DATAGRAM_HEADER_BYTES: usize = 4 + 1 + 255 + 2;

/// A user's name and password, of 1 to 255 bytes each. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// `None` when one of them is empty or longer than 255 bytes: they cannot be sent (RFC 1929).
    pub fn new(username: &[u8], password: &[u8]) -> Option<Self> {
        let fits = |text: &[u8]| (1..=255).contains(&text.len());
        (fits(username) && fits(password))
            .then(|| Self { username: username.to_vec(), password: password.to_vec() })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// What a proxy is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Connect = 1,
    UdpAssociate = 3,
}

/// Agrees on a method, and logs in. With credentials nothing else is offered: a proxy that wants none is not the one
/// that was meant, and Tor tells streams apart by them.
pub(crate) async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    credentials: Option<&Credentials>,
) -> Result<(), ProxyFault> {
    let method = if credentials.is_some() { USERNAME_PASSWORD } else { NO_AUTHENTICATION };
    stream.write_all(&[VERSION, 1, method]).await.map_err(|_| ProxyFault::Gone)?;
    match read::<2>(stream).await? {
        [VERSION, chosen] if chosen == method => {}
        [VERSION, _] => return Err(ProxyFault::Authentication),
        _ => return Err(ProxyFault::NotSocks5),
    }
    let Some(Credentials { username, password }) = credentials else { return Ok(()) };
    let mut login = vec![AUTHENTICATION_VERSION];
    for text in [username, password] {
        login.push(text.len() as u8);
        login.extend_from_slice(text);
    }
    stream.write_all(&login).await.map_err(|_| ProxyFault::Gone)?;
    match read::<2>(stream).await? {
        [AUTHENTICATION_VERSION, 0] => Ok(()),
        [AUTHENTICATION_VERSION, _] => Err(ProxyFault::Authentication),
        _ => Err(ProxyFault::NotSocks5),
    }
}

/// Asks; the address that comes back, when it is one: where datagrams go to, for `UdpAssociate`.
pub(crate) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    command: Command,
    to: &Endpoint,
) -> Result<Option<SocketAddr>, DialError> {
    let gone = |_| DialError::Proxy(ProxyFault::Gone);
    let mut request = vec![VERSION, command as u8, 0];
    put_address(&mut request, to).ok_or(DialError::Refused)?;
    stream.write_all(&request).await.map_err(gone)?;
    let [version, reply, reserved, kind] = read::<4>(stream).await?;
    if version != VERSION || reserved != 0 {
        return Err(ProxyFault::NotSocks5.into());
    }
    match reply {
        0 => {}
        TTL_EXPIRED => return Err(DialError::TimedOut),
        // Also what Tor says of its own (0xf0 to 0xf7). The rest of the reply is of no use.
        _ => return Err(DialError::Refused),
    }
    let ip: Option<IpAddr> = match kind {
        IPV4 => Some(read::<4>(stream).await?.into()),
        IPV6 => Some(read::<16>(stream).await?.into()),
        NAME => {
            let [length] = read::<1>(stream).await?;
            let mut name = [0; 255];
            let name = name.get_mut(..usize::from(length)).unwrap_or_default();
            stream.read_exact(name).await.map_err(gone)?;
            None
        }
        _ => return Err(ProxyFault::NotSocks5.into()),
    };
    let port = u16::from_be_bytes(read::<2>(stream).await?);
    Ok(ip.map(|ip| SocketAddr::new(ip, port)))
}

/// Puts the header of a datagram in front of where its payload goes; false when there is no such address.
pub(crate) fn put_datagram_header(datagram: &mut Vec<u8>, to: &Endpoint) -> bool {
    datagram.extend_from_slice(&[0, 0, 0]);
    put_address(datagram, to).is_some()
}

/// Who sent what of a datagram's bytes. `None` for fragments, names and rubbish: they are dropped (RFC 1928, 7).
pub(crate) fn open_datagram(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let (ip, rest): (IpAddr, _) = match *head {
        [0, 0, 0, IPV4] => {
            rest.split_first_chunk::<4>().map(|(ip, rest)| (Ipv4Addr::from(*ip).into(), rest))?
        }
        [0, 0, 0, IPV6] => {
            rest.split_first_chunk::<16>().map(|(ip, rest)| (Ipv6Addr::from(*ip).into(), rest))?
        }
        _ => return None,
    };
    let (port, payload) = rest.split_first_chunk::<2>()?;
    Some((SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(*port)), payload))
}

fn put_address(bytes: &mut Vec<u8>, to: &Endpoint) -> Option<()> {
    match to {
        Endpoint::Ip(address) => match address.ip().to_canonical() {
            IpAddr::V4(v4) => {
                bytes.push(IPV4);
                bytes.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                bytes.push(IPV6);
                bytes.extend_from_slice(&v6.octets());
            }
        },
        Endpoint::Name { host, .. } => {
            bytes.extend_from_slice(&[NAME, u8::try_from(host.len()).ok()?]);
            bytes.extend_from_slice(host.as_bytes());
        }
    }
    bytes.extend_from_slice(&to.port().to_be_bytes());
    Some(())
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], ProxyFault> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(|_| ProxyFault::Gone)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "socks5_test.rs"]
mod tests;
