//! The folder itself: which files there are, their key, and reading them on several threads.
use super::error::ScanError;
use super::file::{BlockFile, Place};
use super::reader::XorKey;
use crate::params::Params;
use blockswarm_pieces::Files;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY_FILE: &str = "xor.dat";
/// More threads than this only fight for the disk.
const THREADS_LIMIT: usize = 8;

/// The folder and its key.
pub(super) struct Folder {
    path: PathBuf,
    key: XorKey,
    /// Whether there is a `xor.dat`; without one the files are plain (Core before 28).
    has_key_file: bool,
}

impl Folder {
    /// Reads the key.
    pub fn open(path: &Path) -> Result<Self, ScanError> {
        let key_path = path.join(KEY_FILE);
        let (key, has_key_file) = match fs::read(&key_path) {
            Ok(bytes) => match <XorKey>::try_from(bytes.as_slice()) {
                Ok(key) => (key, true),
                Err(_) => {
                    return Err(ScanError::XorKeyLength { path: key_path, length: bytes.len() as u64 });
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => ([0; 8], false),
            Err(error) => return Err(ScanError::unreadable(&key_path, error)),
        };
        Ok(Self { path: path.to_owned(), key, has_key_file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn key(&self) -> XorKey {
        self.key
    }

    /// The numbers of the `blk` files, in order; gaps are allowed.
    fn numbers(&self) -> Result<Vec<u32>, ScanError> {
        let unreadable = |error| ScanError::unreadable(&self.path, error);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            numbers.extend(name.to_str().and_then(block_file_number));
        }
        if numbers.is_empty() {
            return Err(ScanError::Empty { path: self.path.clone() });
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Scans all files; those of `known` that have not changed are taken over as they are, and those that a node has
    /// pruned stay. It prunes older files only: without one behind them they were lost, and so were their blocks.
    pub fn read(
        &self,
        params: &Params,
        files: &Files,
        known: &[Arc<BlockFile>],
    ) -> Result<Vec<Arc<BlockFile>>, ScanError> {
        let numbers = self.numbers()?;
        let newest = numbers.last().copied();
        let known: BTreeMap<u32, &Arc<BlockFile>> =
            known.iter().map(|file| (file.place.number, file)).collect();
        let scan = |number: u32| -> Result<Option<Arc<BlockFile>>, ScanError> {
            let known = known.get(&number);
            let place = match known {
                Some(file) if file.is_current()? => return Ok(Some(Arc::clone(file))),
                Some(file) => file.place.clone(),
                None => self.place(number, files),
            };
            let file = BlockFile::scan(place, self.key, params, newest == Some(number))?;
            Ok(file.or_else(|| known.map(|file| file.gone())).map(Arc::new))
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_LIMIT);
        let next = AtomicUsize::new(0);
        let results = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = scan(*number);
                let failed = result.is_err();
                results.lock().insert(*number, result);
                if failed {
                    // The others need not be read for an error.
                    next.store(numbers.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(numbers.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut results = results.into_inner();
        for (number, file) in known.range(..newest.unwrap_or_default()) {
            results.entry(*number).or_insert_with(|| {
                Ok(Some(if file.is_gone { Arc::clone(file) } else { Arc::new(file.gone()) }))
            });
        }
        results.into_values().filter_map(Result::transpose).collect()
    }

    fn place(&self, number: u32, files: &Files) -> Place {
        let key = Some(self.key);
        let blocks_path = self.path.join(format!("blk{number:05}.dat"));
        let undo_path = self.path.join(format!("rev{number:05}.dat"));
        let blocks_id = files.add(&blocks_path, key);
        let undo_id = files.add(&undo_path, key);
        Place { number, blocks_path, undo_path, blocks_id, undo_id }
    }

    /// Files with bytes in them, no key, and not a single block: the key was left behind when they were copied.
    pub fn refuse_missing_key(&self, files: &[Arc<BlockFile>]) -> Result<(), ScanError> {
        if self.has_key_file || files.iter().any(|file| !file.frames.is_empty()) {
            return Ok(());
        }
        match files.iter().find(|file| !file.skipped.is_empty()) {
            Some(file) => Err(ScanError::XorKeyMissing {
                path: self.path.join(KEY_FILE),
                file: file.place.blocks_path.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// `blk00012.dat` is 12. Five digits, more from 100,000 on.
fn block_file_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("blk")?.strip_suffix(".dat")?;
    let number = digits.parse().ok()?;
    (format!("{number:05}") == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::block_file_number;

    #[test]
    fn takes_the_names_that_core_gives() {
        assert_eq!(block_file_number("blk00000.dat"), Some(0));
        assert_eq!(block_file_number("blk100000.dat"), Some(100_000));
        for name in
            ["blk0.dat", "blk000001.dat", "blk+0001.dat", "rev00000.dat", "blk00000.dat.bak", "blk.dat"]
        {
            assert_eq!(block_file_number(name), None, "{name}");
        }
    }
}
