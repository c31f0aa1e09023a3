#![expect(clippy::unwrap_used, reason = "tests")]

use super::{HttpAnswer, HttpGet, get};
use crate::connector::Connector;
use crate::http::USER_AGENT;
use crate::http_dial::{HttpDialer, HttpLimits};
use crate::http_error::HttpError;
use crate::http_reach::{Family, Reach};
use crate::http_url::HttpUrl;
use hyper::body::Bytes;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TRACKER: Reach = Reach { asked: true, loopback: false, tracker: true, family: None };

/// A server that answers each connection with what it is told for the head, in the pieces that it is told.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), answer) = (stream, Arc::clone(&answer)) else { return };
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let head: Vec<_> =
                        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                    for part in answer(&head.join("\n")) {
                        if stream.write_all(&part).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn get(&self, target: &str) -> Result<HttpAnswer, HttpError> {
        run(&self.request(target))
    }

    fn request(&self, target: &str) -> HttpGet {
        HttpGet {
            url: HttpUrl::parse(&format!("http://{}{target}", self.address)).unwrap(),
            max_bytes: 1_000,
            timeout: Duration::from_secs(10),
            redirects: 3,
            group: None,
            reach: TRACKER,
            post: None,
            range: None,
        }
    }
}

fn run(request: &HttpGet) -> Result<HttpAnswer, HttpError> {
    let dialer = HttpDialer::new(HttpLimits::default(), Arc::new(Connector::direct()), USER_AGENT);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(get(&dialer, request))
}

fn answer(headers: &str, body: &[u8]) -> Vec<Vec<u8>> {
    vec![format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes(), body.to_vec()]
}

#[test]
fn an_answer_of_any_status_is_taken_and_its_place_told() {
    let server = Server::start(|head| match head.split(' ').nth(1) {
        Some("/announce?x=%00") => answer("content-type: text/plain\r\ncontent-length: 2\r\n", b"de"),
        Some("/until-closed") => answer("", b"until the end"),
        _ => vec![b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy".to_vec()],
    });
    let got = server.get("/announce?x=%00").unwrap();
    assert_eq!(
        (got.status, got.content_type.as_deref(), got.body.as_slice()),
        (200, Some("text/plain"), &b"de"[..])
    );
    assert_eq!((got.remote, got.gzip), (server.address.into(), false));
    assert_eq!(got.url.text(), format!("http://{}/announce?x=%00", server.address));
    assert_eq!(server.get("/until-closed").unwrap().body, b"until the end");
    let busy = server.get("/busy").unwrap();
    assert_eq!(
        (busy.status, busy.body.as_slice(), busy.retry_after),
        (503, &b"busy"[..], Some(Duration::from_secs(7)))
    );
}

#[test]
fn a_body_ends_where_it_gets_too_long_whether_it_said_so_or_not() {
    let server = Server::start(|head| {
        if head.contains("/said") {
            return answer("content-length: 1000000000000\r\n", b"x");
        }
        if head.contains("/endless") {
            let mut parts = answer("transfer-encoding: chunked\r\n", b"");
            parts.extend(std::iter::repeat_n(b"a\r\n0123456789\r\n".to_vec(), 100_000));
            return parts;
        }
        if head.contains("/short") {
            return answer("content-length: 100\r\n", b"x");
        }
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        head.extend((0..100_000).flat_map(|n| format!("x-{n}: {n}\r\n").into_bytes()));
        vec![head]
    });
    assert_eq!(server.get("/said"), Err(HttpError::LongBody));
    assert_eq!(server.get("/endless"), Err(HttpError::LongBody));
    assert_eq!(server.get("/short"), Err(HttpError::ShortBody));
    assert_eq!(server.get("/head"), Err(HttpError::HeadTooLong));
}

#[test]
fn what_is_not_there_in_time_does_not_come() {
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_secs(3));
        Vec::new()
    });
    let start = Instant::now();
    let request = HttpGet { timeout: Duration::from_millis(100), ..server.request("/announce") };
    assert_eq!(run(&request), Err(HttpError::Timeout));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_part_begins_where_it_was_asked_for() {
    let server = Server::start(|head| {
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("range: bytes=4-7") && lower.contains("accept-encoding: identity"), "{head}");
        let answer = match head.split(' ').nth(1) {
            Some("/part") => "206 Partial\r\nContent-Range: bytes 4-7/10\r\nContent-Length: 4\r\n\r\nefgh",
            Some("/end") => "206 Partial\r\nContent-Range: bytes 4-5/6\r\nContent-Length: 2\r\n\r\nef",
            Some("/else") => "206 Partial\r\nContent-Range: bytes 3-6/10\r\nContent-Length: 4\r\n\r\ndefg",
            Some("/untold") => "206 Partial\r\nContent-Length: 4\r\n\r\nefgh",
            Some("/behind") => "416 No\r\nContent-Range: bytes */4\r\nContent-Length: 0\r\n\r\n",
            _ => "200 OK\r\nContent-Length: 10\r\n\r\nabcdefghij",
        };
        vec![format!("HTTP/1.1 {answer}").into_bytes()]
    });
    let of = |target| {
        let got = run(&HttpGet { range: Some(4..8), ..server.request(target) })?;
        Ok((got.status, got.body, got.whole_bytes))
    };
    assert_eq!(of("/part"), Ok((206, b"efgh".to_vec(), Some(10))));
    assert_eq!(of("/end"), Ok((206, b"ef".to_vec(), Some(6))));
    assert_eq!(of("/else"), Err(HttpError::BadRange));
    assert_eq!(of("/untold"), Err(HttpError::BadRange));
    assert_eq!(of("/behind").map(|(status, ..)| status), Ok(416));
    assert_eq!(of("/whole"), Ok((200, b"abcdefghij".to_vec(), None)));
}

#[test]
fn redirects_are_followed_so_often_and_no_more() {
    let server = Server::start(|head| {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let to = |place: &str| vec![format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\n\r\n").into_bytes()];
        match target {
            "/announce?a" => to("/announce?b"),
            "/announce?b" => answer("content-length: 2\r\n", b"de"),
            "/file" => to("file:///etc/passwd"),
            "/admin" => to("/admin?delete=all"),
            "/elsewhere" => to("http://192.168.0.1/announce"),
            "/nowhere" => vec![b"HTTP/1.1 302 Found\r\n\r\n".to_vec()],
            _ => to("/announce?loop"),
        }
    });
    let got = server.get("/announce?a").unwrap();
    assert_eq!((got.url.target(), got.body.as_slice()), ("/announce?b", &b"de"[..]));
    assert_eq!(server.get("/file"), Err(HttpError::BadRedirect));
    assert_eq!(server.get("/nowhere"), Err(HttpError::BadRedirect));
    assert_eq!(server.get("/admin"), Err(HttpError::Forbidden));
    assert_eq!(server.get("/elsewhere"), Err(HttpError::Forbidden));
    let before = server.requests.load(Ordering::Relaxed);
    assert_eq!(server.get("/announce?loop"), Err(HttpError::BadRedirect));
    assert_eq!(server.requests.load(Ordering::Relaxed) - before, 4);
}

#[test]
fn only_gzip_is_taken_and_told() {
    let server = Server::start(|head| {
        let encoding = if head.contains("/gzip") { "gzip" } else { "br" };
        answer(&format!("content-encoding: {encoding}\r\ncontent-length: 3\r\n"), b"abc")
    });
    assert!(server.get("/gzip").unwrap().gzip);
    assert_eq!(server.get("/brotli"), Err(HttpError::Encoded));
}

#[test]
fn a_request_says_no_more_than_it_must() {
    let server = Server::start(|head| answer("", head.as_bytes()));
    let said = String::from_utf8(server.get("/announce?x").unwrap().body).unwrap();
    let rest = format!("User-Agent: {USER_AGENT}\nAccept-Encoding: gzip\nConnection: close");
    assert_eq!(said, format!("GET /announce?x HTTP/1.1\nHost: {}\n{rest}", server.address));
}

#[test]
fn the_rules_of_reach_hold() {
    let server = Server::start(|_| answer("", b"de"));
    let of = |reach| run(&HttpGet { reach, ..server.request("/announce?x") }).map(|got| got.body);
    assert_eq!(of(Reach { asked: false, ..TRACKER }), Err(HttpError::Forbidden));
    assert_eq!(of(Reach { tracker: false, ..TRACKER }), Err(HttpError::Forbidden));
    assert_eq!(of(Reach { family: Some(Family::V6), ..TRACKER }), Err(HttpError::Unresolved));
    assert_eq!(of(Reach { family: Some(Family::V4), ..TRACKER }), Ok(b"de".to_vec()));
}

#[test]
fn json_is_sent_to_whom_it_is_meant_for_and_nobody_else() {
    let server = Server::start(|head| {
        let lower = head.to_ascii_lowercase();
        let sent = lower.starts_with("post /rpc http/1.1")
            && lower.contains("content-type: application/json")
            && lower.contains("content-length: 8");
        let moved = "HTTP/1.1 307 Elsewhere\r\nLocation: /rpc\r\nContent-Length: 0\r\n\r\n";
        let answer = if sent { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsent" } else { moved };
        vec![answer.as_bytes().to_vec()]
    });
    let post = Some(Bytes::from_static(b"{\"id\":1}"));
    let to = |target| run(&HttpGet { post: post.clone(), ..server.request(target) });
    assert_eq!(to("/rpc").unwrap().body, b"sent");
    assert_eq!(to("/moved").unwrap_err().code(), HttpError::BadRedirect.code());
}
