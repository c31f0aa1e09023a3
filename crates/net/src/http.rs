//! A client for bytes of files over HTTP/1.1: one connection that is kept, ranges, redirects. What a server may make us
//! hold, wait for or ask for is bounded.

use crate::connector::Isolation;
use crate::http_answer::{Answer, judge};
use crate::http_connection::{self, Driver, is_cut_short, next_data, told};
use crate::http_dial::{Dialled, HttpDialer, Seat};
use crate::http_error::HttpError;
use crate::http_reach::{Place, Reach};
use crate::http_url::{HttpUrl, Origin};
use http_body_util::Empty;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::http::{Request, Response, header};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Redirects for one request.
const REDIRECTS: usize = 5;
/// URLs whose redirects are remembered.
const MOVED: usize = 1_024;
/// For the end of a body of which all that is wanted is there.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// Who we say we are.
pub const USER_AGENT: &str = concat!("blockswarm/", env!("CARGO_PKG_VERSION"));
/// What libtorrent says to trackers when it is anonymous, and with it most who are; servers turn away who says nothing.
pub const ANONYMOUS_USER_AGENT: &str = "curl/7.81.0";

/// One user of one server: requests one after the other.
pub struct HttpClient {
    dialer: Arc<HttpDialer>,
    reach: Reach,
    /// Nobody else's streams are to be told as the same user's.
    isolation: Isolation,
    connection: Option<Connection>,
    /// Where redirects led, so that not every range is asked for twice.
    moved: HashMap<String, HttpUrl>,
    transfer: Option<Transfer>,
}

struct Connection {
    origin: Origin,
    place: Place,
    sender: SendRequest<Empty<Bytes>>,
    /// Moves the bytes; driven by whoever waits for them, so that none changes threads on its way.
    driver: Driver,
    /// It has answered before: when it fails now, its server had only closed it.
    used: bool,
    _seat: Seat,
}

/// A body on its way.
struct Transfer {
    body: Incoming,
    skip: u64,
    take: u64,
    rest: u64,
    floor: Floor,
}

/// Watches that a body is not slow for ever.
struct Floor {
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl HttpClient {
    /// Dials nobody yet.
    pub fn new(dialer: Arc<HttpDialer>, reach: Reach) -> Self {
        let isolation = Isolation::client();
        Self { dialer, reach, isolation, connection: None, moved: HashMap::new(), transfer: None }
    }

    /// Dials, unless there is a connection.
    pub async fn connect(&mut self, url: &HttpUrl) -> Result<(), HttpError> {
        self.reconnect(url, None).await
    }

    /// Whether a body is on its way.
    pub fn is_receiving(&self) -> bool {
        self.transfer.is_some()
    }

    /// Bytes of the body that are still wanted.
    pub fn left(&self) -> u64 {
        self.transfer.as_ref().map_or(0, |transfer| transfer.take)
    }

    /// Asks for `range` of a file of `length` bytes; [`Self::chunk`] then gives them. Call
    /// [`Self::abandon`] when it was dropped half way.
    pub async fn get(&mut self, url: &HttpUrl, range: Range<u64>, length: u64) -> Result<(), HttpError> {
        debug_assert!(range.start < range.end && range.end <= length, "a range of the file");
        if self.transfer.is_some() {
            self.abandon();
        }
        let remembered = self.moved.get(url.target()).cloned();
        if let Some(there) = remembered {
            // What was a good place then may have expired.
            match self.follow(there, &range, length).await {
                Err(HttpError::Status { .. } | HttpError::Forbidden | HttpError::BadRedirect) => {
                    self.moved.remove(url.target());
                }
                done => return done.map(|_| ()),
            }
        }
        if let Some(there) = self.follow(url.clone(), &range, length).await? {
            if self.moved.len() >= MOVED {
                self.moved.clear();
            }
            self.moved.insert(url.target().to_owned(), there);
        }
        Ok(())
    }

    /// The next bytes of the range; `None` once all have come. May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let (Some(transfer), Some(connection)) = (&mut self.transfer, &mut self.connection) else {
                return Ok(None);
            };
            if transfer.take == 0 {
                self.finish().await?;
                return Ok(None);
            }
            let limits = &self.dialer.limits;
            let left = transfer.floor.wait(limits.slow_after);
            let frame = connection.driver.drive(next_data(&mut transfer.body));
            let Ok(data) = tokio::time::timeout(left, frame).await else {
                transfer.floor.judge(limits.slow_after, limits.least_bytes_per_second)?;
                continue;
            };
            let mut data = match data {
                Ok(Some(data)) => data,
                Ok(None) => return Err(HttpError::ShortBody),
                Err(error) if is_cut_short(&error) => return Err(HttpError::ShortBody),
                Err(error) => return Err(told(&error)),
            };
            transfer.floor.came(data.len());
            transfer.floor.judge(limits.slow_after, limits.least_bytes_per_second)?;
            let skipped = transfer.skip.min(data.len() as u64);
            transfer.skip -= skipped;
            let mut wanted = data.split_off(skipped as usize);
            if wanted.len() as u64 > transfer.take {
                let surplus = wanted.split_off(transfer.take as usize).len() as u64;
                transfer.rest = transfer.rest.checked_sub(surplus).ok_or(HttpError::LongBody)?;
            }
            transfer.take -= wanted.len() as u64;
            if !wanted.is_empty() {
                return Ok(Some(wanted));
            }
        }
    }

    /// Gives up the answer on its way, and the connection with it.
    pub fn abandon(&mut self) {
        self.transfer = None;
        self.connection = None;
    }

    /// All that was wanted is there: the connection can be used again when the body ends here.
    async fn finish(&mut self) -> Result<(), HttpError> {
        let (Some(mut transfer), Some(mut connection)) = (self.transfer.take(), self.connection.take())
        else {
            return Ok(());
        };
        if transfer.rest > self.dialer.limits.skip_bytes {
            return Ok(());
        }
        let ending = async {
            while !transfer.body.is_end_stream() {
                let data = connection.driver.drive(next_data(&mut transfer.body)).await;
                let Some(data) = data.map_err(|_| false)? else { break };
                transfer.rest = transfer.rest.checked_sub(data.len() as u64).ok_or(true)?;
            }
            Ok(transfer.rest == 0)
        };
        match tokio::time::timeout(END_TIMEOUT, ending).await {
            Ok(Ok(true)) => self.connection = Some(connection),
            Ok(Err(true)) => return Err(HttpError::LongBody),
            // It does not end well: another connection, then.
            Ok(Ok(false) | Err(false)) | Err(_) => {}
        }
        Ok(())
    }

    /// Asks, and asks again where redirects lead; says where that was, when it was somewhere else.
    async fn follow(
        &mut self,
        url: HttpUrl,
        range: &Range<u64>,
        length: u64,
    ) -> Result<Option<HttpUrl>, HttpError> {
        let (mut here, mut from, mut moved) = (url, None, false);
        for _ in 0..=REDIRECTS {
            let response = self.ask(&here, from, range).await?;
            let (head, body) = response.into_parts();
            match judge(&head, range, length, self.dialer.limits.skip_bytes) {
                Ok(Answer::Body { skip, take, rest }) => {
                    let floor = Floor { waiting_since: None, waited: Duration::ZERO, bytes: 0 };
                    self.transfer = Some(Transfer { body, skip, take, rest, floor });
                    return Ok(moved.then_some(here));
                }
                Ok(Answer::Moved(location)) => {
                    from = self.connection.as_ref().map(|connection| connection.place);
                    self.drain(body).await;
                    let there = here.join(&location).map_err(|_| HttpError::BadRedirect)?;
                    // What was asked for in secret is not asked for in the open.
                    if here.origin().tls && !there.origin().tls {
                        return Err(HttpError::BadRedirect);
                    }
                    (here, moved) = (there, true);
                }
                Err(error) => {
                    self.connection = None;
                    return Err(error);
                }
            }
        }
        Err(HttpError::BadRedirect)
    }

    /// One request and the head of its answer. A connection that was kept may have been closed meanwhile: then on a new
    /// one.
    async fn ask(
        &mut self,
        url: &HttpUrl,
        from: Option<Place>,
        range: &Range<u64>,
    ) -> Result<Response<Incoming>, HttpError> {
        loop {
            self.reconnect(url, from).await?;
            let Some(connection) = &mut self.connection else { return Err(HttpError::Reset) };
            let used = std::mem::replace(&mut connection.used, true);
            let Connection { driver, sender, .. } = connection;
            let user_agent = self.dialer.user_agent;
            let asking = async {
                sender.ready().await?;
                sender.send_request(request(url, range, user_agent)).await
            };
            match tokio::time::timeout(self.dialer.limits.head_timeout, driver.drive(asking)).await {
                Ok(Ok(response)) => return Ok(response),
                failed => {
                    self.connection = None;
                    match failed {
                        Ok(Err(error)) if used && (error.is_canceled() || error.is_closed()) => {}
                        Ok(Err(error)) if used && told(&error) == HttpError::Reset => {}
                        Ok(Err(error)) => return Err(told(&error)),
                        _ => return Err(HttpError::HeadTimeout),
                    }
                }
            }
        }
    }

    async fn reconnect(&mut self, url: &HttpUrl, from: Option<Place>) -> Result<(), HttpError> {
        let fits = |connection: &Connection| {
            // The rules hold for what is asked of a connection as for what it is dialled for.
            connection.origin == *url.origin()
                && !connection.sender.is_closed()
                && self.reach.admits(connection.place, url.target(), from)
        };
        if self.connection.as_ref().is_some_and(fits) {
            return Ok(());
        }
        // Its seat is free before the next one is taken.
        self.connection = None;
        let Dialled { stream, place, seat, .. } =
            self.dialer.dial(url, self.reach, from, self.isolation).await?;
        let (sender, driver) = http_connection::open(stream).await?;
        let origin = url.origin().clone();
        self.connection = Some(Connection { origin, place, sender, driver, used: false, _seat: seat });
        Ok(())
    }

    /// Reads a short body to its end, so that the connection can be used again; else gives it up.
    async fn drain(&mut self, body: Incoming) {
        let floor = Floor { waiting_since: None, waited: Duration::ZERO, bytes: 0 };
        let rest = self.dialer.limits.skip_bytes;
        let Some(mut connection) = self.connection.take() else { return };
        let mut transfer = Transfer { body, skip: 0, take: 0, rest, floor };
        let ending = async {
            while !transfer.body.is_end_stream() {
                let data = connection.driver.drive(next_data(&mut transfer.body)).await;
                let Some(data) = data.ok()? else { break };
                transfer.rest = transfer.rest.checked_sub(data.len() as u64)?;
            }
            Some(())
        };
        if matches!(tokio::time::timeout(END_TIMEOUT, ending).await, Ok(Some(()))) {
            self.connection = Some(connection);
        }
    }
}

impl Floor {
    /// Begins to wait, or goes on; how much longer that may last before it is judged.
    fn wait(&mut self, most: Duration) -> Duration {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        most.saturating_sub(self.waited + since.elapsed())
    }

    fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.waited += self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    fn judge(&mut self, after: Duration, least_per_second: u64) -> Result<(), HttpError> {
        let waited = self.waited + self.waiting_since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited < after {
            return Ok(());
        }
        if self.bytes < least_per_second.saturating_mul(waited.as_secs().max(1)) {
            return Err(HttpError::Slow);
        }
        (self.waiting_since, self.waited, self.bytes) = (None, Duration::ZERO, 0);
        Ok(())
    }
}

fn request(url: &HttpUrl, range: &Range<u64>, user_agent: &str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    // A URL that was read is sound: what cannot be put in is left out, and the server complains.
    if let Ok(target) = url.target().parse() {
        *request.uri_mut() = target;
    }
    let last = range.end.saturating_sub(1);
    let headers = request.headers_mut();
    for (name, value) in [
        (header::HOST, url.origin().authority()),
        (header::USER_AGENT, user_agent.to_owned()),
        (header::ACCEPT, "*/*".to_owned()),
        (header::ACCEPT_ENCODING, "identity".to_owned()),
        (header::RANGE, format!("bytes={}-{last}", range.start)),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    if let Some(Ok(mut value)) = url.credentials().map(str::parse::<header::HeaderValue>) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    request
}

#[cfg(test)]
#[path = "http_test.rs"]
mod tests;
