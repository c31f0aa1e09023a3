//! How the process meets the world, as TypeScript decided.
use crate::error::coded;
use crate::reactor::{address, refused};
use blockswarm_net::{Connector, Credentials, I2p, ListenScope, Login, Socks5};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::sync::Arc;

/// The one way out. Nothing leads past it once the reactor is made.
#[napi(object, object_to_js = false)]
pub struct ConnectorOptions {
    #[napi(ts_type = "'direct' | 'socks5' | 'i2p'")]
    pub kind: String,
    /// Of `socks5`, and of no other.
    pub proxy: Option<ProxyOptions>,
    /// Of `i2p`, and of no other.
    pub bridge: Option<BridgeOptions>,
}

/// A SAM bridge of I2P.
#[napi(object, object_to_js = false)]
pub struct BridgeOptions {
    /// IP literal.
    pub host: String,
    pub port: u32,
    /// Of the destination to be: as `i2pKeys` gave them. Else it is a new one.
    pub keys: Option<String>,
}

/// A SOCKS5 proxy.
#[napi(object, object_to_js = false)]
pub struct ProxyOptions {
    /// IP literal.
    pub host: String,
    pub port: u32,
    /// 1 to 255 bytes, as the password.
    pub username: Option<Uint8Array>,
    pub password: Option<Uint8Array>,
    /// 16 random bytes, instead of both: another user for whatever shall not share a circuit of Tor.
    pub isolation: Option<Uint8Array>,
    /// Datagrams go through it as well; else there are none.
    pub udp: bool,
    /// Where peers may come in.
    #[napi(ts_type = "'nowhere' | 'loopback' | 'anywhere'")]
    pub listen: String,
}

impl ConnectorOptions {
    pub(crate) fn read(&self) -> napi::Result<Arc<Connector>> {
        let connector = match (self.kind.as_str(), &self.proxy, &self.bridge) {
            ("direct", None, None) => Connector::direct(),
            ("socks5", Some(proxy), None) => Connector::socks5(proxy.read()?),
            ("i2p", None, Some(bridge)) => Connector::i2p(Arc::new(bridge.read()?)),
            // Whatever it is meant to be, it is not taken for a direct one.
            (kind, ..) => return Err(coded("ERR_PRIVACY", format!("no such connector: \"{kind}\""))),
        };
        Ok(Arc::new(connector))
    }
}

impl BridgeOptions {
    fn read(&self) -> napi::Result<I2p> {
        let bridge = address(&self.host, self.port).map_err(refused)?;
        // They are a secret: not shown.
        I2p::new(bridge, self.keys.as_deref())
            .ok_or_else(|| coded("ERR_PRIVACY", "these are not the keys of a destination of I2P"))
    }
}

impl ProxyOptions {
    fn read(&self) -> napi::Result<Socks5> {
        let wrong = |what: &str| coded("ERR_PRIVACY", format!("\"{what}\" of the proxy cannot be used"));
        let login = match (&self.username, &self.password, &self.isolation) {
            (None, None, None) => Login::Anonymous,
            (Some(username), Some(password), None) => {
                Login::As(Credentials::new(username, password).ok_or_else(|| wrong("username"))?)
            }
            (None, None, Some(secret)) => {
                Login::Isolated(<[u8; 16]>::try_from(&**secret).map_err(|_| wrong("isolation"))?)
            }
            _ => return Err(wrong("username")),
        };
        let listen = match self.listen.as_str() {
            "nowhere" => ListenScope::Nowhere,
            "loopback" => ListenScope::Loopback,
            "anywhere" => ListenScope::Anywhere,
            _ => return Err(wrong("listen")),
        };
        let proxy = address(&self.host, self.port).map_err(refused)?;
        Ok(Socks5 { proxy, login, udp: self.udp, listen, health: Arc::default() })
    }
}
