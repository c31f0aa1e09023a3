//! Bytes that many peers want at once, in memory as they go on the wire.
//!
//! The page cache already holds what is hot; a copy beside it pays only where reading costs more than copying, which
//! is where an XOR has to be undone: 0.17 CPU seconds a GiB to read it, 0.07 to copy it. So only such stores use it.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::scatter::Scatter;

/// Bytes kept or dropped at once: what a batch of requests takes, and its neighbour.
pub(crate) const CHUNK_BYTES: u64 = 256 * 1024;

/// A bounded number of chunks, shared by many stores.
///
/// A chunk is taken in when bytes of it are read that were read not long ago: one peer that goes through a whole
/// torrent changes nothing.
pub struct HotCache {
    capacity: usize,
    stores: AtomicU64,
    state: Mutex<State>,
}

/// A chunk of a store.
type Key = (u64, u64);

#[derive(Default)]
struct State {
    chunks: HashMap<Key, Chunk>,
    /// How far into a chunk that is not here the readers have come.
    read_to: HashMap<Key, u64>,
    /// The keys of `read_to`, the oldest first.
    read_order: VecDeque<Key>,
    /// Counts reads.
    clock: u64,
}

struct Chunk {
    bytes: Arc<[u8]>,
    used: u64,
}

/// One store's part of a cache.
pub(crate) struct HotStore {
    cache: Arc<HotCache>,
    number: u64,
    /// Counts what made kept bytes doubtful.
    generation: AtomicU64,
}

/// What a cache knows of a range.
pub(crate) enum Lookup {
    /// All of it is here.
    Hit(Vec<Arc<[u8]>>),
    /// Read it from the files, and these chunks too, to be handed in.
    Miss(Vec<u64>, Generation),
}

/// When a chunk was looked for: bytes read before an invalidation are not taken after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl HotCache {
    /// At most `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        let capacity = (limit / CHUNK_BYTES) as usize;
        Arc::new(Self { capacity, stores: AtomicU64::new(0), state: Mutex::default() })
    }

    /// Bytes kept now.
    pub fn used(&self) -> u64 {
        self.state.lock().chunks.values().map(|chunk| chunk.bytes.len() as u64).sum()
    }
}

impl HotStore {
    pub(crate) fn new(cache: &Arc<HotCache>) -> Self {
        let number = cache.stores.fetch_add(1, Ordering::Relaxed);
        Self { cache: Arc::clone(cache), number, generation: AtomicU64::new(0) }
    }

    /// Looks for the chunks under a range of the torrent.
    pub(crate) fn find(&self, range: &Range<u64>) -> Lookup {
        let generation = Generation(self.generation.load(Ordering::Acquire));
        let mut state = self.cache.state.lock();
        state.clock += 1;
        let clock = state.clock;
        let (mut found, mut wanted, mut is_hit) = (Vec::new(), Vec::new(), true);
        for n in range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES) {
            let key = (self.number, n);
            if let Some(chunk) = state.chunks.get_mut(&key) {
                chunk.used = clock;
                found.push(Arc::clone(&chunk.bytes));
                continue;
            }
            is_hit = false;
            if state.is_read_again(key, range, self.cache.capacity) {
                wanted.push(n);
            }
        }
        if is_hit { Lookup::Hit(found) } else { Lookup::Miss(wanted, generation) }
    }

    /// Takes a chunk in, in the place of the one not used for longest.
    pub(crate) fn insert(&self, n: u64, bytes: Arc<[u8]>, generation: Generation) {
        let mut state = self.cache.state.lock();
        if self.generation.load(Ordering::Acquire) != generation.0 || self.cache.capacity == 0 {
            return;
        }
        while state.chunks.len() >= self.cache.capacity {
            let oldest = state.chunks.iter().min_by_key(|(_, chunk)| chunk.used).map(|(key, _)| *key);
            oldest.and_then(|key| state.chunks.remove(&key));
        }
        let used = state.clock;
        state.chunks.insert((self.number, n), Chunk { bytes, used });
    }

    /// Drops what is kept, and what is being read to be kept: the bytes may not be those of the torrent.
    pub(crate) fn clear(&self) {
        let mut state = self.cache.state.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        state.chunks.retain(|(store, _), _| *store != self.number);
    }
}

impl Drop for HotStore {
    fn drop(&mut self) {
        self.clear();
    }
}

impl State {
    /// Whether bytes of the chunk were read before; a reader that goes on behind them has read none of them.
    fn is_read_again(&mut self, key: Key, range: &Range<u64>, capacity: usize) -> bool {
        if let Some(read_to) = self.read_to.get_mut(&key) {
            let again = range.start < *read_to;
            *read_to = range.end.max(*read_to);
            return again;
        }
        // A chunk that is asked for again later than that would be dropped before it is asked for a third time.
        if self.read_order.len() >= capacity {
            self.read_order.pop_front().and_then(|oldest| self.read_to.remove(&oldest));
        }
        if capacity > 0 {
            self.read_to.insert(key, range.end);
            self.read_order.push_back(key);
        }
        false
    }
}

/// Copies a range out of the chunks that hold it.
pub(crate) fn copy(chunks: &[Arc<[u8]>], range: &Range<u64>, buffers: &mut Scatter<'_, '_>) {
    let mut skip = (range.start % CHUNK_BYTES) as usize;
    let mut missing = (range.end - range.start) as usize;
    let mut parts = Vec::new();
    for chunk in chunks {
        let mut bytes = chunk.get(std::mem::take(&mut skip)..).unwrap_or_default();
        bytes = bytes.split_at(missing.min(bytes.len())).0;
        missing -= bytes.len();
        buffers.take(bytes.len() as u64, &mut parts);
        for part in &mut parts {
            let (head, tail) = bytes.split_at(part.len().min(bytes.len()));
            part.copy_from_slice(head);
            bytes = tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;

    use proptest::prelude::*;

    use super::*;

    const BATCH: u64 = 128 * 1024;

    fn byte(at: u64) -> u8 {
        (at / 3 + at / CHUNK_BYTES) as u8
    }

    fn chunk(n: u64) -> Arc<[u8]> {
        (n * CHUNK_BYTES..(n + 1) * CHUNK_BYTES).map(byte).collect()
    }

    /// Reads as a store does; whether it was a hit.
    fn read(hot: &HotStore, range: Range<u64>) -> bool {
        match hot.find(&range) {
            Lookup::Hit(chunks) => {
                let mut buffer = vec![0; (range.end - range.start) as usize];
                copy(&chunks, &range, &mut Scatter::new(&mut [IoSliceMut::new(&mut buffer)]));
                assert!(range.map(byte).eq(buffer));
                true
            }
            Lookup::Miss(wanted, generation) => {
                for n in wanted {
                    hot.insert(n, chunk(n), generation);
                }
                false
            }
        }
    }

    fn batches(from: u64, count: u64) -> impl Iterator<Item = Range<u64>> {
        (0..count).map(move |n| from + n * BATCH..from + (n + 1) * BATCH)
    }

    #[test]
    fn one_reader_that_goes_through_changes_nothing() {
        let cache = HotCache::new(8 * CHUNK_BYTES);
        let hot = HotStore::new(&cache);
        assert!(batches(0, 100).all(|range| !read(&hot, range)));
        assert_eq!(cache.used(), 0);
    }

    #[test]
    fn what_a_second_reader_asks_for_is_there_for_the_third() {
        let cache = HotCache::new(8 * CHUNK_BYTES);
        let hot = HotStore::new(&cache);
        // In turns, the first a little ahead.
        let hits = batches(0, 40).map(|range| {
            let behind = range.start + 5..range.end + 5;
            [range.clone(), behind, range].map(|range| read(&hot, range))[2]
        });
        assert!(hits.filter(|hit| *hit).count() > 35);
        assert_eq!(cache.used(), 8 * CHUNK_BYTES);
    }

    #[test]
    fn what_is_asked_for_again_after_more_than_there_is_room_for_is_not_taken_in() {
        let cache = HotCache::new(8 * CHUNK_BYTES);
        let hot = HotStore::new(&cache);
        for _ in 0..5 {
            assert!(batches(0, 40).all(|range| !read(&hot, range)));
        }
        assert_eq!(cache.used(), 0);
    }

    #[test]
    fn bytes_that_were_read_before_they_became_doubtful_are_not_taken() {
        let cache = HotCache::new(8 * CHUNK_BYTES);
        let (hot, other) = (HotStore::new(&cache), HotStore::new(&cache));
        for store in [&hot, &other] {
            read(store, 0..9);
            read(store, 0..9);
        }
        let Lookup::Miss(_, generation) = hot.find(&(CHUNK_BYTES..CHUNK_BYTES + 9)) else { return };
        hot.clear();
        hot.insert(1, chunk(1), generation);
        assert_eq!(cache.used(), CHUNK_BYTES, "the other store keeps its own");
        assert!(!read(&hot, 0..9) && read(&other, 0..9));
        drop([hot, other]);
        assert_eq!(cache.used(), 0);
    }

    proptest! {
        #[test]
        fn any_reads_give_the_right_bytes_within_bounds(
            room in 0..5_u64,
            reads in proptest::collection::vec((0..8 * CHUNK_BYTES, 0..2 * CHUNK_BYTES, 0..2_usize), 1..60),
        ) {
            let cache = HotCache::new(room * CHUNK_BYTES + 1);
            let stores = [HotStore::new(&cache), HotStore::new(&cache)];
            for (start, length, store) in reads {
                if let Some(hot) = stores.get(store) {
                    read(hot, start..start + length);
                }
                prop_assert!(cache.used() <= room * CHUNK_BYTES);
                prop_assert!(cache.state.lock().read_to.len() as u64 <= room);
            }
        }
    }
}
