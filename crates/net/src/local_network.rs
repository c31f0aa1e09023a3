//! What is said on the local network: multicast groups, and requests to the gateway. Nothing is where the connector leads
//! through a proxy.

use crate::error::NetError;
use crate::gateway::{Gateway, MappingAnswer, MappingRequest};
use crate::multicast::{self, Group, GroupDatagram, GroupInbox};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Groups at a time: two for each interface, on a machine with many.
const GROUPS: usize = 64;

/// The groups, and the gateway. Dropping it leaves all groups.
pub struct LocalNetwork {
    handle: Handle,
    allowed: bool,
    notify: Arc<dyn Fn() + Send + Sync>,
    inbox: GroupInbox,
    groups: Mutex<Groups>,
    gateway: Gateway,
}

#[derive(Default)]
struct Groups {
    last: u32,
    joined: HashMap<u32, Joined>,
}

struct Joined {
    socket: Arc<UdpSocket>,
    group: Group,
    task: AbortHandle,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LocalNetwork {
    /// Opens nothing yet. `notify` is called, on a network thread, when there is something to drain.
    pub fn new(handle: &Handle, allowed: bool, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let notify: Arc<dyn Fn() + Send + Sync> = Arc::new(notify);
        Self {
            handle: handle.clone(),
            allowed,
            inbox: GroupInbox::default(),
            groups: Mutex::default(),
            gateway: Gateway::new(handle, Arc::clone(&notify)),
            notify,
        }
    }

    /// Joins a group on an interface; returns its number, from 1.
    pub fn join(&self, group: Group) -> Result<u32, NetError> {
        self.check_allowed()?;
        let mut groups = self.groups.lock();
        if groups.joined.len() >= GROUPS {
            let source = std::io::Error::other("too many groups");
            return Err(NetError::Listen { address: group.address, source });
        }
        let socket = Arc::new(multicast::open(&self.handle, &group)?);
        groups.last += 1;
        let number = groups.last;
        let (inbox, notify) = (Arc::clone(&self.inbox), Arc::clone(&self.notify));
        let receiving = multicast::receive(Arc::clone(&socket), number, inbox, notify);
        let task = self.handle.spawn(receiving).abort_handle();
        groups.joined.insert(number, Joined { socket, group, task });
        Ok(number)
    }

    /// Leaves a group; nothing happens when that was done.
    pub fn leave(&self, group: u32) {
        self.groups.lock().joined.remove(&group);
    }

    /// Sends to a group; false when it is not joined. What cannot be sent is lost, as datagrams may be.
    pub fn send(&self, group: u32, payload: Vec<u8>) -> bool {
        let groups = self.groups.lock();
        let Some(joined) = groups.joined.get(&group) else { return false };
        let (socket, to) = (Arc::clone(&joined.socket), joined.group.address);
        self.handle.spawn(async move {
            let _ = socket.send_to(&payload, to).await;
        });
        true
    }

    /// Asks the gateway; returns the number under which the answer comes.
    pub fn map_port(&self, request: MappingRequest) -> Result<u32, NetError> {
        self.check_allowed()?;
        Ok(self.gateway.ask(request))
    }

    /// Datagrams and answers since the last call.
    pub fn drain(&self) -> (Vec<GroupDatagram>, Vec<MappingAnswer>) {
        (std::mem::take(&mut *self.inbox.lock()), self.gateway.drain())
    }

    fn check_allowed(&self) -> Result<(), NetError> {
        if self.allowed { Ok(()) } else { Err(NetError::LocalNetwork) }
    }
}

#[cfg(test)]
#[path = "local_network_test.rs"]
mod tests;
