//! What the reactor says on the local network, as JavaScript sees it.
use crate::error::coded;
use blockswarm_net::{
    Group, GroupDatagram as NetDatagram, MappedTransport, MappingAnswer as NetAnswer, MappingMethod,
    MappingRequest as NetRequest, tcp,
};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

/// A multicast group, and the interface on which it is joined.
#[napi(object, object_to_js = false)]
pub struct MulticastGroup {
    /// The interface's name.
    pub interface_name: String,
    /// An address of ours on it, of the group's family.
    pub local: String,
    /// The group.
    pub host: String,
    pub port: u32,
}

/// A datagram that came to a group: any bytes, 1,500 at most.
#[napi(object, object_from_js = false)]
pub struct GroupDatagram {
    /// As `joinGroup` numbered it.
    pub group: u32,
    pub host: String,
    pub port: u32,
    pub payload: Buffer,
}

/// A port of ours that the world is to reach.
#[napi(object, object_to_js = false)]
pub struct MappingRequest {
    #[napi(ts_type = "'pcp' | 'nat-pmp' | 'upnp-igd'")]
    pub method: String,
    /// The only one that is believed.
    pub gateway: String,
    /// Where devices are searched for (UPnP-IGD); default 239.255.255.250:1900.
    pub search_host: Option<String>,
    pub search_port: Option<u32>,
    #[napi(ts_type = "'tcp' | 'udp'")]
    pub transport: String,
    /// 1 to 65,535.
    pub internal_port: u32,
    /// The one we should like, or have mapped.
    pub external_port: u32,
    /// 0 removes the mapping.
    pub lifetime_seconds: u32,
}

/// What came of a `mapPort`.
#[napi(object, object_from_js = false)]
pub struct MappingAnswer {
    pub request: u32,
    /// Why there is no mapping; absent when there is one, or it was removed.
    pub error: Option<String>,
    /// The gateway's address in the world, as far as it says one.
    pub external_host: Option<String>,
    pub external_port: u32,
    pub lifetime_seconds: u32,
}

fn ip(text: &str) -> napi::Result<IpAddr> {
    let address = tcp::address(text, 0).map_err(|error| coded(error.code(), error))?;
    Ok(address.ip())
}

fn port(number: u32) -> napi::Result<NonZeroU16> {
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.ok_or_else(|| coded("ERR_ADDRESS", format!("not a port: {number}")))
}

impl MulticastGroup {
    pub(crate) fn read(self) -> napi::Result<Group> {
        let address = SocketAddr::new(ip(&self.host)?, port(self.port)?.get());
        Ok(Group { interface: self.interface_name, local: ip(&self.local)?, address })
    }
}

impl From<NetDatagram> for GroupDatagram {
    fn from(NetDatagram { group, from, payload }: NetDatagram) -> Self {
        let host = from.ip().to_canonical().to_string();
        Self { group, host, port: u32::from(from.port()), payload: payload.into() }
    }
}

impl MappingRequest {
    pub(crate) fn read(&self) -> napi::Result<NetRequest> {
        let method = match self.method.as_str() {
            "pcp" => MappingMethod::Pcp,
            "nat-pmp" => MappingMethod::NatPmp,
            "upnp-igd" => MappingMethod::UpnpIgd,
            other => return Err(coded("ERR_NATIVE", format!("no method of mapping ports: \"{other}\""))),
        };
        let transport = match self.transport.as_str() {
            "tcp" => MappedTransport::Tcp,
            "udp" => MappedTransport::Udp,
            other => return Err(coded("ERR_NATIVE", format!("no transport: \"{other}\""))),
        };
        let search_host = ip(self.search_host.as_deref().unwrap_or("239.255.255.250"))?;
        Ok(NetRequest {
            method,
            gateway: ip(&self.gateway)?,
            search: SocketAddr::new(search_host, port(self.search_port.unwrap_or(1_900))?.get()),
            transport,
            internal_port: port(self.internal_port)?,
            external_port: port(self.external_port)?,
            lifetime_seconds: self.lifetime_seconds,
        })
    }
}

impl From<NetAnswer> for MappingAnswer {
    fn from(NetAnswer { request, outcome }: NetAnswer) -> Self {
        match outcome {
            Ok(mapping) => Self {
                request,
                error: None,
                external_host: mapping.external_host.map(|host| host.to_canonical().to_string()),
                external_port: u32::from(mapping.external_port),
                lifetime_seconds: mapping.lifetime_seconds,
            },
            Err(error) => Self {
                request,
                error: Some(error),
                external_host: None,
                external_port: 0,
                lifetime_seconds: 0,
            },
        }
    }
}
