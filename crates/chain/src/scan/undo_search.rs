//! Which block an undo record is of, by its checksum.
use super::pairing::Candidate;
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use crate::encode::{Hash, sha256d};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;

/// CBlockUndo of a block that spends nothing.
const NOTHING_SPENT: u8 = 0;
const STEP_BYTES: usize = 1 << 20;
/// Bytes hashed at most for records that are not where they are expected: a damaged file must not cost hours.
const SEARCH_BUDGET_BYTES: u64 = 4 << 30;
/// What one try costs at least, in the same money.
const TRY_BYTES: u64 = 256;

/// The search for a record's block, and what it has cost so far.
pub(super) struct Search {
    /// Where the next block is expected among the candidates.
    pub cursor: usize,
    budget: u64,
    /// Checksums of all candidates that would spend nothing: most records of the early years are equal but for
    /// their checksum, and trying them one by one would be quadratic.
    empty: Option<HashMap<Hash, usize>>,
}

impl Default for Search {
    fn default() -> Self {
        Self { cursor: 0, budget: SEARCH_BUDGET_BYTES, empty: None }
    }
}

impl Search {
    pub fn find(
        &mut self,
        reader: &FileReader,
        record: Record,
        checksum: &Hash,
        candidates: &[Candidate],
    ) -> io::Result<Option<usize>> {
        let end = candidates.len();
        let open = |at: &usize| candidates.get(*at).is_some_and(|candidate| !candidate.paired);
        let expected = (self.cursor..end).find(open);
        if let Some(at) = expected
            && matches(reader, record, checksum, candidates.get(at))?
        {
            return Ok(Some(at));
        }
        if record.size == 1 {
            let empty = self.empty.get_or_insert_with(|| {
                let entries = candidates.iter().enumerate().rev();
                entries.map(|(at, candidate)| (sha256d([&candidate.prev, &[NOTHING_SPENT]]), at)).collect()
            });
            return Ok(empty.get(checksum).copied());
        }
        // Nearest first, on both sides.
        let centre = expected.unwrap_or(end);
        for distance in 1..=end {
            for at in [centre.checked_add(distance), centre.checked_sub(distance)].into_iter().flatten() {
                if !open(&at) {
                    continue;
                }
                let cost = u64::from(record.size).max(TRY_BYTES);
                let Some(left) = self.budget.checked_sub(cost) else { return Ok(None) };
                self.budget = left;
                if matches(reader, record, checksum, candidates.get(at))? {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }
}

fn matches(
    reader: &FileReader,
    record: Record,
    checksum: &Hash,
    candidate: Option<&Candidate>,
) -> io::Result<bool> {
    let Some(candidate) = candidate else { return Ok(false) };
    Ok(undo_checksum(reader, record, &candidate.prev)? == Some(*checksum))
}

/// SHA256d(prev || CBlockUndo), read in steps; `None` when the file was cut meanwhile.
fn undo_checksum(reader: &FileReader, record: Record, prev: &Hash) -> io::Result<Option<Hash>> {
    let mut digest = Sha256::new_with_prefix(prev);
    let mut left = record.size as usize;
    let mut offset = record.offset + HEAD_BYTES;
    let mut buffer = vec![0; left.min(STEP_BYTES)];
    while left > 0 {
        let step = buffer.get_mut(..left.min(STEP_BYTES)).unwrap_or_default();
        if !reader.fill(offset, step)? {
            return Ok(None);
        }
        digest.update(&*step);
        offset += step.len() as u64;
        left -= step.len();
    }
    Ok(Some(Sha256::digest(digest.finalize()).into()))
}
