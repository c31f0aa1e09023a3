//! Those who come from outside, as far as there are places for them.

use crate::connect;
use crate::context::count;
use crate::registry::{Core, Farewell};
use crate::shared::{LinkShared, Transport};
use crate::stream::Stream;
use blockswarm_net::{Endpoint, I2p, Utp};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

/// After a failed accept (out of descriptors): before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Core {
    /// Lets everybody in who comes to a listener.
    pub(crate) async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        // While all places are taken the kernel keeps those who come: a crowd of honest peers loses nobody, and what
        // holds a place holds it for seconds only.
        while self.context.half_open_in.acquire().await.is_ok() {
            match listener.accept().await {
                // Whoever cannot be told to send at once is gone.
                Ok((stream, address)) => {
                    if stream.set_nodelay(true).is_ok() {
                        self.take_in(Stream::tcp(stream), address.into());
                    }
                }
                // Out of descriptors, or the peer was gone already: the listener itself is sound.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Lets everybody in who comes through I2P.
    pub(crate) async fn accept_all_i2p(self: Arc<Self>, i2p: Arc<I2p>) {
        while self.context.half_open_in.acquire().await.is_ok() {
            let (stream, from) = i2p.accept().await;
            self.take_in(Stream::tcp(stream), from);
        }
    }

    /// Ends with the UDP socket.
    pub(crate) async fn accept_all_utp(self: Arc<Self>, utp: Arc<Utp>) {
        while let Ok((connection, address)) = utp.accept().await {
            self.take_in(Stream::utp(connection), address.into());
        }
    }

    fn take_in(self: &Arc<Self>, stream: Stream, address: Endpoint) {
        // Before a place is taken, and before JavaScript hears of it.
        let filter = &self.context.connector.filter;
        if address.ip().is_some_and(|ip| filter.blocks(ip, &filter.incoming)) {
            return;
        }
        let mut registry = self.registry.lock();
        let limits = &self.context.limits;
        let places = match stream.transport() {
            Transport::Utp => &self.context.half_open_utp,
            Transport::Tcp | Transport::Http => &self.context.half_open_in,
        };
        // One host that opens connections and says nothing must leave places for others.
        let crowded = places.available_permits() <= limits.half_open / 2 && {
            let same = |link: &&Arc<LinkShared>| {
                link.address.is_same_host(&address) && link.torrent.load(Ordering::Acquire) == 0
            };
            registry.links.values().filter(same).count() >= limits.half_open.div_ceil(2)
        };
        let full = crowded || registry.links.len() >= limits.links;
        let Some(place) = (!full).then(|| Arc::clone(places).try_acquire_owned().ok()).flatten() else {
            count(&self.context.counters.turned_away, 1);
            return;
        };
        registry.last_link += 1;
        let id = registry.last_link;
        let link = LinkShared::new(id, 0, address, Arc::clone(&self.context.outbox));
        registry.links.insert(id, Arc::clone(&link));
        drop(registry);
        let farewell = Farewell::new(self, &link);
        let context = Arc::clone(&self.context);
        self.context.handle.spawn(async move {
            let reason = connect::incoming(context, link, stream, place).await;
            farewell.say(reason);
        });
    }
}
