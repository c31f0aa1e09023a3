//! One answer over HTTP, held in memory: for trackers, catalogues and whatever else is short. Its length is bounded
//! while it comes; what is compressed is handed on as it is, for whoever unpacks it within the same bound.

use crate::connector::Isolation;
use crate::endpoint::Endpoint;
use crate::http_answer::{read_content_range, retry_after};
use crate::http_connection::{self, Driver, is_cut_short, next_data, told};
use crate::http_dial::{Dialled, HttpDialer};
use crate::http_error::HttpError;
use crate::http_reach::Reach;
use crate::http_url::HttpUrl;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::http::response::Parts;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use std::ops::Range;
use std::time::Duration;

/// Memory taken before any of a body is there.
const FIRST_BYTES: u64 = 16 * 1024;

/// What to ask for, and what that may cost.
#[derive(Debug, Clone)]
pub struct HttpGet {
    /// Where it begins.
    pub url: HttpUrl,
    /// Of the body, as it comes.
    pub max_bytes: u64,
    /// For everything, redirects included.
    pub timeout: Duration,
    /// Redirects that are followed.
    pub redirects: usize,
    /// Requests of one group to one host may be seen to belong together; `None`: with no other.
    pub group: Option<String>,
    /// Where the URL, and those that it leads to, may lead.
    pub reach: Reach,
    /// JSON to be sent by `POST`; then no redirect is followed.
    pub post: Option<Bytes>,
    /// Only these bytes of it: then 206 is a part that begins there, 416 says that nothing is there, and who knows no
    /// ranges answers 200 with all.
    pub range: Option<Range<u64>>,
}

/// An answer of any status but a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// 200 to 599.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The body is compressed by gzip.
    pub gzip: bool,
    /// At most `max_bytes`.
    pub body: Vec<u8>,
    /// Of a part: the length of the whole, where it is told.
    pub whole_bytes: Option<u64>,
    /// Where it came from in the end.
    pub url: HttpUrl,
    /// Who gave it.
    pub remote: Endpoint,
    /// `Retry-After`, as far as it is a number of seconds.
    pub retry_after: Option<Duration>,
}

/// Asks, and asks again where redirects lead. Every hop is dialled anew, and its address looked at.
pub async fn get(dialer: &HttpDialer, request: &HttpGet) -> Result<HttpAnswer, HttpError> {
    tokio::time::timeout(request.timeout, follow(dialer, request)).await.map_err(|_| HttpError::Timeout)?
}

async fn follow(dialer: &HttpDialer, request: &HttpGet) -> Result<HttpAnswer, HttpError> {
    let (mut here, mut from) = (request.url.clone(), None);
    // Whoever is asked for two torrents need not learn that one user has both.
    let alone = Isolation::client();
    for _ in 0..=request.redirects {
        let group = request.group.as_deref();
        let isolation = group.map_or(alone, |group| Isolation::group(group, &here.origin().host));
        let Dialled { stream, place, to, seat } = dialer.dial(&here, request.reach, from, isolation).await?;
        let (mut sender, mut driver) = http_connection::open(stream).await?;
        let asking = sender.send_request(head(&here, request, dialer.user_agent));
        let (head, body) = driver.drive(asking).await.map_err(|error| told(&error))?.into_parts();
        if let Some(location) = moved(&head)? {
            // What is sent is for whom it was meant.
            if request.post.is_some() {
                return Err(HttpError::BadRedirect);
            }
            from = Some(place);
            let there = here.join(&location).map_err(|_| HttpError::BadRedirect)?;
            // What was asked for in secret is not asked for in the open.
            if here.origin().tls && !there.origin().tls {
                return Err(HttpError::BadRedirect);
            }
            here = there;
            continue;
        }
        let whole_bytes = part(&head, request.range.as_ref())?;
        let gzip = match text(&head.headers, &header::CONTENT_ENCODING) {
            None | Some("" | "identity") => false,
            Some("gzip" | "x-gzip") => true,
            Some(_) => return Err(HttpError::Encoded),
        };
        let body = whole(&mut driver, body, request.max_bytes).await?;
        drop(seat);
        let content_type = text(&head.headers, &header::CONTENT_TYPE).map(str::to_owned);
        let (status, retry_after) = (head.status.as_u16(), retry_after(&head.headers));
        return Ok(HttpAnswer {
            status,
            content_type,
            gzip,
            body,
            whole_bytes,
            url: here,
            remote: to,
            retry_after,
        });
    }
    Err(HttpError::BadRedirect)
}

async fn whole(driver: &mut Driver, mut body: Incoming, max_bytes: u64) -> Result<Vec<u8>, HttpError> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        return Err(HttpError::LongBody);
    }
    let mut all = Vec::with_capacity(announced.unwrap_or(FIRST_BYTES).min(FIRST_BYTES) as usize);
    loop {
        match driver.drive(next_data(&mut body)).await {
            Ok(None) => return Ok(all),
            Ok(Some(data)) if (all.len() + data.len()) as u64 > max_bytes => return Err(HttpError::LongBody),
            Ok(Some(data)) => all.extend_from_slice(&data),
            Err(error) if is_cut_short(&error) => return Err(HttpError::ShortBody),
            Err(error) => return Err(told(&error)),
        }
    }
}

/// The length of the whole when the answer is a part of it, which must begin where it was asked for.
fn part(head: &Parts, wanted: Option<&Range<u64>>) -> Result<Option<u64>, HttpError> {
    if head.status.as_u16() != 206 {
        return Ok(None);
    }
    let told = text(&head.headers, &header::CONTENT_RANGE).and_then(read_content_range);
    match (told, wanted) {
        (Some((range, whole)), Some(wanted)) if range.start == wanted.start && range.end <= wanted.end => {
            Ok(whole)
        }
        _ => Err(HttpError::BadRange),
    }
}

fn head(url: &HttpUrl, HttpGet { post, range, .. }: &HttpGet, user_agent: &str) -> Request<Full<Bytes>> {
    let mut head = Request::new(Full::new(post.clone().unwrap_or_default()));
    if post.is_some() {
        *head.method_mut() = Method::POST;
        head.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    // A URL that was read is sound: what cannot be put in is left out, and the server complains.
    if let Ok(target) = url.target().parse() {
        *head.uri_mut() = target;
    }
    for (name, value) in [
        (header::HOST, url.origin().authority()),
        (header::USER_AGENT, user_agent.to_owned()),
        // A part of what is compressed can be unpacked by nobody.
        (header::ACCEPT_ENCODING, if range.is_some() { "identity" } else { "gzip" }.to_owned()),
        (header::CONNECTION, "close".to_owned()),
    ] {
        if let Ok(value) = value.parse() {
            head.headers_mut().insert(name, value);
        }
    }
    if let Some(Range { start, end }) = range
        && let Ok(value) = format!("bytes={start}-{}", end.saturating_sub(1)).parse()
    {
        head.headers_mut().insert(header::RANGE, value);
    }
    if let Some(Ok(mut value)) = url.credentials().map(str::parse::<HeaderValue>) {
        value.set_sensitive(true);
        head.headers_mut().insert(header::AUTHORIZATION, value);
    }
    head
}

/// Where the answer sends us.
fn moved(head: &Parts) -> Result<Option<String>, HttpError> {
    if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    text(&head.headers, &header::LOCATION)
        .map(|location| Some(location.to_owned()))
        .ok_or(HttpError::BadRedirect)
}

/// A value that is text; another is as good as none.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
#[path = "http_get_test.rs"]
mod tests;
