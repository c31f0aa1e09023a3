//! Why an HTTP server is of no use. Never holds a URL: one may carry a password or a token.

use std::borrow::Cow;
use std::time::Duration;

/// What went wrong between a URL and its bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.code())]
pub enum HttpError {
    /// Not `http` or `https`, or malformed.
    BadUrl,
    /// The name has no address.
    Unresolved,
    /// The address is one that this URL may not lead to.
    Forbidden,
    /// Nobody listens there, or not in time.
    Refused,
    /// The proxy is to blame.
    Proxy,
    /// As many connections to that host as there may be.
    HostBusy,
    /// No TLS, or a certificate that is not trusted.
    Tls,
    /// The head of the answer took too long.
    HeadTimeout,
    /// The head of the answer is longer than one may be.
    HeadTooLong,
    /// Not HTTP.
    BadHead,
    /// The connection ended.
    Reset,
    /// Too many redirects, or one without a sound target.
    BadRedirect,
    /// A status that brings no bytes.
    Status {
        /// Of the answer.
        status: u16,
        /// `Retry-After`, as far as it is a number of seconds.
        retry_after: Option<Duration>,
    },
    /// Other bytes than the ones asked for, or a file of another length.
    BadRange,
    /// All of the file, of which too much is not wanted.
    NoRanges,
    /// Compressed, which nobody asked for.
    Encoded,
    /// The body ends too soon.
    ShortBody,
    /// The body goes on.
    LongBody,
    /// Fewer bytes a second than are worth a connection.
    Slow,
    /// Not all of it came in time.
    Timeout,
    /// As many requests are on their way as there may be.
    Busy,
}

impl HttpError {
    /// The short code that TypeScript sees.
    pub fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::BadUrl => "bad-url",
            Self::Unresolved => "unresolved",
            Self::Forbidden => "forbidden-address",
            Self::Refused => "refused",
            Self::Proxy => "proxy",
            Self::HostBusy => "host-busy",
            Self::Tls => "tls",
            Self::HeadTimeout => "head-timeout",
            Self::HeadTooLong => "head-too-long",
            Self::BadHead => "bad-head",
            Self::Reset => "reset",
            Self::BadRedirect => "bad-redirect",
            Self::Status { status, .. } => return Cow::Owned(format!("http-{status}")),
            Self::BadRange => "bad-range",
            Self::NoRanges => "no-ranges",
            Self::Encoded => "encoded",
            Self::ShortBody => "short-body",
            Self::LongBody => "long-body",
            Self::Slow => "slow",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
        })
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
