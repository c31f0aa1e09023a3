//! UPnP-IGD: the device is searched for, its description read, and it is asked through `igd-next`, which writes the
//! requests and reads the answers.
//!
//! The crate's own search makes a tree of whatever XML comes, with a copy of all namespaces at each element: a megabyte
//! of both, from anything that answers on the local network, takes all memory. So the description is read here, as text
//! and in one pass, and an answer is small and plain before the crate reads it. Nobody but the gateway is asked.

use crate::http_url::{HttpUrl, Origin};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use igd_next::RequestError;
use igd_next::aio::{Gateway, Provider};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// For a device to answer the search, and to describe itself.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(4);
/// A gateway answers once for each target and device that it has.
const SEARCH_ANSWERS: usize = 16;
/// Descriptions of routers are of 2 to 20 KiB.
const DESCRIPTION_BYTES: usize = 256 * 1024;
/// Answers are of less than 1 KiB.
const ANSWER_BYTES: usize = 16 * 1024;
/// An answer declares two: the crate copies them to each element.
const ANSWER_NAMESPACES: usize = 16;
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;

const TARGETS: [&str; 3] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];
const WAN_IP_2: &str = "urn:schemas-upnp-org:service:WANIPConnection:2";
const SERVICES: [&str; 3] = [
    WAN_IP_2,
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// A device that can be asked.
pub(crate) type Device = Gateway<Plain>;

/// Finds the gateway's device.
pub(crate) async fn search(client: IpAddr, gateway: IpAddr, at: SocketAddr) -> Result<Device, String> {
    match tokio::time::timeout(SEARCH_TIMEOUT, find(client, gateway, at)).await {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no device that describes itself".to_owned()),
    }
}

async fn find(client: IpAddr, gateway: IpAddr, at: SocketAddr) -> io::Result<Device> {
    let socket = UdpSocket::bind((client, 0)).await?;
    if let IpAddr::V4(client) = client {
        socket2::SockRef::from(&socket).set_multicast_if_v4(&client)?;
    }
    for target in TARGETS {
        let search = format!(
            "M-SEARCH * HTTP/1.1\r\nHOST: {at}\r\nST: {target}\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\n\r\n"
        );
        socket.send_to(search.as_bytes(), at).await?;
    }
    let mut asked: Vec<HttpUrl> = Vec::new();
    let mut buffer = [0; 1500];
    while asked.len() < SEARCH_ANSWERS {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        if from.ip() != gateway {
            continue;
        }
        let Some(url) = location(&buffer[..length]).filter(|url| is_at(url, gateway)) else { continue };
        if asked.contains(&url) {
            continue;
        }
        if let Ok(text) = exchange(&url, None, DESCRIPTION_BYTES).await
            && let Some(device) = described(&text, &url, gateway)
        {
            return Ok(device);
        }
        asked.push(url);
    }
    Err(io::Error::other("no description of use"))
}

/// Where a description is, as an answer to the search says.
fn location(datagram: &[u8]) -> Option<HttpUrl> {
    let text = std::str::from_utf8(datagram).ok().filter(|text| text.starts_with("HTTP/1.1 200"))?;
    let headers = text.lines().filter_map(|line| line.split_once(':'));
    let mut locations = headers.filter(|(name, _)| name.trim().eq_ignore_ascii_case("location"));
    locations.next().and_then(|(_, url)| HttpUrl::parse(url.trim()).ok())
}

fn is_at(url: &HttpUrl, gateway: IpAddr) -> bool {
    let origin = url.origin();
    !origin.tls && origin.ip() == Some(gateway) && url.credentials().is_none()
}

/// The first service of a description that maps ports, if it is the gateway's own.
fn described(text: &str, url: &HttpUrl, gateway: IpAddr) -> Option<Device> {
    let joined = |base: &HttpUrl, to: &str| {
        base.join(&to.trim().replace("&amp;", "&")).ok().filter(|url| is_at(url, gateway))
    };
    let base = element(text, "URLBase").and_then(|(base, _)| joined(url, base));
    let base = base.as_ref().unwrap_or(url);
    let mut rest = text;
    while let Some((service, after)) = element(rest, "service") {
        rest = after;
        let Some((kind, _)) = element(service, "serviceType") else { continue };
        let Some(kind) = SERVICES.into_iter().find(|known| *known == kind.trim()) else { continue };
        let Some((control, _)) = element(service, "controlURL") else { continue };
        if let Some(control) = joined(base, control) {
            return Some(Device {
                addr: SocketAddr::new(gateway, control.origin().port),
                root_url: url.text(),
                // Whole: what begins with two slashes would name another host.
                control_url: control.text(),
                control_schema_url: String::new(),
                control_schema: schema(kind),
                service_type: kind.to_owned(),
                provider: Plain,
            });
        }
    }
    None
}

/// What is between the next tags of a name, and what comes after them.
fn element<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    after.split_once(&format!("</{name}>"))
}

/// The arguments of each action, as the standards have them: no device has others.
fn schema(kind: &str) -> HashMap<String, Vec<String>> {
    const MAPPING: [&str; 8] = [
        "NewRemoteHost",
        "NewExternalPort",
        "NewProtocol",
        "NewInternalPort",
        "NewInternalClient",
        "NewEnabled",
        "NewPortMappingDescription",
        "NewLeaseDuration",
    ];
    let of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut schema = HashMap::from([
        ("AddPortMapping".to_owned(), of(&MAPPING)),
        ("DeletePortMapping".to_owned(), of(&MAPPING[..3])),
    ]);
    if kind == WAN_IP_2 {
        schema.insert("AddAnyPortMapping".to_owned(), of(&MAPPING));
    }
    schema
}

/// Brings requests to the device, and only answers that are plain.
#[derive(Debug, Clone)]
pub(crate) struct Plain;

impl Provider for Plain {
    async fn send_async(url: &str, action: &str, body: &str) -> Result<String, RequestError> {
        let url = HttpUrl::parse(url).map_err(io::Error::other)?;
        let answer = exchange(&url, Some((action, body)), ANSWER_BYTES).await?;
        if is_plain(&answer) { Ok(answer) } else { Err(io::Error::other("it answered too much XML").into()) }
    }
}

/// No entities, and few namespaces; how deep it is the crate looks at.
fn is_plain(answer: &str) -> bool {
    !answer.contains("<!") && answer.matches("xmlns").count() <= ANSWER_NAMESPACES
}

/// One request of HTTP/1.1, on a connection of its own. Whoever calls bounds the time.
async fn exchange(url: &HttpUrl, call: Option<(&str, &str)>, max_bytes: usize) -> io::Result<String> {
    let origin: &Origin = url.origin();
    let host = origin.ip().ok_or_else(|| io::Error::other("not an address"))?;
    let stream = TcpStream::connect((host, origin.port)).await?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES).max_headers(HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request =
        Request::builder().uri(url.target()).header(HOST, origin.authority()).header(CONNECTION, "close");
    let request = match call {
        None => request.body(Full::<Bytes>::default()),
        Some((action, body)) => request
            .method("POST")
            .header("SOAPAction", action)
            .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
            .body(Full::from(body.to_owned())),
    };
    let answer = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
    let body = Limited::new(answer.into_body(), max_bytes).collect().await.map_err(io::Error::other)?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

#[cfg(test)]
#[path = "upnp_test.rs"]
mod tests;
