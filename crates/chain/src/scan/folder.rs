//! The folder itself: which files there are, and their key.
use super::error::ScanError;
use super::file::{BlockFile, Pair};
use super::reader::XorKey;
use blockswarm_pieces::{FileIdentity, Files};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KEY_FILE: &str = "xor.dat";

/// The folder as it was when it was looked at.
#[derive(Clone)]
pub(super) struct Folder {
    path: Arc<Path>,
    key: XorKey,
    /// Of the key's file; without one the files are plain (Core before 28).
    key_file: Option<FileIdentity>,
    /// The numbers of the `blk` files, in order; gaps are allowed.
    numbers: Arc<[u32]>,
    /// Of the folder when they were listed: another one when files were made or deleted since.
    listed: Option<FileIdentity>,
}

impl Folder {
    /// Reads the key and lists the files.
    pub fn open(path: &Path) -> Result<Self, ScanError> {
        let blank =
            Self { path: path.into(), key: [0; 8], key_file: None, numbers: Arc::default(), listed: None };
        blank.look()
    }

    /// The folder as it is now. Some system calls when nothing has changed.
    pub fn look(&self) -> Result<Self, ScanError> {
        let key_path = self.path.join(KEY_FILE);
        let unreadable = |error| ScanError::unreadable(&self.path, error);
        let listed = FileIdentity::from(&fs::metadata(&self.path).map_err(unreadable)?);
        let key_file =
            FileIdentity::at(&key_path).map_err(|error| ScanError::unreadable(&key_path, error))?;
        let key = match key_file {
            None => [0; 8],
            Some(_) if key_file == self.key_file => self.key,
            Some(_) => read_key(key_path)?,
        };
        let is_listed = self.listed == Some(listed);
        let numbers = if is_listed { Arc::clone(&self.numbers) } else { list(&self.path)?.into() };
        // A file that is made within the same tick of the clock shows at the next look.
        let listed = Some(listed).filter(|listed| !listed.is_recent());
        Ok(Self { path: Arc::clone(&self.path), key, key_file, numbers, listed })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn key(&self) -> XorKey {
        self.key
    }

    /// The numbers of the `blk` files, in order.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Enters the two files of a number.
    pub fn pair(&self, number: u32, files: &Files) -> Pair {
        let key = Some(self.key);
        let blocks_path = self.path.join(format!("blk{number:05}.dat"));
        let undo_path = self.path.join(format!("rev{number:05}.dat"));
        let blocks_id = files.add(&blocks_path, key);
        let undo_id = files.add(&undo_path, key);
        Pair { number, blocks_path, undo_path, blocks_id, undo_id }
    }

    /// Files with bytes in them, and not a single block: the key was left behind when they were copied, or it is that of
    /// another folder.
    pub fn refuse_wrong_key(&self, files: &[Arc<BlockFile>]) -> Result<(), ScanError> {
        if files.iter().any(|file| !file.frames.is_empty()) {
            return Ok(());
        }
        let Some(file) = files.iter().find(|file| !file.skipped.is_empty()) else { return Ok(()) };
        let (path, file) = (self.path.join(KEY_FILE), file.pair.blocks_path.clone());
        Err(match self.key_file {
            Some(_) => ScanError::XorKeyWrong { path, file },
            None => ScanError::XorKeyMissing { path, file },
        })
    }
}

fn read_key(path: PathBuf) -> Result<XorKey, ScanError> {
    let bytes = fs::read(&path).map_err(|error| ScanError::unreadable(&path, error))?;
    <XorKey>::try_from(bytes.as_slice())
        .map_err(|_| ScanError::XorKeyLength { path, length: bytes.len() as u64 })
}

fn list(path: &Path) -> Result<Vec<u32>, ScanError> {
    let unreadable = |error| ScanError::unreadable(path, error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        numbers.extend(name.to_str().and_then(block_file_number));
    }
    if numbers.is_empty() {
        return Err(ScanError::Empty { path: path.to_owned() });
    }
    numbers.sort_unstable();
    Ok(numbers)
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
