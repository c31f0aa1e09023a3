//! A control port that is not Tor's says what a test wants.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Onion, OnionOptions, hex, hmac, unquoted};
use crate::error::ControlFault;
use crate::{Runtime, RuntimeOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const SERVICE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2";

/// A connection, and what was said on it.
type Said = (TcpStream, Vec<String>);

/// Answers each line by `answer`; every connection is handed on when its service is made.
fn keep(
    password: Option<&str>,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (Runtime, Arc<Onion>, Receiver<Said>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = listener.local_addr().unwrap();
    let (tell, made) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut said = Vec::new();
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                stream.write_all(answer(&line).as_bytes()).unwrap();
                said.push(line);
                if said.last().unwrap().starts_with("ADD_ONION") {
                    break;
                }
            }
            if tell.send((stream, said)).is_err() {
                return;
            }
        }
    });
    let runtime = Runtime::start(RuntimeOptions { network_threads: 1, worker_threads: 1 }).unwrap();
    let onion = Arc::new(Onion::default());
    let target = "127.0.0.1:6881".parse().unwrap();
    let password = password.map(|password| password.as_bytes().to_vec());
    runtime.handle().spawn(Arc::clone(&onion).keep(OnionOptions { control, password, port: 6881, target }));
    (runtime, onion, made)
}

fn until<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn added(line: &str) -> Option<String> {
    line.starts_with("ADD_ONION")
        .then(|| format!("250-ServiceID={SERVICE}\r\n250-PrivateKey=ED25519-V3:abc+/=\r\n250 OK\r\n"))
}

#[test]
fn a_service_is_made_by_password_and_anew_with_its_key_when_tor_comes_back() {
    let (runtime, onion, made) =
        keep(Some("pass word"), |line| added(line).unwrap_or_else(|| "250 OK\r\n".to_owned()));
    let (control, said) = made.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        said,
        ["AUTHENTICATE 7061737320776F7264", "ADD_ONION NEW:ED25519-V3 Port=6881,127.0.0.1:6881"]
    );
    assert_eq!(until(|| onion.host()), format!("{SERVICE}.onion"));
    drop(control);
    let (_control, said) = made.recv_timeout(PATIENCE).unwrap();
    assert_eq!(said.last().unwrap(), "ADD_ONION ED25519-V3:abc+/= Port=6881,127.0.0.1:6881");
    runtime.close(PATIENCE);
}

#[test]
fn the_cookie_is_proven_and_never_told() {
    let folder = std::env::temp_dir().join(format!("blockswarm-cookie-{}", std::process::id()));
    std::fs::write(&folder, [7; 32]).unwrap();
    let path = folder.to_str().unwrap().to_owned();
    let answer = move |is_tor: bool, path: String| {
        move |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            ["PROTOCOLINFO", ..] => format!(
                "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE=\"{path}\"\r\n250 OK\r\n"
            ),
            ["AUTHCHALLENGE", "SAFECOOKIE", nonce] => {
                let ours = super::unhex(nonce).unwrap();
                let message = [&[if is_tor { 7 } else { 8 }; 32][..], &ours, &[9; 32]].concat();
                let hash = hmac(b"Tor safe cookie authentication server-to-controller hash", &message);
                format!("250 AUTHCHALLENGE SERVERHASH={} SERVERNONCE={}\r\n", hex(&hash), hex(&[9; 32]))
            }
            _ => added(line).unwrap_or_else(|| "250 OK\r\n".to_owned()),
        }
    };
    let (runtime, onion, made) = keep(None, answer(true, path.clone()));
    let (_control, said) = made.recv_timeout(PATIENCE).unwrap();
    assert!(said.iter().all(|line| !line.contains(&hex(&[7; 32]))));
    until(|| onion.host());
    runtime.close(PATIENCE);
    let (runtime, onion, _made) = keep(None, answer(false, path));
    assert_eq!(until(|| onion.fault()), ControlFault::Cookie, "it does not know the cookie");
    runtime.close(PATIENCE);
    std::fs::remove_file(folder).unwrap();
}

#[test]
fn what_is_no_reply_is_a_fault() {
    for (reply, fault) in [
        ("HTTP/1.1 400\r\n", ControlFault::Malformed),
        ("250+data\r\n", ControlFault::Malformed),
        ("250 no line feed", ControlFault::Malformed),
        ("\r\n", ControlFault::Malformed),
        ("515 Bad authentication\r\n", ControlFault::Password),
        ("510 Unrecognized\r\n", ControlFault::Refused("Unrecognized".to_owned())),
    ] {
        let (runtime, onion, _made) = keep(Some("x"), move |_| {
            // A line that never ends is read to its bound.
            if reply.ends_with("feed") { "x".repeat(10_000) } else { reply.to_owned() }
        });
        assert_eq!(until(|| onion.fault()), fault, "{reply:?}");
        assert_eq!(onion.host(), None);
        runtime.close(PATIENCE);
    }
    assert_eq!(unquoted(r#""a\"b\\c" rest"#).as_deref(), Some(r#"a"b\c"#));
    assert_eq!(unquoted("\"a"), None);
}

#[test]
fn hmac_is_rfc_4231s() {
    let tag = hmac(b"Jefe", b"what do ya want for nothing?");
    assert!(hex(&tag).starts_with("5BDCC146BF60754E6A042426089575C7"));
}
