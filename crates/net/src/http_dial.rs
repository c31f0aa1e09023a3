//! From an origin to a connection: resolve, look at the addresses, dial one of them, TLS.

use crate::connector::{Connector, Isolation};
use crate::endpoint::Endpoint;
use crate::error::DialError;
use crate::http_error::HttpError;
use crate::http_reach::{Place, Reach};
use crate::http_url::{HttpUrl, Origin};
use crate::tcp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Lookups at a time. Each has a thread of its own: one that hangs for a minute must not take a worker from the disk.
const LOOKUPS: usize = 4;
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// Bounds of HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// For resolving, for dialling each address, and for TLS.
    pub dial_timeout: Duration,
    /// For the head of an answer.
    pub head_timeout: Duration,
    /// Connections with one host, over all its users.
    pub per_host: usize,
    /// Fewer bytes a second, measured over `slow_after`, end a body.
    pub least_bytes_per_second: u64,
    /// See `least_bytes_per_second`. Only time spent waiting for the server counts.
    pub slow_after: Duration,
    /// Bytes that are read and thrown away where a server does not know ranges, or rather than dial again.
    pub skip_bytes: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            per_host: 8,
            least_bytes_per_second: 4_096,
            slow_after: Duration::from_secs(15),
            skip_bytes: 1024 * 1024,
        }
    }
}

/// Dials for everybody in the process.
pub struct HttpDialer {
    pub(crate) limits: HttpLimits,
    connector: Arc<Connector>,
    pub(crate) user_agent: &'static str,
    lookups: Arc<Semaphore>,
    hosts: Arc<Mutex<HashMap<String, usize>>>,
    tls: OnceCell<TlsConnector>,
}

/// A stream with or without TLS.
pub(crate) enum HttpStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that was dialled.
pub(crate) struct Dialled {
    pub(crate) stream: HttpStream,
    pub(crate) place: Place,
    pub(crate) to: Endpoint,
    /// Given back when it is dropped.
    pub(crate) seat: Seat,
}

/// One of the connections that a host may have.
pub(crate) struct Seat {
    hosts: Arc<Mutex<HashMap<String, usize>>>,
    host: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut hosts = self.hosts.lock();
        if let Some(count) = hosts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(&self.host);
            }
        }
    }
}

impl HttpDialer {
    /// With no connection yet.
    pub fn new(limits: HttpLimits, connector: Arc<Connector>, user_agent: &'static str) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self { limits, connector, user_agent, lookups, hosts: Arc::default(), tls: OnceCell::new() }
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.hosts.lock().values().sum()
    }

    /// Dials where the URL leads; `from` is where the server is that redirected to it.
    pub(crate) async fn dial(
        &self,
        url: &HttpUrl,
        reach: Reach,
        from: Option<Place>,
        isolation: Isolation,
    ) -> Result<Dialled, HttpError> {
        let mut endpoints = self.endpoints(url.origin()).await?;
        endpoints.retain(|to| reach.takes(to));
        if endpoints.is_empty() {
            return Err(HttpError::Unresolved);
        }
        let admitted = endpoints.into_iter().filter(|to| reach.admits(Place::at(to), url.target(), from));
        let mut failure = HttpError::Forbidden;
        for to in admitted.take(ADDRESSES) {
            let seat = self.seat(&to)?;
            match self.connector.dial(&to, isolation, self.limits.dial_timeout).await {
                Ok(stream) => {
                    let stream = self.secure(stream, url.origin()).await?;
                    return Ok(Dialled { stream, place: Place::at(&to), to, seat });
                }
                Err(DialError::Proxy(_)) => return Err(HttpError::Proxy),
                Err(DialError::Forbidden | DialError::Blocked) => failure = HttpError::Forbidden,
                Err(_) => failure = HttpError::Refused,
            }
        }
        Err(failure)
    }

    async fn endpoints(&self, origin: &Origin) -> Result<Vec<Endpoint>, HttpError> {
        if origin.ip().is_none() && self.connector.takes_names() {
            let to = Endpoint::parse(&origin.host, origin.port).map_err(|_| HttpError::BadUrl)?;
            return Ok(vec![to]);
        }
        Ok(self.resolve(origin).await?.into_iter().map(Endpoint::Ip).collect())
    }

    async fn resolve(&self, origin: &Origin) -> Result<Vec<SocketAddr>, HttpError> {
        if let Some(ip) = origin.ip() {
            return Ok(vec![SocketAddr::new(ip, origin.port)]);
        }
        let (host, port) = (origin.host.clone(), origin.port);
        let looking = async {
            let permit =
                Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| HttpError::Unresolved)?;
            on_own_thread(move || {
                let _permit = permit;
                (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>).ok()
            })
            .await
            .flatten()
            .ok_or(HttpError::Unresolved)
        };
        tokio::time::timeout(self.limits.dial_timeout, looking).await.map_err(|_| HttpError::Unresolved)?
    }

    fn seat(&self, to: &Endpoint) -> Result<Seat, HttpError> {
        let host = to.ip().map_or_else(|| to.host(), |ip| tcp::host(ip).to_string());
        let mut hosts = self.hosts.lock();
        let count = hosts.entry(host.clone()).or_default();
        if *count >= self.limits.per_host {
            return Err(HttpError::HostBusy);
        }
        *count += 1;
        Ok(Seat { hosts: Arc::clone(&self.hosts), host })
    }

    async fn secure(&self, stream: TcpStream, origin: &Origin) -> Result<HttpStream, HttpError> {
        if !origin.tls {
            return Ok(HttpStream::Plain(stream));
        }
        let name = ServerName::try_from(origin.host.clone()).map_err(|_| HttpError::Tls)?;
        let shaking = async {
            let connector = self.tls.get_or_try_init(connector).await?;
            let stream = connector.connect(name, stream).await.map_err(|_| HttpError::Tls)?;
            Ok(HttpStream::Tls(Box::new(stream)))
        };
        tokio::time::timeout(self.limits.dial_timeout, shaking).await.map_err(|_| HttpError::Tls)?
    }
}

/// Trusts what the system trusts, or `SSL_CERT_FILE` and `SSL_CERT_DIR`; read once, when it is first needed.
async fn connector() -> Result<TlsConnector, HttpError> {
    let found = on_own_thread(rustls_native_certs::load_native_certs).await.ok_or(HttpError::Tls)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| HttpError::Tls)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What waits on files or name servers, away from the threads of the runtime. `None` when it panicked.
async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("blockswarm-http".to_owned()).spawn(move || {
        // Nobody waits any more: then it was for nothing.
        let _ = tell.send(work());
    });
    spawned.ok()?;
    told.await.ok()
}
