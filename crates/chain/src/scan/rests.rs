//! What headers say beyond the tree: version, merkle root, time, nonce.
use super::chunks::Chunks;
use crate::encode::Hash;
use crate::header::{Header, RawHeader};

/// Version, merkle root, time, nonce.
type Rest = [u8; 44];

/// The rests of headers that no store keeps yet, 44 bytes each.
#[derive(Clone, Default)]
pub(super) struct Rests {
    /// Number of the first header that is here.
    first: u32,
    rows: Chunks<Rest>,
}

impl Rests {
    /// For the headers from `first` on.
    pub fn from(first: u32) -> Self {
        Self { first, rows: Chunks::default() }
    }

    /// Takes the next header in; one that was there before is none.
    pub fn push(&mut self, number: u32, header: &RawHeader) {
        if number == self.end() {
            let mut rest = [0; 44];
            let parts = [&header[..4], &header[36..72], &header[76..]];
            rest.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
            self.rows.push(rest);
        }
    }

    fn end(&self) -> u32 {
        self.first + self.rows.len()
    }

    /// Forgets those before `first`: a store has them.
    pub fn forget_before(&mut self, first: u32) {
        if let Some(gone) = first.checked_sub(self.first).filter(|gone| *gone <= self.rows.len()) {
            self.rows = self.rows.iter().skip(gone as usize).copied().collect();
            self.first = first;
        }
    }

    /// A header put together.
    pub fn header(&self, number: u32, prev: Hash, bits: u32) -> Option<RawHeader> {
        let rest = self.rows.get(number.checked_sub(self.first)?)?;
        let word = |at: usize| rest.get(at..).and_then(|rest| rest.first_chunk()).copied();
        let header = Header {
            version: i32::from_le_bytes(word(0)?),
            prev,
            merkle_root: *rest.get(4..)?.first_chunk()?,
            time: u32::from_le_bytes(word(36)?),
            bits,
            nonce: u32::from_le_bytes(word(40)?),
        };
        Some(header.to_bytes())
    }

    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }
}
