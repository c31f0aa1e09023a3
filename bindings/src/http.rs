//! Short answers over HTTP.
use crate::reactor::{SocketAddress, bytes, count};
use blockswarm_net::{Family, HttpAnswer as NetAnswer, HttpError, HttpGet, HttpUrl, Reach};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use std::time::Duration;

/// Where a URL may lead, beyond the rest of the world.
#[napi(object, object_to_js = false)]
pub struct HttpReach {
    /// The user named it; then it may be on this machine.
    pub asked: bool,
    /// Whoever named it, it may be on this machine.
    pub loopback: bool,
    /// It is a tracker, and so takes a query also on this machine or network.
    pub tracker: Option<bool>,
    /// Only over IPv4, or only over IPv6.
    #[napi(ts_type = "4 | 6")]
    pub family: Option<u32>,
}

impl HttpReach {
    fn read(&self) -> Reach {
        let Self { asked, loopback, tracker, family } = *self;
        let family = family.map(|family| if family == 6 { Family::V6 } else { Family::V4 });
        Reach { asked, loopback, tracker: tracker.unwrap_or(false), family }
    }
}

/// What to ask for, and what that may cost.
#[napi(object, object_to_js = false)]
pub struct HttpRequest {
    /// `http` or `https`.
    pub url: String,
    /// Of the body.
    pub max_bytes: f64,
    /// For everything, redirects included.
    pub timeout_ms: u32,
    pub max_redirects: u32,
    /// Requests of one group to one host may be seen to belong together; absent: with no other.
    pub group: Option<String>,
    pub reach: HttpReach,
    /// JSON to be sent by `POST`; then no redirect is followed.
    pub post: Option<String>,
    /// Only `[rangeStart, rangeEnd)` of it: 206 is such a part, 416 says that nothing is there.
    pub range_start: Option<f64>,
    pub range_end: Option<f64>,
}

impl HttpRequest {
    pub(crate) fn read(self) -> Result<HttpGet, HttpError> {
        Ok(HttpGet {
            url: HttpUrl::parse(&self.url)?,
            max_bytes: bytes(self.max_bytes),
            timeout: Duration::from_millis(u64::from(self.timeout_ms)),
            redirects: self.max_redirects as usize,
            group: self.group,
            reach: self.reach.read(),
            post: self.post.map(Into::into),
            range: self.range_start.zip(self.range_end).map(|(start, end)| bytes(start)..bytes(end)),
        })
    }
}

/// An answer of any status but a redirect.
#[napi(object, object_from_js = false)]
pub struct HttpAnswer {
    pub status: u32,
    pub content_type: Option<String>,
    /// The body is compressed by gzip.
    pub gzip: bool,
    pub body: Buffer,
    /// Of a part: the length of the whole, where it is told.
    pub whole_bytes: Option<f64>,
    /// Where it came from in the end, without credentials. May hold a token.
    pub final_url: String,
    pub remote_address: SocketAddress,
}

/// What came of a GET.
#[napi(object, object_from_js = false)]
pub struct HttpOutcome {
    pub request: u32,
    pub answer: Option<HttpAnswer>,
    /// Without an answer: a short code, as of web seeds.
    pub failure: Option<String>,
    /// How long the server asks to be left alone.
    pub retry_after_ms: Option<f64>,
}

impl From<blockswarm_net::HttpOutcome> for HttpOutcome {
    fn from(blockswarm_net::HttpOutcome { job, result }: blockswarm_net::HttpOutcome) -> Self {
        let rest = |after: Option<Duration>| after.map(|rest| count(rest.as_millis() as u64));
        match result {
            Ok(NetAnswer { status, content_type, gzip, body, whole_bytes, url, remote, retry_after }) => {
                Self {
                    request: job,
                    answer: Some(HttpAnswer {
                        status: u32::from(status),
                        content_type,
                        gzip,
                        body: body.into(),
                        whole_bytes: whole_bytes.map(count),
                        final_url: url.text(),
                        remote_address: remote.into(),
                    }),
                    failure: None,
                    retry_after_ms: rest(retry_after),
                }
            }
            Err(error) => Self {
                request: job,
                answer: None,
                failure: Some(error.code().into_owned()),
                retry_after_ms: rest(error.retry_after()),
            },
        }
    }
}
