#![expect(clippy::unwrap_used, reason = "tests")]

use super::{HttpClient, USER_AGENT};
use crate::connector::Connector;
use crate::http_dial::{HttpDialer, HttpLimits};
use crate::http_error::HttpError;
use crate::http_reach::{Place, Reach};
use crate::http_url::HttpUrl;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const ASKED: Reach = Reach { asked: true, loopback: false, tracker: false, family: None };

/// A server that answers the requests of one connection with texts, each request told with the number of its
/// connection.
struct Server {
    address: SocketAddr,
    requests: Receiver<(usize, String)>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests): (Sender<(usize, String)>, _) = channel();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (Ok(mut stream), tell, answer) = (stream, tell.clone(), Arc::clone(&answer)) else {
                    return;
                };
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    loop {
                        let head: Vec<String> = lines
                            .by_ref()
                            .map_while(Result::ok)
                            .take_while(|line| !line.is_empty())
                            .collect();
                        let head = head.join("\n");
                        if head.is_empty() || tell.send((number, head.clone())).is_err() {
                            return;
                        }
                        let answer = answer(&head);
                        // An answer that is to be the last says so.
                        let last = String::from_utf8_lossy(&answer).contains("connection: close");
                        if stream.write_all(&answer).is_err() || last {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn url(&self, rest: &str) -> HttpUrl {
        HttpUrl::parse(&format!("http://{}{rest}", self.address)).unwrap()
    }

    fn connections(&self) -> Vec<usize> {
        self.requests.try_iter().map(|(number, _)| number).collect()
    }
}

/// The bytes of a file in which each byte says where it is.
fn range_of(head: &str) -> (u64, u64) {
    let range =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let (first, last) = range.as_deref().and_then(|range| range.split_once('-')).unwrap();
    (first.parse().unwrap(), last.parse::<u64>().unwrap() + 1)
}

fn bytes(range: (u64, u64)) -> Vec<u8> {
    (range.0..range.1).map(|at| at as u8).collect()
}

fn partial(head: &str, length: u64) -> Vec<u8> {
    let (start, end) = range_of(head);
    let mut answer = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {start}-{}/{length}\r\ncontent-length: {}\r\n\r\n",
        end - 1,
        end - start
    )
    .into_bytes();
    answer.extend(bytes((start, end)));
    answer
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(Duration::from_secs(30), work).await.unwrap() })
}

fn client(reach: Reach, limits: HttpLimits) -> HttpClient {
    HttpClient::new(Arc::new(HttpDialer::new(limits, Arc::new(Connector::direct()), USER_AGENT)), reach)
}

async fn fetch(
    client: &mut HttpClient,
    url: &HttpUrl,
    range: (u64, u64),
    length: u64,
) -> Result<Vec<u8>, HttpError> {
    client.get(url, range.0..range.1, length).await?;
    let mut all = Vec::new();
    while let Some(data) = client.chunk().await? {
        all.extend_from_slice(&data);
    }
    Ok(all)
}

#[test]
fn ranges_come_one_after_the_other_on_one_connection() {
    let server = Server::start(|head| partial(head, 1_000));
    run(async {
        let mut client = client(ASKED, HttpLimits::default());
        for range in [(0, 10), (500, 1_000), (3, 4)] {
            assert_eq!(fetch(&mut client, &server.url("/f"), range, 1_000).await, Ok(bytes(range)));
        }
    });
    assert_eq!(server.connections(), [0, 0, 0]);
}

#[test]
fn a_server_that_closes_after_each_answer_is_dialled_anew() {
    let server = Server::start(|head| {
        let answer = String::from_utf8(partial(head, 100)).unwrap();
        answer.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1).into_bytes()
    });
    run(async {
        let mut client = client(ASKED, HttpLimits::default());
        for range in [(0, 10), (10, 20)] {
            assert_eq!(fetch(&mut client, &server.url("/f"), range, 100).await, Ok(bytes(range)));
        }
    });
    assert_eq!(server.connections(), [0, 1]);
}

#[test]
fn chunked_bodies_and_whole_files_are_taken_and_what_is_too_much_is_not() {
    let server = Server::start(|head| {
        let whole = bytes((0, 100));
        let body = |framing: &str, parts: &[&[u8]], end: &str| {
            let mut answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
            for part in parts {
                if framing.contains("chunked") {
                    answer.extend(format!("{:x}\r\n", part.len()).as_bytes());
                }
                answer.extend_from_slice(part);
                if framing.contains("chunked") {
                    answer.extend(b"\r\n");
                }
            }
            answer.extend(end.as_bytes());
            answer
        };
        if head.contains("/chunked") {
            body("transfer-encoding: chunked", &[&whole[..30], &whole[30..]], "0\r\n\r\n")
        } else if head.contains("/endless") {
            body("transfer-encoding: chunked", &[&whole, &whole], "")
        } else if head.contains("/short") {
            body("content-length: 100\r\nconnection: close", &[&whole[..50]], "")
        } else {
            body("content-length: 100", &[&whole], "")
        }
    });
    run(async {
        let mut client = client(ASKED, HttpLimits::default());
        let url = |path| server.url(path);
        for (path, range) in
            [("/f", (10, 20)), ("/chunked", (0, 100)), ("/chunked", (25, 35)), ("/f", (0, 100))]
        {
            assert_eq!(fetch(&mut client, &url(path), range, 100).await, Ok(bytes(range)), "{path}");
        }
        assert_eq!(fetch(&mut client, &url("/endless"), (0, 100), 100).await, Err(HttpError::LongBody));
        assert_eq!(fetch(&mut client, &url("/short"), (0, 100), 100).await, Err(HttpError::ShortBody));
    });
    assert_eq!(server.connections().first(), Some(&0));
}

#[test]
fn redirects_are_followed_remembered_and_bounded() {
    let server = Server::start(|head| {
        let to = |place: &str| {
            format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n").into_bytes()
        };
        if head.contains("/loop") {
            to("/loop")
        } else if head.contains("/old") {
            to("new")
        } else {
            partial(head, 100)
        }
    });
    run(async {
        let mut client = client(ASKED, HttpLimits::default());
        for range in [(0, 10), (10, 20)] {
            assert_eq!(fetch(&mut client, &server.url("/old"), range, 100).await, Ok(bytes(range)));
        }
        assert_eq!(server.connections(), [0, 0, 0], "asked in vain only once");
        let looped = fetch(&mut client, &server.url("/loop"), (0, 10), 100).await;
        assert_eq!(looped, Err(HttpError::BadRedirect));
    });
    assert_eq!(server.connections().len(), 6);
}

#[test]
fn a_redirect_from_outside_does_not_lead_to_our_own_machine() {
    let inside = Server::start(|head| partial(head, 100));
    let there = inside.url("/secret");
    let location = format!("http://{}/secret", inside.address);
    let outside = Server::start(move |_| {
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    run(async {
        let mut client = client(ASKED, HttpLimits::default());
        let url = outside.url("/f");
        client.connect(&url).await.unwrap();
        // As if it were out in the world.
        client.connection.as_mut().unwrap().place = Place::Global;
        assert_eq!(fetch(&mut client, &url, (0, 10), 100).await, Err(HttpError::Forbidden));
        assert_eq!(
            fetch(&mut client, &there, (0, 10), 100).await,
            Ok(bytes((0, 10))),
            "unless it is asked for"
        );
    });
    assert_eq!(inside.connections().len(), 1);
}

#[test]
fn what_a_stranger_names_leads_to_loopback_by_no_spelling() {
    let server = Server::start(|head| partial(head, 100));
    let port = server.address.port();
    run(async {
        let learnt = Reach::default();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "127.1",
            "0x7f.1",
            "2130706433",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        ] {
            let url = HttpUrl::parse(&format!("http://{host}:{port}/f")).unwrap();
            let failed =
                fetch(&mut client(learnt, HttpLimits::default()), &url, (0, 10), 100).await.unwrap_err();
            // A resolver that does not know an odd spelling is as good.
            assert!([HttpError::Forbidden, HttpError::Unresolved].contains(&failed), "{host}: {failed:?}");
        }
        let with_query =
            fetch(&mut client(ASKED, HttpLimits::default()), &server.url("/f?x"), (0, 10), 100).await;
        assert_eq!(with_query, Err(HttpError::Forbidden));
    });
    assert_eq!(server.connections().len(), 0);
}

#[test]
fn heads_are_bounded_in_length_and_time() {
    let server = Server::start(|head| {
        if head.contains("/silent") {
            return b"HTTP/1.1 206 Par".to_vec();
        }
        if head.contains("/noise") {
            return b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec();
        }
        let mut answer = b"HTTP/1.1 206 Partial Content\r\n".to_vec();
        for n in 0..100_000 {
            answer.extend(format!("x-{n}: {n}\r\n").as_bytes());
        }
        answer
    });
    let limits = HttpLimits { head_timeout: Duration::from_millis(200), ..HttpLimits::default() };
    run(async {
        let failed = async |path: &str, limits| {
            fetch(&mut client(ASKED, limits), &server.url(path), (0, 10), 100).await
        };
        assert_eq!(failed("/silent", limits).await, Err(HttpError::HeadTimeout));
        assert_eq!(failed("/noise", HttpLimits::default()).await, Err(HttpError::BadHead));
        assert_eq!(failed("/long", HttpLimits::default()).await, Err(HttpError::HeadTooLong));
    });
}

#[test]
fn a_body_slower_than_the_floor_ends() {
    let server = Server::start(|head| partial(head, 1_000).into_iter().take(120).collect());
    let limits = HttpLimits { slow_after: Duration::from_millis(200), ..HttpLimits::default() };
    run(async {
        let slow = fetch(&mut client(ASKED, limits), &server.url("/f"), (0, 1_000), 1_000).await;
        assert_eq!(slow, Err(HttpError::Slow));
    });
}

#[test]
fn a_host_has_so_many_connections_and_no_more() {
    let server = Server::start(|head| partial(head, 100));
    let dialer = Arc::new(HttpDialer::new(
        HttpLimits { per_host: 1, ..HttpLimits::default() },
        Arc::new(Connector::direct()),
        USER_AGENT,
    ));
    run(async {
        let mut first = HttpClient::new(Arc::clone(&dialer), ASKED);
        let mut second = HttpClient::new(Arc::clone(&dialer), ASKED);
        first.connect(&server.url("/")).await.unwrap();
        assert_eq!(second.connect(&server.url("/")).await, Err(HttpError::HostBusy));
        drop(first);
        second.connect(&server.url("/")).await.unwrap();
        assert_eq!(dialer.connections(), 1);
    });
}

#[test]
fn a_server_without_tls_is_not_spoken_to_in_the_open() {
    let server = Server::start(|head| partial(head, 100));
    run(async {
        let url = HttpUrl::parse(&format!("https://{}/f", server.address)).unwrap();
        let failed = fetch(&mut client(ASKED, HttpLimits::default()), &url, (0, 10), 100).await;
        assert_eq!(failed, Err(HttpError::Tls));
    });
    assert!(server.requests.try_iter().all(|(_, head)| !head.contains("GET")));
}
