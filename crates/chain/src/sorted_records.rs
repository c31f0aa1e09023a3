//! Records of any length, more than memory holds, put in order: [`SortedRuns`](crate::sorted_runs::SortedRuns) for
//! records that differ in length. Each takes its length and 4 bytes on disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;

use crate::sorted_runs::nameless_file;

/// What goes to the file at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of a record's length in the file.
const LENGTH_BYTES: usize = 4;

/// Records end to end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// Where each one ends.
    ends: Vec<usize>,
}

impl Records {
    /// Appends what `write` writes as one record.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Lets go of all records, not of their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes of all records.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn memory_bytes(&self) -> usize {
        // Sorting takes a place of two numbers for each.
        self.bytes.len() + self.ends.len() * 3 * size_of::<usize>()
    }

    fn append(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| start + end));
    }

    fn sorted(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let slice =
            |end: &usize| self.bytes.get(std::mem::replace(&mut start, *end)..*end).unwrap_or_default();
        let mut records: Vec<&[u8]> = self.ends.iter().map(slice).collect();
        records.sort_unstable();
        records
    }
}

/// Records that are pushed in any order, from any thread. At most `memory_bytes` of them are in memory, and as many
/// again for each thread that writes a run.
pub(crate) struct SortedRecords {
    file: File,
    memory_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: Records,
    /// Start and end of each run.
    runs: Vec<(u64, u64)>,
    written: u64,
}

impl SortedRecords {
    /// In `folder`, which exists.
    pub fn new(folder: &Path, name: &str, memory_bytes: usize) -> io::Result<Self> {
        Ok(Self { file: nameless_file(folder, name)?, memory_bytes, state: Mutex::default() })
    }

    /// Takes records; few enough for memory.
    pub fn push_all(&self, records: &Records) -> io::Result<()> {
        let mut state = self.state.lock();
        let is_full = state.records.memory_bytes() + records.memory_bytes() > self.memory_bytes;
        let full = if is_full { std::mem::take(&mut state.records) } else { Records::default() };
        state.records.append(records);
        drop(state);
        self.write_run(&full)
    }

    fn write_run(&self, records: &Records) -> io::Result<()> {
        let length = (records.bytes.len() + records.ends.len() * LENGTH_BYTES) as u64;
        if length == 0 {
            return Ok(());
        }
        let mut state = self.state.lock();
        let mut offset = state.written;
        state.written += length;
        state.runs.push((offset, offset + length));
        drop(state);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        for record in records.sorted() {
            chunk.extend_from_slice(&(record.len() as u32).to_le_bytes());
            chunk.extend_from_slice(record);
            if chunk.len() >= CHUNK_BYTES {
                self.file.write_all_at(&chunk, offset)?;
                offset += chunk.len() as u64;
                chunk.clear();
            }
        }
        self.file.write_all_at(&chunk, offset)
    }

    /// All records in order, read with as much memory as was allowed for taking them, and a little for each run.
    pub fn merge(self) -> io::Result<MergedRecords> {
        let rest = std::mem::take(&mut self.state.lock().records);
        self.write_run(&rest)?;
        drop(rest);
        let runs = self.state.into_inner().runs;
        let bytes_each = self.memory_bytes / runs.len().max(1);
        let run = |(offset, end)| Run { offset, end, buffer: Vec::new(), next: 0, bytes_each };
        let runs: Vec<_> = runs.into_iter().map(run).collect();
        let mut merged =
            MergedRecords { file: self.file, runs, heads: BinaryHeap::new(), record: Vec::new() };
        for n in 0..merged.runs.len() {
            merged.pull(n, Vec::new())?;
        }
        Ok(merged)
    }
}

/// The records of all runs in order.
pub(crate) struct MergedRecords {
    file: File,
    runs: Vec<Run>,
    /// The next record of each run that has one, and the run's number.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    /// The one that was given out last.
    record: Vec<u8>,
}

struct Run {
    /// What was not read yet.
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    /// In the buffer.
    next: usize,
    bytes_each: usize,
}

impl MergedRecords {
    /// The next record.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(Reverse((record, run))) = self.heads.pop() else { return Ok(None) };
        let used = std::mem::replace(&mut self.record, record);
        self.pull(run, used)?;
        Ok(Some(&self.record))
    }

    /// Puts the next record of a run among the heads, in the memory of `record`.
    fn pull(&mut self, number: usize, mut record: Vec<u8>) -> io::Result<()> {
        let Some(run) = self.runs.get_mut(number) else { return Ok(()) };
        if run.is_empty() {
            return Ok(());
        }
        run.fill(&self.file, LENGTH_BYTES)?;
        let length = run.take(LENGTH_BYTES).first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        run.fill(&self.file, length as usize)?;
        record.clear();
        record.extend_from_slice(run.take(length as usize));
        self.heads.push(Reverse((record, number)));
        Ok(())
    }
}

impl Run {
    fn is_empty(&self) -> bool {
        self.offset == self.end && self.next == self.buffer.len()
    }

    /// Sees to it that `wanted` bytes are in the buffer.
    fn fill(&mut self, file: &File, wanted: usize) -> io::Result<()> {
        if self.buffer.len() - self.next >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.next);
        self.next = 0;
        let kept = self.buffer.len();
        let length = (self.bytes_each.max(wanted) - kept).min((self.end - self.offset) as usize);
        self.buffer.resize(kept + length, 0);
        file.read_exact_at(self.buffer.get_mut(kept..).unwrap_or_default(), self.offset)?;
        self.offset += length as u64;
        Ok(())
    }

    fn take(&mut self, length: usize) -> &[u8] {
        let taken = self.buffer.get(self.next..self.next + length).unwrap_or_default();
        self.next += length;
        taken
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn records_come_out_in_order_whatever_the_memory(
            mut batches in proptest::collection::vec(proptest::collection::vec(any::<Vec<u8>>(), 0..20), 0..20),
            memory_bytes in 0..4000usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let sorted = SortedRecords::new(folder.path(), "records", memory_bytes).unwrap();
            let sorted_here = &sorted;
            std::thread::scope(|scope| {
                for batch in &batches {
                    scope.spawn(move || {
                        let mut records = Records::default();
                        for record in batch {
                            records.push(|bytes| bytes.extend_from_slice(record));
                        }
                        sorted_here.push_all(&records).unwrap();
                    });
                }
            });
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
            let mut merged = sorted.merge().unwrap();
            let mut all: Vec<Vec<u8>> = batches.drain(..).flatten().collect();
            all.sort_unstable();
            for record in &all {
                prop_assert_eq!(merged.next().unwrap(), Some(&record[..]));
            }
            prop_assert_eq!(merged.next().unwrap(), None);
        }
    }
}
