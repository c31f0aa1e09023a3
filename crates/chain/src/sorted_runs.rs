//! More rows than memory holds, put in order: sorted runs in a file without a name, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Rows of `N` bytes that are pushed in any order. At most `memory_bytes` of them are in memory; the rest takes its
/// length on disk. The file is gone from its folder from the start: a kill leaves nothing behind.
pub(crate) struct SortedRuns<const N: usize> {
    file: File,
    rows: Vec<[u8; N]>,
    /// Rows that are kept until they are written as a run.
    capacity: usize,
    /// Rows of each run; one follows the other.
    runs: Vec<usize>,
    written: u64,
}

impl<const N: usize> SortedRuns<N> {
    /// In `folder`, which exists.
    pub fn new(folder: &Path, name: &str, memory_bytes: usize) -> io::Result<Self> {
        let path = folder.join(format!("{name}.{}.runs", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        let capacity = (memory_bytes / N).max(1);
        Ok(Self { file, rows: Vec::new(), capacity, runs: Vec::new(), written: 0 })
    }

    /// Takes a row.
    pub fn push(&mut self, row: [u8; N]) -> io::Result<()> {
        if self.rows.len() == self.capacity {
            self.write_run()?;
        }
        self.rows.push(row);
        Ok(())
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.rows.sort_unstable();
        self.file.write_all_at(self.rows.as_flattened(), self.written)?;
        self.written += (self.rows.len() * N) as u64;
        self.runs.push(self.rows.len());
        self.rows.clear();
        Ok(())
    }

    /// All rows in order, from now on read with as much memory as was allowed for taking them.
    pub fn merge(mut self) -> io::Result<MergedRuns<N>> {
        self.write_run()?;
        let rows_each = (self.capacity / self.runs.len()).max(1);
        drop(self.rows);
        let mut offset = 0;
        let mut merged = MergedRuns { file: self.file, runs: Vec::new(), heads: BinaryHeap::new() };
        for rows in self.runs {
            merged.runs.push(Run { offset, rows, buffer: Vec::new(), next: 0, rows_each });
            offset += (rows * N) as u64;
        }
        for n in 0..merged.runs.len() {
            merged.pull(n)?;
        }
        Ok(merged)
    }
}

/// The rows of all runs in order.
pub(crate) struct MergedRuns<const N: usize> {
    file: File,
    runs: Vec<Run<N>>,
    /// The next row of each run that has one, and the run's number.
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

struct Run<const N: usize> {
    /// Where the rows that were not read yet start.
    offset: u64,
    /// How many these are.
    rows: usize,
    buffer: Vec<[u8; N]>,
    /// In the buffer.
    next: usize,
    rows_each: usize,
}

impl<const N: usize> MergedRuns<N> {
    /// The next row.
    pub fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(Reverse((row, run))) = self.heads.pop() else { return Ok(None) };
        self.pull(run)?;
        Ok(Some(row))
    }

    /// The next row, which stays.
    pub fn peek(&self) -> Option<&[u8; N]> {
        self.heads.peek().map(|Reverse((row, _))| row)
    }

    fn pull(&mut self, number: usize) -> io::Result<()> {
        let Some(run) = self.runs.get_mut(number) else { return Ok(()) };
        if run.next == run.buffer.len() {
            let rows = run.rows.min(run.rows_each);
            run.buffer.resize(rows, [0; N]);
            self.file.read_exact_at(run.buffer.as_flattened_mut(), run.offset)?;
            run.offset += (rows * N) as u64;
            run.rows -= rows;
            run.next = 0;
        }
        if let Some(row) = run.buffer.get(run.next) {
            run.next += 1;
            self.heads.push(Reverse((*row, number)));
        }
        Ok(())
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
        fn rows_come_out_in_order_whatever_the_memory(
            mut rows in proptest::collection::vec(any::<[u8; 5]>(), 0..300),
            memory_bytes in 0..400usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut runs = SortedRuns::<5>::new(folder.path(), "rows", memory_bytes).unwrap();
            for row in &rows {
                runs.push(*row).unwrap();
            }
            prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
            let mut merged = runs.merge().unwrap();
            rows.sort_unstable();
            for row in &rows {
                prop_assert_eq!(merged.peek(), Some(row));
                prop_assert_eq!(merged.next().unwrap(), Some(*row));
            }
            prop_assert_eq!(merged.next().unwrap(), None);
        }
    }
}
