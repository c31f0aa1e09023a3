//! More rows than memory holds, put in order: sorted runs in a file without a name, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;

/// A file for reading and writing in `folder`, which exists. It is gone from the folder from the start: a kill leaves
/// nothing behind.
pub(crate) fn nameless_file(folder: &Path, name: &str) -> io::Result<File> {
    let path = folder.join(format!("{name}.{}.runs", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Rows of `N` bytes that are pushed in any order, from any thread. At most `memory_bytes` of them are in memory, and
/// as many again for each thread that writes a run; the rest takes its length on disk.
pub(crate) struct SortedRuns<const N: usize> {
    file: File,
    /// Rows that are kept until they are written as a run.
    capacity: usize,
    /// Takes away what a sorted run does not need.
    thin: fn(&mut Vec<[u8; N]>),
    state: Mutex<State<N>>,
}

struct State<const N: usize> {
    rows: Vec<[u8; N]>,
    /// Offset and rows of each run.
    runs: Vec<(u64, usize)>,
    written: u64,
}

impl<const N: usize> SortedRuns<N> {
    /// In `folder`, which exists.
    pub fn new(folder: &Path, name: &str, memory_bytes: usize) -> io::Result<Self> {
        Self::thinned(folder, name, memory_bytes, |_| {})
    }

    /// The same; `thin` is shown each run, sorted, before it is written.
    pub fn thinned(
        folder: &Path,
        name: &str,
        memory_bytes: usize,
        thin: fn(&mut Vec<[u8; N]>),
    ) -> io::Result<Self> {
        let file = nameless_file(folder, name)?;
        let capacity = (memory_bytes / N).max(1);
        let state = Mutex::new(State { rows: Vec::new(), runs: Vec::new(), written: 0 });
        Ok(Self { file, capacity, thin, state })
    }

    /// Takes a row.
    pub fn push(&self, row: [u8; N]) -> io::Result<()> {
        self.push_all(&[row])
    }

    /// Takes rows; few enough for memory.
    pub fn push_all(&self, rows: &[[u8; N]]) -> io::Result<()> {
        let mut state = self.state.lock();
        let is_full = state.rows.len() + rows.len() > self.capacity;
        let full = if is_full { std::mem::take(&mut state.rows) } else { Vec::new() };
        state.rows.extend_from_slice(rows);
        drop(state);
        self.write_run(full)
    }

    fn write_run(&self, mut rows: Vec<[u8; N]>) -> io::Result<()> {
        rows.sort_unstable();
        (self.thin)(&mut rows);
        if rows.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock();
        let offset = state.written;
        state.written += (rows.len() * N) as u64;
        state.runs.push((offset, rows.len()));
        drop(state);
        self.file.write_all_at(rows.as_flattened(), offset)
    }

    /// All rows in order, from now on read with as much memory as was allowed for taking them.
    pub fn merge(self) -> io::Result<MergedRuns<N>> {
        let rest = std::mem::take(&mut self.state.lock().rows);
        self.write_run(rest)?;
        let runs = self.state.into_inner().runs;
        let rows_each = (self.capacity / runs.len().max(1)).max(1);
        let run = |(offset, rows)| Run { offset, rows, buffer: Vec::new(), next: 0, rows_each };
        let runs: Vec<_> = runs.into_iter().map(run).collect();
        let mut merged = MergedRuns { file: self.file, runs, heads: BinaryHeap::new() };
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
            let runs = SortedRuns::<5>::new(folder.path(), "rows", memory_bytes).unwrap();
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
