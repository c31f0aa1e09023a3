//! An onion service for peers that come in, by Tor's control protocol (control-spec): made when the port is there, made
//! anew with the same key when Tor comes back, and gone when we are, since Tor ties it to the connection.

use crate::error::ControlFault;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A reply has no more lines, and none is longer.
const LINES: usize = 64;
const LINE_BYTES: u64 = 4_096;
const COOKIE_BYTES: usize = 32;

/// Where Tor is told what to do, and what for.
pub struct OnionOptions {
    /// Tor's control port.
    pub control: SocketAddr,
    /// Else by the cookie file that Tor names.
    pub password: Option<Vec<u8>>,
    /// Where peers find us at the onion address.
    pub port: u16,
    /// Where Tor brings them.
    pub target: SocketAddr,
}

/// What became of the service.
#[derive(Debug, Default)]
pub struct Onion {
    state: Mutex<(Option<String>, Option<ControlFault>)>,
}

impl Onion {
    /// The host name while the service is up.
    pub fn host(&self) -> Option<String> {
        self.state.lock().0.clone()
    }

    /// Why it is not.
    pub fn fault(&self) -> Option<ControlFault> {
        self.state.lock().1.clone()
    }

    /// Keeps the service, for ever.
    pub async fn keep(self: Arc<Self>, options: OnionOptions) {
        let (mut key, mut pause) = (None, FIRST_PAUSE);
        loop {
            let adding = tokio::time::timeout(REPLY_TIMEOUT, add(&options, &mut key));
            match adding.await.unwrap_or(Err(ControlFault::Unreachable)) {
                Ok((mut control, service)) => {
                    *self.state.lock() = (Some(format!("{service}.onion")), None);
                    pause = FIRST_PAUSE;
                    // It says nothing unasked: the end of the connection is the end of the service.
                    let mut rest = [0; 256];
                    while control.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
                    *self.state.lock() = (None, Some(ControlFault::Unreachable));
                }
                Err(fault) => *self.state.lock() = (None, Some(fault)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

type Control = BufReader<TcpStream>;

async fn add(options: &OnionOptions, key: &mut Option<String>) -> Result<(Control, String), ControlFault> {
    let stream = TcpStream::connect(options.control).await.map_err(|_| ControlFault::Unreachable)?;
    let mut control = BufReader::new(stream);
    log_in(&mut control, options.password.as_deref()).await?;
    let wanted = key.as_deref().unwrap_or("NEW:ED25519-V3");
    let OnionOptions { port, target, .. } = options;
    let lines = ask(&mut control, &format!("ADD_ONION {wanted} Port={port},{target}")).await?;
    let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
    let service = field("ServiceID=").ok_or(ControlFault::Malformed)?;
    if service.len() != 56 || !service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        return Err(ControlFault::Malformed);
    }
    let service = service.to_owned();
    if let Some(private) = field("PrivateKey=") {
        // It goes into a command again.
        if !private.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ControlFault::Malformed);
        }
        *key = Some(private.to_owned());
    }
    Ok((control, service))
}

async fn log_in(control: &mut Control, password: Option<&[u8]>) -> Result<(), ControlFault> {
    if let Some(password) = password {
        return authenticate(control, &hex(password)).await;
    }
    let lines = ask(control, "PROTOCOLINFO 1").await?;
    let auth =
        lines.iter().find_map(|line| line.strip_prefix("AUTH METHODS=")).ok_or(ControlFault::Malformed)?;
    let (methods, rest) = auth.split_once(' ').unwrap_or((auth, ""));
    let has = |wanted: &str| methods.split(',').any(|method| method == wanted);
    if has("NULL") {
        return authenticate(control, "").await;
    }
    if !has("SAFECOOKIE") {
        return Err(ControlFault::Password);
    }
    let path = rest.strip_prefix("COOKIEFILE=").and_then(unquoted).ok_or(ControlFault::Malformed)?;
    let cookie = read_cookie(path).await.ok_or(ControlFault::Cookie)?;
    let mut ours = [0; 32];
    getrandom::fill(&mut ours).map_err(|_| ControlFault::Cookie)?;
    let lines = ask(control, &format!("AUTHCHALLENGE SAFECOOKIE {}", hex(&ours))).await?;
    let field = |name: &str| {
        let mut words = lines.first()?.split(' ');
        let text = words.find_map(|word| word.strip_prefix(name))?;
        unhex(text).filter(|bytes| bytes.len() == 32)
    };
    let (hash, nonce) = field("SERVERHASH=").zip(field("SERVERNONCE=")).ok_or(ControlFault::Malformed)?;
    let message = [&cookie[..], &ours, &nonce].concat();
    // Who cannot show that it knows the cookie is not the Tor that wrote it, and is not told what we know of it.
    if hmac(b"Tor safe cookie authentication server-to-controller hash", &message)[..] != hash[..] {
        return Err(ControlFault::Cookie);
    }
    let answer = hmac(b"Tor safe cookie authentication controller-to-server hash", &message);
    authenticate(control, &hex(&answer)).await
}

async fn authenticate(control: &mut Control, secret: &str) -> Result<(), ControlFault> {
    ask(control, &format!("AUTHENTICATE {secret}")).await.map(drop)
}

/// Nothing but a file of just that length is read: its path is what somebody on a port says.
async fn read_cookie(path: String) -> Option<[u8; COOKIE_BYTES]> {
    let path = PathBuf::from(path);
    let reading = tokio::task::spawn_blocking(move || {
        let about = std::fs::metadata(&path).ok()?;
        let fits = about.is_file() && about.len() == COOKIE_BYTES as u64;
        fits.then(|| std::fs::read(path).ok()).flatten()?.try_into().ok()
    });
    reading.await.ok().flatten()
}

/// One command, and the lines of a good reply without their codes.
async fn ask(control: &mut Control, command: &str) -> Result<Vec<String>, ControlFault> {
    let sent = control.get_mut().write_all(format!("{command}\r\n").as_bytes()).await;
    sent.map_err(|_| ControlFault::Unreachable)?;
    let mut lines = Vec::new();
    loop {
        let mut bytes = Vec::new();
        let read = (&mut *control).take(LINE_BYTES).read_until(b'\n', &mut bytes).await;
        read.map_err(|_| ControlFault::Unreachable)?;
        let text = String::from_utf8(bytes).map_err(|_| ControlFault::Malformed)?;
        let line = text.strip_suffix("\r\n").ok_or(ControlFault::Malformed)?;
        let (code, rest) = line.split_at_checked(3).ok_or(ControlFault::Malformed)?;
        let (mark, text) = rest.split_at_checked(1).ok_or(ControlFault::Malformed)?;
        match (code, mark) {
            ("250", " " | "-") if lines.len() < LINES => lines.push(text.to_owned()),
            ("250", _) => return Err(ControlFault::Malformed),
            ("515", _) => return Err(ControlFault::Password),
            _ if code.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(ControlFault::Refused(
                    text.chars().filter(|each| !each.is_control()).take(100).collect(),
                ));
            }
            _ => return Err(ControlFault::Malformed),
        }
        if mark == " " {
            return Ok(lines);
        }
    }
}

/// A quoted text of the protocol: `\` is in front of what is meant as it is.
fn unquoted(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = text.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => return Some(plain),
            '\\' => plain.push(characters.next()?),
            other => plain.push(other),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// HMAC-SHA256 (RFC 2104) with a key of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
#[path = "tor_control_test.rs"]
mod tests;
