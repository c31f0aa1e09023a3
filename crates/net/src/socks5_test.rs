//! What the client says, byte by byte, and what it makes of answers that are none.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Command, Credentials, ask, greet, open_datagram, put_datagram_header};
use crate::endpoint::Endpoint;
use crate::error::{DialError, ProxyFault};
use proptest::prelude::*;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A proxy that says what was written down for it, a byte at a time, and then ends.
struct Script {
    answers: Vec<u8>,
    said: Vec<u8>,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.answers.is_empty() && buffer.remaining() > 0 {
            buffer.put_slice(&[self.answers.remove(0)]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.said.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn script(answers: &[u8]) -> Script {
    Script { answers: answers.to_vec(), said: Vec::new() }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn greeted(answers: &[u8], credentials: Option<&Credentials>) -> (Result<(), ProxyFault>, Vec<u8>) {
    let mut proxy = script(answers);
    let result = run(greet(&mut proxy, credentials));
    (result, proxy.said)
}

fn asked(answers: &[u8], to: &str) -> (Result<Option<String>, DialError>, Vec<u8>, Vec<u8>) {
    let mut proxy = script(answers);
    let to = Endpoint::parse(to, 6881).unwrap();
    let result = run(ask(&mut proxy, Command::Connect, &to));
    (result.map(|bound| bound.map(|bound| bound.to_string())), proxy.said, proxy.answers)
}

#[test]
fn logs_in_as_rfc_1929_says_and_takes_no_other_method() {
    let login = Credentials::new(b"me", b"secret").unwrap();
    assert_eq!(greeted(&[5, 0], None), (Ok(()), vec![5, 1, 0]));
    assert_eq!(greeted(&[5, 2, 1, 0], Some(&login)), (Ok(()), b"\x05\x01\x02\x01\x02me\x06secret".to_vec()));
    assert_eq!(greeted(&[5, 0xff], None).0, Err(ProxyFault::Authentication));
    assert_eq!(greeted(&[5, 2], None).0, Err(ProxyFault::Authentication), "it wants what we have not");
    assert_eq!(greeted(&[5, 0], Some(&login)).0, Err(ProxyFault::Authentication), "it wants no name");
    assert_eq!(greeted(&[5, 2, 1, 1], Some(&login)).0, Err(ProxyFault::Authentication), "it refuses");
    assert_eq!(greeted(&[5, 2, 5, 0], Some(&login)).0, Err(ProxyFault::NotSocks5));
    assert_eq!(greeted(b"HTTP/1.1 400", None).0, Err(ProxyFault::NotSocks5));
    assert_eq!(greeted(&[4, 0], None).0, Err(ProxyFault::NotSocks5));
    assert_eq!(greeted(&[5], None).0, Err(ProxyFault::Gone));
    for (username, password) in [(&b""[..], &b"x"[..]), (b"x", b""), (&[0; 256], b"x"), (b"x", &[0; 256])] {
        assert_eq!(Credentials::new(username, password), None);
    }
    assert!(!format!("{login:?}").contains("secret"));
}

#[test]
fn asks_for_addresses_and_names_and_leaves_what_follows_the_reply() {
    let v4 = asked(&[5, 0, 0, 1, 127, 0, 0, 1, 0x1a, 0xe1, 19, b'B'], "192.0.2.1");
    assert_eq!(v4.0, Ok(Some("127.0.0.1:6881".to_owned())));
    assert_eq!(v4.1, [5, 1, 0, 1, 192, 0, 2, 1, 0x1a, 0xe1]);
    assert_eq!(v4.2, [19, b'B'], "bytes of the peer are the peer's");
    let name = asked(&[5, 0, 0, 3, 3, b'a', b'.', b'b', 0, 1], "peer.example");
    assert_eq!((name.0, name.2), (Ok(None), vec![]));
    assert_eq!(name.1, b"\x05\x01\x00\x03\x0cpeer.example\x1a\xe1");
    let v6 = asked(&[[5, 0, 0, 4].as_slice(), &[0; 15], &[1, 0, 1]].concat(), "2001:db8::1");
    assert_eq!(v6.0, Ok(Some("[::1]:1".to_owned())));
    assert_eq!(v6.1.get(3), Some(&4));
    // A mapped address is the IPv4 address that it is.
    assert_eq!(asked(&[5, 1], "::ffff:192.0.2.1").1, [5, 1, 0, 1, 192, 0, 2, 1, 0x1a, 0xe1]);
}

#[test]
fn tells_what_the_proxy_is_to_blame_for_from_what_it_could_not_reach() {
    let of = |answers: &[u8]| asked(answers, "192.0.2.1").0.unwrap_err();
    for reply in [1, 2, 3, 4, 5, 7, 8, 9, 0xf0, 0xff] {
        assert_eq!(of(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]), DialError::Refused, "{reply}");
    }
    assert_eq!(of(&[5, 6, 0, 1, 0, 0, 0, 0, 0, 0]), DialError::TimedOut);
    assert_eq!(of(&[4, 0, 0, 1, 0, 0, 0, 0, 0, 0]), DialError::Proxy(ProxyFault::NotSocks5));
    assert_eq!(of(&[5, 0, 7, 1, 0, 0, 0, 0, 0, 0]), DialError::Proxy(ProxyFault::NotSocks5));
    assert_eq!(of(&[5, 0, 0, 2, 0, 0, 0, 0, 0, 0]), DialError::Proxy(ProxyFault::NotSocks5));
    for cut in 0..10 {
        let answer = [5, 0, 0, 1, 127, 0, 0, 1, 0, 1];
        assert_eq!(of(answer.get(..cut).unwrap()), DialError::Proxy(ProxyFault::Gone), "{cut}");
    }
}

#[test]
fn datagrams_are_whole_and_from_addresses() {
    let mut datagram = Vec::new();
    assert!(put_datagram_header(&mut datagram, &Endpoint::parse("192.0.2.1", 1).unwrap()));
    assert_eq!(datagram, [0, 0, 0, 1, 192, 0, 2, 1, 0, 1]);
    datagram.extend_from_slice(b"hi");
    assert_eq!(open_datagram(&datagram), Some(("192.0.2.1:1".parse().unwrap(), &b"hi"[..])));
    for fragment in [1, 0x7f, 0x81] {
        let mut part = datagram.clone();
        *part.get_mut(2).unwrap() = fragment;
        assert_eq!(open_datagram(&part), None, "a fragment");
    }
    assert_eq!(open_datagram(&[0, 1, 0, 1, 192, 0, 2, 1, 0, 1]), None);
    assert_eq!(open_datagram(&[0, 0, 0, 3, 1, b'a', 0, 1, b'x']), None, "a name is nobody that we asked");
}

proptest! {
    #[test]
    fn whatever_a_proxy_says_is_an_answer_or_an_error(answers in prop::collection::vec(any::<u8>(), 0..600)) {
        let login = Credentials::new(b"a", b"b");
        let _ = greeted(&answers, login.as_ref());
        let _ = asked(&answers, "peer.example");
        if let Some((_, payload)) = open_datagram(&answers) {
            prop_assert!(answers.ends_with(payload));
        }
    }

    #[test]
    fn what_was_put_in_front_of_a_datagram_is_read_again(ip in any::<std::net::IpAddr>(), port: u16, payload: Vec<u8>) {
        let to = std::net::SocketAddr::new(ip.to_canonical(), port);
        let mut datagram = Vec::new();
        prop_assert!(put_datagram_header(&mut datagram, &to.into()));
        datagram.extend_from_slice(&payload);
        prop_assert_eq!(open_datagram(&datagram), Some((to, &payload[..])));
    }
}
