//! Streams through I2P by a SAM bridge, under one destination of ours: the router's own advice, since each session has
//! tunnels that take minutes to build. The session lives as long as the connection that made it; when it is lost there is
//! no way out until there is another one, under the same destination.

use crate::connector::ProxyHealth;
use crate::endpoint::Endpoint;
use crate::error::{DialError, ProxyFault};
use crate::i2p_name::{I2pAddress, SUFFIX};
use crate::sam;
use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Ports mean nothing here; where one must stand, this is what others write (I2P's "Bittorrent").
pub const I2P_PORT: u16 = 6_881;
/// For tunnels to be built.
const SESSION_TIMEOUT: Duration = Duration::from_secs(300);
/// To be led to somebody: his lease set is looked up, and a packet takes seconds.
const DIAL_TIMEOUT: Duration = Duration::from_secs(90);
/// For what the bridge answers by itself.
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Before another peer is waited for when that failed.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// A bridge on another machine that is switched off says nothing.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Names whose destinations are remembered.
const NAMES: usize = 4_096;

/// The bridge, and our session at it.
pub struct I2p {
    bridge: SocketAddr,
    /// Of our destination, once it is known; never shown.
    keys: Mutex<Option<Keys>>,
    session: watch::Sender<Option<Arc<Session>>>,
    destinations: Mutex<HashMap<Arc<str>, Arc<str>>>,
    health: Arc<ProxyHealth>,
}

struct Keys {
    text: String,
    address: I2pAddress,
}

/// What streams name that belong to it.
#[derive(Debug)]
struct Session {
    id: String,
}

impl fmt::Debug for I2p {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "I2p({})", self.bridge)
    }
}

impl I2p {
    /// At a bridge, under the destination of these keys or a new one. `None`: they are no keys.
    pub fn new(bridge: SocketAddr, keys: Option<&str>) -> Option<Self> {
        let keys = match keys {
            None => None,
            Some(text) => Some(Keys { text: text.to_owned(), address: I2pAddress::of_keys(text)? }),
        };
        let (session, _) = watch::channel(None);
        let (destinations, health) = (Mutex::default(), Arc::default());
        Some(Self { bridge, keys: Mutex::new(keys), session, destinations, health })
    }

    /// Where peers meet us, while they can.
    pub fn address(&self) -> Option<I2pAddress> {
        self.session.borrow().as_ref()?;
        self.keys.lock().as_ref().map(|keys| keys.address.clone())
    }

    /// The keys of our destination, once there is one: a secret.
    pub fn keys(&self) -> Option<String> {
        self.keys.lock().as_ref().map(|keys| keys.text.clone())
    }

    pub(crate) fn health(&self) -> &Arc<ProxyHealth> {
        &self.health
    }

    /// Keeps a session, for ever; `lost` is called when one has ended.
    pub async fn keep(self: Arc<Self>, lost: impl Fn()) {
        let mut pause = FIRST_PAUSE;
        loop {
            match tokio::time::timeout(SESSION_TIMEOUT, self.begin()).await {
                Ok(Ok((control, session))) => {
                    self.health.note(None);
                    self.session.send_replace(Some(Arc::new(session)));
                    pause = FIRST_PAUSE;
                    hold(control).await;
                    self.session.send_replace(None);
                    self.health.note(Some(ProxyFault::Gone));
                    lost();
                }
                Ok(Err(fault)) => self.health.note(Some(fault)),
                Err(_) => self.health.note(Some(ProxyFault::Slow)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Dials a name that ends with `.i2p`.
    pub(crate) async fn dial(&self, to: &Endpoint, timeout: Duration) -> Result<TcpStream, DialError> {
        let Endpoint::Name { host, .. } = to else { return Err(DialError::Forbidden) };
        if !host.ends_with(SUFFIX) {
            return Err(DialError::Forbidden);
        }
        let mut changes = self.session.subscribe();
        let session = tokio::time::timeout(timeout, wait_for(&mut changes)).await;
        let session = session.map_err(|_| self.health.fault().unwrap_or(ProxyFault::Slow))?;
        let dialling = async {
            let destination = self.look_up(host).await?;
            let mut stream = self.reach().await?;
            let command = format!("STREAM CONNECT ID={} DESTINATION={destination}", session.id);
            sam::of_stream(sam::ask(&mut stream, &command, "STREAM STATUS").await?.result())?;
            Ok(stream)
        };
        tokio::time::timeout(timeout.max(DIAL_TIMEOUT), dialling).await.map_err(|_| DialError::TimedOut)?
    }

    /// The next peer that comes in, however long that takes.
    pub async fn accept(&self) -> (TcpStream, Endpoint) {
        let mut changes = self.session.subscribe();
        loop {
            let session = wait_for(&mut changes).await;
            let accepted = tokio::select! {
                accepted = self.accept_one(&session) => accepted.ok(),
                _ = changes.changed() => continue,
            };
            match accepted {
                Some(peer) => return peer,
                None => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn accept_one(&self, session: &Session) -> Result<(TcpStream, Endpoint), DialError> {
        let asking = async {
            let mut stream = self.reach().await?;
            let command = format!("STREAM ACCEPT ID={}", session.id);
            sam::of_stream(sam::ask(&mut stream, &command, "STREAM STATUS").await?.result())?;
            Ok::<_, DialError>(stream)
        };
        let asked = tokio::time::timeout(BRIDGE_TIMEOUT, asking).await;
        let mut stream = asked.map_err(|_| DialError::Proxy(ProxyFault::Slow))??;
        let line = sam::line(&mut stream).await?;
        // 3.2 says ports behind it.
        let destination = line.split(' ').next().unwrap_or_default();
        let peer = I2pAddress::of_destination(destination).ok_or(ProxyFault::NotSam)?;
        self.remember(&peer.name, &peer.destination);
        Ok((stream, Endpoint::Name { host: peer.name, port: I2P_PORT }))
    }

    async fn begin(&self) -> Result<(TcpStream, Session), ProxyFault> {
        let mut control = self.reach().await?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        // Without it the loss is noticed later.
        let _ = SockRef::from(&control).set_tcp_keepalive(&keepalive);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| ProxyFault::NoSession)?;
        let id = random.iter().fold(String::new(), |mut id, byte| {
            // Writing to a text does not fail.
            let _ = write!(id, "{byte:02x}");
            id
        });
        let keys = self.keys().unwrap_or_else(|| "TRANSIENT".to_owned());
        // EdDSA, and the encryption of X25519 or, for old routers, ElGamal; enough tunnels for many peers.
        let command = format!(
            "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={keys} SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0 \
             inbound.quantity=3 outbound.quantity=3"
        );
        let reply = sam::ask(&mut control, &command, "SESSION STATUS").await?;
        sam::of_session(reply.result())?;
        let text = reply.get("DESTINATION").ok_or(ProxyFault::NotSam)?.to_owned();
        let address = I2pAddress::of_keys(&text).ok_or(ProxyFault::NotSam)?;
        let mut ours = self.keys.lock();
        // Under another destination we would be somebody else, unasked.
        if ours.as_ref().is_some_and(|keys| keys.address != address) {
            return Err(ProxyFault::NotSam);
        }
        *ours = Some(Keys { text, address });
        drop(ours);
        Ok((control, Session { id }))
    }

    async fn look_up(&self, name: &Arc<str>) -> Result<Arc<str>, DialError> {
        if let Some(known) = self.destinations.lock().get(name) {
            return Ok(Arc::clone(known));
        }
        let mut bridge = self.reach().await?;
        let reply = sam::ask(&mut bridge, &format!("NAMING LOOKUP NAME={name}"), "NAMING REPLY").await?;
        sam::of_stream(reply.result())?;
        let found = reply.get("VALUE").and_then(I2pAddress::of_destination).ok_or(ProxyFault::NotSam)?;
        // A hash is of one destination only, whatever the bridge says.
        if name.ends_with(".b32.i2p") && name.len() == found.name.len() && *name != found.name {
            return Err(DialError::Refused);
        }
        self.remember(name, &found.destination);
        Ok(found.destination)
    }

    fn remember(&self, name: &Arc<str>, destination: &Arc<str>) {
        let mut destinations = self.destinations.lock();
        if destinations.len() >= NAMES {
            // Any may go: it is looked up again.
            let any = destinations.keys().next().cloned();
            any.map(|any| destinations.remove(&any));
        }
        destinations.insert(Arc::clone(name), Arc::clone(destination));
    }

    async fn reach(&self) -> Result<TcpStream, ProxyFault> {
        let reaching = async {
            let mut stream = TcpStream::connect(self.bridge).await.map_err(|_| ProxyFault::Unreachable)?;
            stream.set_nodelay(true).map_err(|_| ProxyFault::Gone)?;
            sam::hello(&mut stream).await?;
            Ok(stream)
        };
        tokio::time::timeout(BRIDGE_TIMEOUT, reaching).await.map_err(|_| ProxyFault::Slow)?
    }
}

/// The session that there is, or the next one.
async fn wait_for(changes: &mut watch::Receiver<Option<Arc<Session>>>) -> Arc<Session> {
    loop {
        if let Some(session) = &*changes.borrow_and_update() {
            return Arc::clone(session);
        }
        // Who would change it lives as long as who waits.
        let _ = changes.changed().await;
    }
}

/// Waits for the end of a session: of its connection. A bridge of version 3.2 may ask whether we are there.
async fn hold(mut control: TcpStream) {
    while let Ok(line) = sam::line(&mut control).await {
        let Some(text) = line.strip_prefix("PING") else { continue };
        let answer = format!("PONG{text}");
        let answering = tokio::time::timeout(BRIDGE_TIMEOUT, sam::say(&mut control, &answer));
        if !matches!(answering.await, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
#[path = "i2p_test.rs"]
mod tests;
