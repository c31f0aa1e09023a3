//! Torrents, links and rate classes by number, and what all of them share.

use crate::context::{Context, count};
use crate::events::TorrentFault;
use crate::limits::CloseReason;
use crate::pace::RateClass;
use crate::shared::{Command, LinkShared, StoreRef};
use blockswarm_pieces::{Budget, HotCache, Store};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Between two looks at good pieces that wait to be written.
const WRITE_TICK: Duration = Duration::from_secs(1);

pub(crate) struct Core {
    pub(crate) context: Arc<Context>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) hot: Arc<HotCache>,
    pub(crate) registry: Mutex<Registry>,
}

#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) torrents: HashMap<u32, Torrent>,
    pub(crate) links: HashMap<u32, Arc<LinkShared>>,
    pub(crate) rate_classes: HashMap<u32, Arc<RateClass>>,
    pub(crate) last_torrent: u32,
    pub(crate) last_link: u32,
    pub(crate) last_rate_class: u32,
}

#[derive(Default)]
pub(crate) struct Torrent {
    pub(crate) store: Option<Arc<StoreRef>>,
    pub(crate) links: HashSet<u32>,
}

impl Core {
    /// The store, its unfinished pieces charged to the common budget.
    pub(crate) fn charged(&self, store: Arc<Store>) -> Arc<StoreRef> {
        store.set_budget(Arc::clone(&self.budget));
        store.set_hot_cache(&self.hot);
        Arc::new(StoreRef(store))
    }

    /// Tells TypeScript when the torrent's files fail.
    pub(crate) fn heed_faults(&self, torrent: u32, store: &Arc<Store>) {
        let (outbox, weak) = (Arc::clone(&self.context.outbox), Arc::downgrade(store));
        store.on_fault(move || {
            if let Some(fault) = weak.upgrade().and_then(|store| store.fault()) {
                outbox.push_fault(TorrentFault { torrent, fault });
            }
        });
    }

    pub(crate) fn stores(&self) -> Vec<Arc<StoreRef>> {
        self.registry.lock().torrents.values().filter_map(|torrent| torrent.store.clone()).collect()
    }

    /// Writes good pieces that have waited for `age`, on workers.
    pub(crate) fn write_out(&self, age: Duration) {
        for store in self.stores().into_iter().filter(|store| store.0.has_unwritten()) {
            // What cannot be written is a fault of the store.
            self.context.handle.spawn_blocking(move || store.0.flush_older_than(age));
        }
    }

    pub(crate) fn close_all(&self, reason: &CloseReason) {
        for link in self.registry.lock().links.values() {
            link.tell(Command::Close(reason.clone()));
        }
    }

    fn forget(&self, link: &Arc<LinkShared>, reason: CloseReason) {
        let mut registry = self.registry.lock();
        registry.links.remove(&link.id);
        let torrent = link.torrent.load(Ordering::Acquire);
        if let Some(torrent) = registry.torrents.get_mut(&torrent) {
            torrent.links.remove(&link.id);
        }
        drop(registry);
        count(&self.context.counters.closed, 1);
        link.queued_blocks.store(0, Ordering::Relaxed);
        link.set_waiting(false);
        link.update(|record| record.close_reason = Some(reason));
    }
}

/// Pieces that nobody wants to write yet are written all the same: a crash of the process should cost seconds of work.
pub(crate) async fn write_out_regularly(core: Weak<Core>) {
    loop {
        tokio::time::sleep(WRITE_TICK).await;
        let Some(core) = core.upgrade() else { return };
        core.write_out(core.context.limits.write_behind_age);
    }
}

/// Takes a link out of the registry when its task ends, however it ends.
pub(crate) struct Farewell {
    core: Arc<Core>,
    link: Arc<LinkShared>,
    reason: CloseReason,
}

impl Farewell {
    pub(crate) fn new(core: &Arc<Core>, link: &Arc<LinkShared>) -> Self {
        let reason = CloseReason::Ours("internal".to_owned());
        Self { core: Arc::clone(core), link: Arc::clone(link), reason }
    }

    pub(crate) fn say(mut self, reason: CloseReason) {
        self.reason = reason;
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.core.forget(&self.link, self.reason.clone());
    }
}
