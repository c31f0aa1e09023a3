//! What is said to a SAM bridge of I2P, and what it answers (SAM v3, versions 3.1 to 3.3): lines of text on a connection
//! that then is the stream itself. Not a byte is read that belongs to the stream.
//!
//! Lines are bounded here, waits by who calls.

use crate::error::{DialError, ProxyFault};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer ones end the connection: a session's keys have some 900 characters.
const LINE_BYTES: usize = 8_192;

/// The fields of an answer, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply(Vec<(String, String)>);

impl Reply {
    /// Reads a line that begins with two words, such as `STREAM STATUS`; values may be quoted. `None`: another line.
    pub(crate) fn read(line: &str, topic: &str) -> Option<Self> {
        let mut rest = line.strip_prefix(topic)?;
        let mut fields = Vec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            if rest.is_empty() {
                return Some(Self(fields));
            }
            let end = rest.find([' ', '=']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let (value, behind) = match behind.strip_prefix('=') {
                Some(quoted) if quoted.starts_with('"') => unquote(quoted)?,
                Some(plain) => {
                    let (value, behind) = plain.split_at(plain.find(' ').unwrap_or(plain.len()));
                    (value.to_owned(), behind)
                }
                None => (String::new(), behind),
            };
            fields.push((name.to_owned(), value));
            rest = behind;
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn result(&self) -> &str {
        self.get("RESULT").unwrap_or_default()
    }
}

/// `\` is in front of what is meant as it is.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

/// Agrees on a version: 3.1 has what is needed, and more may be answered than that.
pub(crate) async fn hello(bridge: &mut TcpStream) -> Result<(), ProxyFault> {
    let reply = ask(bridge, "HELLO VERSION MIN=3.1 MAX=3.3", "HELLO REPLY").await?;
    if reply.result() == "OK" { Ok(()) } else { Err(ProxyFault::NotSam) }
}

/// One command, and the answer to it.
pub(crate) async fn ask(bridge: &mut TcpStream, command: &str, topic: &str) -> Result<Reply, ProxyFault> {
    say(bridge, command).await?;
    Reply::read(&line(bridge).await?, topic).ok_or(ProxyFault::NotSam)
}

/// One line out.
pub(crate) async fn say(bridge: &mut TcpStream, command: &str) -> Result<(), ProxyFault> {
    bridge.write_all(format!("{command}\n").as_bytes()).await.map_err(|_| ProxyFault::Gone)
}

/// One line in, without its end.
pub(crate) async fn line(bridge: &mut TcpStream) -> Result<String, ProxyFault> {
    let gone = |_: io::Error| ProxyFault::Gone;
    let mut line = Vec::new();
    let mut seen = [0; 1_024];
    loop {
        // Behind the line comes what is the peer's.
        let come = bridge.peek(&mut seen).await.map_err(gone)?;
        let come = seen.get(..come).filter(|come| !come.is_empty()).ok_or(ProxyFault::Gone)?;
        let end = come.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let had = line.len();
        line.resize(had + end.unwrap_or(come.len()), 0);
        if line.len() > LINE_BYTES {
            return Err(ProxyFault::NotSam);
        }
        bridge.read_exact(line.get_mut(had..).unwrap_or_default()).await.map_err(gone)?;
        if end.is_some() {
            let text = String::from_utf8(line).map_err(|_| ProxyFault::NotSam)?;
            return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
        }
    }
}

/// What became of a session that was to be made.
pub(crate) fn of_session(result: &str) -> Result<(), ProxyFault> {
    match result {
        "OK" => Ok(()),
        "DUPLICATED_DEST" => Err(ProxyFault::DestinationInUse),
        "INVALID_KEY" => Err(ProxyFault::BadKeys),
        "DUPLICATED_ID" | "INVALID_ID" | "I2P_ERROR" => Err(ProxyFault::NoSession),
        _ => Err(ProxyFault::NotSam),
    }
}

/// What became of a stream, or of a name that was looked up.
pub(crate) fn of_stream(result: &str) -> Result<(), DialError> {
    match result {
        "OK" => Ok(()),
        "TIMEOUT" => Err(DialError::TimedOut),
        "CANT_REACH_PEER" | "INVALID_KEY" | "KEY_NOT_FOUND" | "I2P_ERROR" => Err(DialError::Refused),
        // Our session is gone, and its connection does not know yet.
        "INVALID_ID" => Err(ProxyFault::NoSession.into()),
        _ => Err(ProxyFault::NotSam.into()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::Reply;
    use proptest::prelude::*;
    use std::fmt::Write;

    #[test]
    fn an_answer_has_fields_quoted_or_not() {
        let line = r#"STREAM STATUS RESULT=I2P_ERROR MESSAGE="no \"lease\" set" SILENT FROM_PORT=0"#;
        let reply = Reply::read(line, "STREAM STATUS").unwrap();
        assert_eq!(reply.result(), "I2P_ERROR");
        assert_eq!(reply.get("MESSAGE"), Some(r#"no "lease" set"#));
        assert_eq!(
            (reply.get("SILENT"), reply.get("FROM_PORT"), reply.get("X")),
            (Some(""), Some("0"), None)
        );
        assert_eq!(Reply::read(line, "SESSION STATUS"), None);
        assert_eq!(Reply::read(r#"STREAM STATUS MESSAGE="no end"#, "STREAM STATUS"), None);
        assert_eq!(Reply::read("STREAM STATUS", "STREAM STATUS").unwrap().result(), "");
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused_and_no_field_is_made_up(rest in "\\PC{0,60}") {
            let line = format!("STREAM STATUS{rest}");
            if let Some(reply) = Reply::read(&line, "STREAM STATUS") {
                prop_assert!(reply.0.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= rest.len());
            }
        }

        #[test]
        fn fields_that_were_written_are_read(fields in prop::collection::vec(("[A-Z_]{1,8}", "[ -~]{0,20}"), 0..5)) {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let mut line = "NAMING REPLY".to_owned();
            for (name, value) in &fields {
                write!(line, " {name}=\"{}\"", quoted(value)).unwrap();
            }
            let reply = Reply::read(&line, "NAMING REPLY").unwrap();
            prop_assert_eq!(reply.0, fields);
        }
    }
}
