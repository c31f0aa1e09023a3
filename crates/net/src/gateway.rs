//! Ports mapped at the gateway: PCP (RFC 6887), NAT-PMP (RFC 6886), UPnP-IGD. One request, one answer, within a bound;
//! when to ask what is TypeScript's to decide.
//!
//! A gateway may be anything that answers on the local network: only the host that was asked for is believed, datagrams
//! are of fixed lengths, and XML is bounded in `upnp`.

use crate::upnp::{self, Device};
use crab_nat::{InternetProtocol, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp, pcp};
use igd_next::{AddPortError, PortMappingProtocol};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// For one request, with all its repetitions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Datagrams are repeated after 250 ms, then 500 and 1,000 ms.
const DATAGRAMS: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 3, max_retry_timeout: None };
/// Requests under way; more are answered at once, with an error.
const REQUESTS: usize = 8;
/// What a person sees in the gateway's list.
const DESCRIPTION: &str = "blockswarm";
/// Text of an error that came from outside.
const ERROR_CHARS: usize = 200;
/// When a gateway knows no leases the mapping stays until it is removed: it is looked after all the same.
const PERMANENT_LEASE_SECONDS: u32 = 3_600;

/// How to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MappingMethod {
    /// Port Control Protocol.
    Pcp,
    /// NAT Port Mapping Protocol.
    NatPmp,
    /// Universal Plug and Play, Internet Gateway Device.
    UpnpIgd,
}

/// What is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MappedTransport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port of ours that the world is to reach.
#[derive(Debug, Clone, Copy)]
pub struct MappingRequest {
    /// How to ask.
    pub method: MappingMethod,
    /// Whom: nobody else is believed.
    pub gateway: IpAddr,
    /// Where devices are searched for (UPnP-IGD).
    pub search: SocketAddr,
    /// What is mapped.
    pub transport: MappedTransport,
    /// Where we listen.
    pub internal_port: NonZeroU16,
    /// The port that we should like, or have mapped.
    pub external_port: NonZeroU16,
    /// How long it is to last; 0 removes the mapping.
    pub lifetime_seconds: u32,
}

/// A port that is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The gateway's address in the world, as far as it says one.
    pub external_host: Option<IpAddr>,
    /// 0 when it was removed.
    pub external_port: u16,
    /// 0 when it was removed, or never made.
    pub lifetime_seconds: u32,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingAnswer {
    /// As [`super::local_network::LocalNetwork::map_port`] numbered it.
    pub request: u32,
    /// The mapping, or why there is none.
    pub outcome: Result<Mapping, String>,
}

/// Asks, and keeps what the next request needs.
pub(crate) struct Gateway {
    handle: Handle,
    notify: Arc<dyn Fn() + Send + Sync>,
    last: AtomicU32,
    places: Arc<Semaphore>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    answers: Mutex<Vec<MappingAnswer>>,
    /// Proves to a PCP gateway that a mapping is ours.
    nonces: Mutex<HashMap<(IpAddr, MappedTransport, NonZeroU16), pcp::Nonce>>,
    /// The device that was found last.
    device: Mutex<Option<Device>>,
}

impl Gateway {
    pub(crate) fn new(handle: &Handle, notify: Arc<dyn Fn() + Send + Sync>) -> Self {
        let places = Arc::new(Semaphore::new(REQUESTS));
        Self { handle: handle.clone(), notify, last: AtomicU32::new(0), places, state: Arc::default() }
    }

    pub(crate) fn ask(&self, request: MappingRequest) -> u32 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let (state, notify) = (Arc::clone(&self.state), Arc::clone(&self.notify));
        self.handle.spawn(async move {
            let outcome = match place {
                // In a task of its own: a panic over what a gateway sent is an error like any other.
                Ok(_place) => bounded(tokio::spawn(answer(Arc::clone(&state), request))).await,
                Err(_) => Err("too many requests are under way".to_owned()),
            };
            let outcome = outcome.map_err(|text| text.chars().take(ERROR_CHARS).collect());
            state.answers.lock().push(MappingAnswer { request: number, outcome });
            notify();
        });
        number
    }

    pub(crate) fn drain(&self) -> Vec<MappingAnswer> {
        std::mem::take(&mut *self.state.answers.lock())
    }
}

type Outcome = Result<Mapping, String>;

async fn bounded(mut task: tokio::task::JoinHandle<Outcome>) -> Outcome {
    if let Ok(outcome) = tokio::time::timeout(ANSWER_TIMEOUT, &mut task).await {
        return outcome.unwrap_or_else(|_| Err("it answered what cannot be read".to_owned()));
    }
    task.abort();
    Err("no answer in time".to_owned())
}

async fn answer(state: Arc<State>, request: MappingRequest) -> Outcome {
    match request.method {
        MappingMethod::Pcp => by_pcp(&state, request).await,
        MappingMethod::NatPmp => by_natpmp(request).await,
        MappingMethod::UpnpIgd => {
            let outcome = by_upnp(&state, request).await;
            if outcome.is_err() {
                // It may have restarted elsewhere: searched for anew.
                *state.device.lock() = None;
            }
            outcome
        }
    }
}

impl MappedTransport {
    fn of_nat(self) -> InternetProtocol {
        match self {
            Self::Tcp => InternetProtocol::Tcp,
            Self::Udp => InternetProtocol::Udp,
        }
    }

    fn of_igd(self) -> PortMappingProtocol {
        match self {
            Self::Tcp => PortMappingProtocol::TCP,
            Self::Udp => PortMappingProtocol::UDP,
        }
    }
}

const REMOVED: Mapping = Mapping { external_host: None, external_port: 0, lifetime_seconds: 0 };

/// The address by which the system reaches another one; nothing is sent.
fn address_towards(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, 1)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn own_address(gateway: IpAddr) -> Result<IpAddr, String> {
    address_towards(gateway).ok_or_else(|| "there is no route to it".to_owned())
}

async fn by_pcp(state: &State, request: MappingRequest) -> Outcome {
    let MappingRequest { gateway, transport, internal_port, external_port, lifetime_seconds, .. } = request;
    let client = own_address(gateway)?;
    let key = (gateway, transport, internal_port);
    let nonce = state.nonces.lock().get(&key).copied();
    let protocol = transport.of_nat();
    if lifetime_seconds == 0 {
        let Some(nonce) = nonce else { return Ok(REMOVED) };
        let range = pcp::DropMappingRange::Single { internal_port, protocol };
        let dropped = pcp::try_drop_mapping(gateway.into(), client, nonce, range, Some(DATAGRAMS)).await;
        return dropped.map(|()| REMOVED).map_err(|error| error.to_string());
    }
    let base = pcp::BaseMapRequest::new(gateway.into(), client, protocol, internal_port);
    let options = options(external_port, lifetime_seconds);
    let mapping = pcp::port_mapping(base, nonce, None, options)
        .await
        .map_err(|error: pcp::Failure| error.to_string())?;
    let mut external_host = None;
    if let PortMappingType::Pcp { nonce, external_ip, .. } = mapping.mapping_type() {
        state.nonces.lock().insert(key, nonce);
        external_host = Some(external_ip);
    }
    let external_port = mapping.external_port().get();
    Ok(Mapping { external_host, external_port, lifetime_seconds: mapping.lifetime() })
}

async fn by_natpmp(request: MappingRequest) -> Outcome {
    let MappingRequest { gateway, transport, internal_port, external_port, lifetime_seconds, .. } = request;
    let protocol = transport.of_nat();
    let said = |error: natpmp::Failure| error.to_string();
    if lifetime_seconds == 0 {
        let dropped =
            natpmp::try_drop_mapping(gateway.into(), protocol, Some(internal_port), Some(DATAGRAMS));
        return dropped.await.map(|()| REMOVED).map_err(said);
    }
    let options = options(external_port, lifetime_seconds);
    let mapping =
        natpmp::port_mapping(gateway.into(), protocol, internal_port, options).await.map_err(said)?;
    let external_host = natpmp::external_address(gateway.into(), Some(DATAGRAMS)).await.ok().map(IpAddr::V4);
    let external_port = mapping.external_port().get();
    Ok(Mapping { external_host, external_port, lifetime_seconds: mapping.lifetime() })
}

fn options(external_port: NonZeroU16, lifetime_seconds: u32) -> PortMappingOptions {
    PortMappingOptions {
        external_port: Some(external_port),
        lifetime_seconds: Some(lifetime_seconds),
        timeout_config: Some(DATAGRAMS),
    }
}

async fn by_upnp(state: &State, request: MappingRequest) -> Outcome {
    let MappingRequest { transport, internal_port, external_port, lifetime_seconds, .. } = request;
    let client = own_address(request.gateway)?;
    let known = state.device.lock().clone().filter(|device| device.addr.ip() == request.gateway);
    let device = match known {
        Some(device) => device,
        None => upnp::search(client, request.gateway, request.search).await?,
    };
    *state.device.lock() = Some(device.clone());
    let protocol = transport.of_igd();
    if lifetime_seconds == 0 {
        let removed = device.remove_port(protocol, external_port.get()).await;
        return removed.map(|()| REMOVED).map_err(|error| error.to_string());
    }
    let local = SocketAddr::new(client, internal_port.get());
    let add = async |port: u16, lease| device.add_port(protocol, port, local, lease, DESCRIPTION).await;
    let mut lease = lifetime_seconds;
    let mut added = add(external_port.get(), lease).await;
    if matches!(added, Err(AddPortError::OnlyPermanentLeasesSupported)) {
        lease = 0;
        added = add(external_port.get(), lease).await;
    }
    let external_port = match added {
        Ok(()) => external_port.get(),
        // Somebody else of the network has that port.
        Err(AddPortError::PortInUse) => device
            .add_any_port(protocol, local, lease, DESCRIPTION)
            .await
            .map_err(|error| error.to_string())?,
        Err(error) => return Err(error.to_string()),
    };
    let lifetime_seconds = if lease == 0 { PERMANENT_LEASE_SECONDS } else { lease };
    let external_host = device.get_external_ip().await.ok();
    Ok(Mapping { external_host, external_port, lifetime_seconds })
}
