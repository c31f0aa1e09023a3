//! What the check of a segment's blocks found out, until its undo records have been held against it.
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The inputs of each transaction but the coinbase, of the blocks of one segment, by their numbers: 20 MiB for one of today's
/// mainnet. Whoever settles the spent file behind the blocks file reads no block again. Thread-safe.
#[derive(Default)]
pub(super) struct RecentInputs(Mutex<BTreeMap<u32, Box<[u32]>>>);

impl RecentInputs {
    /// Another segment is checked next, or nobody asks any more.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    pub fn put(&self, number: u32, inputs: Vec<u32>) {
        self.0.lock().insert(number, inputs.into());
    }

    /// Gives them away.
    pub fn take(&self, number: u32) -> Option<Vec<u32>> {
        self.0.lock().remove(&number).map(Vec::from)
    }
}
