//! Which blocks of a file were checked in this run.
use std::sync::atomic::{AtomicU64, Ordering};

/// One bit for each record of a file. Thread-safe.
pub(super) struct Checked(Box<[AtomicU64]>);

impl Checked {
    /// None of so many.
    pub fn of(records: usize) -> Self {
        Self((0..records.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn has(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|bits| bits.load(Ordering::Acquire) & 1 << (index % 64) != 0)
    }

    pub fn note(&self, index: usize) {
        if let Some(bits) = self.0.get(index / 64) {
            bits.fetch_or(1 << (index % 64), Ordering::AcqRel);
        }
    }

    /// All are to be checked again.
    pub fn forget(&self) {
        self.0.iter().for_each(|bits| bits.store(0, Ordering::Release));
    }

    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
