//! URLs of HTTP servers: what of them is needed to dial, to ask, and to follow a redirect (RFC 3986, RFC 9110).

use crate::http_error::HttpError;
use std::fmt::{self, Write};
use std::net::IpAddr;

/// Longer ones are refused: more than browsers and servers take.
const MAX_BYTES: usize = 8 * 1024;

/// An `http` or `https` URL. Its `Debug` text is where it leads, without credentials, path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    origin: Origin,
    /// Path and query, escaped, as they go into the request.
    target: String,
    /// Value of `Authorization`.
    credentials: Option<String>,
}

/// Whom a connection is with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `https`.
    pub tls: bool,
    /// A name in lower case, or an IP literal without brackets.
    pub host: String,
    /// 1 to 65,535.
    pub port: u16,
}

impl Origin {
    /// The host when it is an address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Value of `Host`.
    pub fn authority(&self) -> String {
        let Self { tls, host, port } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == if *tls { 443 } else { 80 } { host } else { format!("{host}:{port}") }
    }
}

impl HttpUrl {
    /// Reads an absolute URL. A fragment is passed over; bytes that may not stand in a URL are escaped.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        if text.len() > MAX_BYTES || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(HttpError::BadUrl);
        }
        let (scheme, rest) = text.split_once("://").ok_or(HttpError::BadUrl)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(HttpError::BadUrl),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, place) =
            authority.rsplit_once('@').map_or((None, authority), |(user, at)| (Some(user), at));
        let (host, port) = read_place(place, tls)?;
        let credentials = user.map(|user| format!("Basic {}", base64(&unescape(user))));
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = format!("{slash}{}", escape(target));
        Ok(Self { origin: Origin { tls, host, port }, target, credentials })
    }

    /// Where a redirect leads: an absolute URL, or a reference to be read from here. Credentials stay with their
    /// origin, and none are taken from a redirect.
    pub fn join(&self, location: &str) -> Result<Self, HttpError> {
        let Origin { tls, .. } = self.origin;
        let scheme = if tls { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        let here = |target: String| {
            let target = escape(&target);
            Ok(Self { origin: self.origin.clone(), target, credentials: self.credentials.clone() })
        };
        if location.len() > MAX_BYTES || location.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(HttpError::BadUrl);
        }
        let location = location.split('#').next().unwrap_or_default();
        let absolute = if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.find(':').is_some_and(|colon| !location[..colon].contains(['/', '?'])) {
            location.to_owned()
        } else if location.starts_with('/') {
            return here(without_dots(location));
        } else if location.is_empty() || location.starts_with('?') {
            return here(format!("{path}{location}"));
        } else {
            let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
            return here(without_dots(&format!("{folder}{location}")));
        };
        let there = Self::parse(&absolute)?;
        let credentials = if there.origin == self.origin { self.credentials.clone() } else { None };
        Ok(Self { credentials, ..there })
    }

    /// Whom to connect with.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The URL again, without credentials. May hold a token: for whoever asked, never for a log.
    pub fn text(&self) -> String {
        format!("{:?}{}", self.origin, self.target)
    }

    /// Value of `Authorization`.
    pub(crate) fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(formatter)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

fn read_place(place: &str, tls: bool) -> Result<(String, u16), HttpError> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (literal, port) = rest.split_once(']').ok_or(HttpError::BadUrl)?;
        let literal: std::net::Ipv6Addr = literal.parse().map_err(|_| HttpError::BadUrl)?;
        (literal.to_string(), port.strip_prefix(':').or(port.is_empty().then_some("")))
    } else {
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(sound) {
            return Err(HttpError::BadUrl);
        }
        (host.to_ascii_lowercase(), Some(port))
    };
    let port = match port.ok_or(HttpError::BadUrl)? {
        "" => {
            if tls {
                443
            } else {
                80
            }
        }
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).ok_or(HttpError::BadUrl)?
        }
        _ => return Err(HttpError::BadUrl),
    };
    Ok((host, port))
}

fn escape(target: &str) -> String {
    let mut escaped = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        if let Some(code) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            plain.push(code);
            at += 3;
        } else {
            plain.push(*byte);
            at += 1;
        }
    }
    plain
}

/// RFC 3986, 5.2.4, for a path that begins with a slash; a query stays as it is.
fn without_dots(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().enumerate().fold(0_u32, |bits, (n, byte)| bits | u32::from(*byte) << (16 - 8 * n));
        for n in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if n <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{HttpUrl, base64, without_dots};
    use proptest::prelude::*;

    fn shown(url: &HttpUrl) -> String {
        format!("{url:?} {}", url.target())
    }

    #[test]
    fn reads_what_is_needed_of_a_url() {
        let of = |text: &str| HttpUrl::parse(text).map(|url| shown(&url)).ok();
        assert_eq!(of("http://Seed.example").as_deref(), Some("http://seed.example /"));
        assert_eq!(of("HTTPS://h:443/a b/%20?q#f").as_deref(), Some("https://h /a%20b/%20?q"));
        assert_eq!(of("http://[2001:DB8::1]:8080/x").as_deref(), Some("http://[2001:db8::1]:8080 /x"));
        assert_eq!(of("http://h?q=/").as_deref(), Some("http://h /?q=/"));
        assert_eq!(of("http://h/\u{e9}").as_deref(), Some("http://h /%C3%A9"));
        let wrong = [
            "ftp://h/",
            "h/x",
            "http://",
            "http:///x",
            "http://h:0/",
            "http://h:65536/",
            "http://h:+8/",
            "http://[::1/",
            "http://[::1]x/",
            "http://a\nb/",
            "http://h/\0",
            "http://a b/",
            "http://\u{e9}/",
        ];
        for text in wrong {
            assert_eq!(of(text), None, "{text:?}");
        }
        assert_eq!(of(&format!("http://h/{}", "a".repeat(9_000))), None);
    }

    #[test]
    fn credentials_stay_with_their_origin_and_are_never_shown() {
        let url = HttpUrl::parse("http://us%40er:pass@h:81/x?token=1").unwrap();
        assert_eq!(url.credentials(), Some("Basic dXNAZXI6cGFzcw=="));
        assert_eq!(format!("{url:?}"), "http://h:81");
        assert!(url.join("/y").unwrap().credentials().is_some());
        assert!(url.join("http://h:81/y").unwrap().credentials().is_some());
        assert!(url.join("https://h:81/y").unwrap().credentials().is_none());
        assert!(url.join("http://evil:secret@other/y").unwrap().credentials().is_none());
    }

    #[test]
    fn follows_every_kind_of_reference() {
        let url = HttpUrl::parse("https://h/a/b/c?q").unwrap();
        let to = |location: &str| url.join(location).map(|url| shown(&url)).ok();
        assert_eq!(to("http://o:1/x").as_deref(), Some("http://o:1 /x"));
        assert_eq!(to("//o/x").as_deref(), Some("https://o /x"));
        assert_eq!(to("/x/../y z").as_deref(), Some("https://h /y%20z"));
        assert_eq!(to("d?e").as_deref(), Some("https://h /a/b/d?e"));
        assert_eq!(to("../../../d").as_deref(), Some("https://h /d"));
        assert_eq!(to("?n").as_deref(), Some("https://h /a/b/c?n"));
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(to("gopher://h/"), None);
        assert_eq!(without_dots("/a/./b/.."), "/a/");
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(["", "f", "fo", "foo"].map(|text| base64(text.as_bytes())), ["", "Zg==", "Zm8=", "Zm9v"]);
    }

    proptest! {
        #[test]
        fn whatever_is_read_can_go_into_a_request(text in "\\PC{0,40}", base in "https?://[a-z]{1,5}(/\\PC{0,20})?") {
            let _ = HttpUrl::parse(&text);
            if let Ok(url) = HttpUrl::parse(&base).and_then(|url| url.join(&text)) {
                prop_assert!(url.target().starts_with('/'));
                prop_assert!(hyper::http::uri::PathAndQuery::try_from(url.target()).is_ok());
            }
        }
    }
}
