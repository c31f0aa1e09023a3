//! A part of a piece in memory that begins at a page: so the disk can take it from there without a copy.

use std::ops::Deref;

/// Of memory, of the page cache, and a multiple of every disk's blocks.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Bytes that grow to a bound, from a page on.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    /// Never moved: it has room for all from the start.
    memory: Vec<u8>,
    /// Bytes in front of the page.
    start: usize,
}

impl Portion {
    /// Empty, with room for `bytes`.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let mut memory: Vec<u8> = Vec::with_capacity(bytes + PAGE_BYTES);
        let start = memory.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        memory.resize(start, 0);
        Self { memory, start }
    }

    /// Whether it has no memory yet.
    pub(crate) fn is_nothing(&self) -> bool {
        self.memory.capacity() == 0
    }

    /// Whether it was made for `bytes`.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.memory.capacity() == bytes + PAGE_BYTES
    }

    pub(crate) fn clear(&mut self) {
        self.memory.truncate(self.start);
    }

    /// Zeros up to `bytes`, where nothing was put.
    pub(crate) fn fill_up(&mut self, bytes: usize) {
        self.memory.resize(self.start + bytes, 0);
    }

    /// Puts `data` at an offset, within the room. What comes in order is copied once and never cleared first.
    pub(crate) fn put(&mut self, at: usize, data: &[u8]) {
        if self.len() < at {
            self.fill_up(at);
        }
        let overlap = self.len().min(at + data.len()) - at;
        let (old, new) = data.split_at(overlap);
        let at = self.start + at;
        if let Some(slot) = self.memory.get_mut(at..at + overlap) {
            slot.copy_from_slice(old);
        }
        self.memory.extend_from_slice(new);
    }
}

impl Deref for Portion {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(self.start..).unwrap_or_default()
    }
}
