//! Which file a path led to, and whether it still does: what tells without reading that a file has not changed.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// A file as the file system knows it (`statx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes in it.
    pub size: u64,
    /// When it was last written to, nanoseconds of Unix time.
    pub modified_ns: i64,
}

/// What makes a file another one than it was. The first that applies: a later one says nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// There is no file any more.
    Missing,
    /// Another file has its path, or a file has it where there was none.
    Replaced,
    /// It is longer or shorter.
    Resized,
    /// It was written to.
    Modified,
}

/// Times of files step by the kernel's tick, on some file systems by whole seconds.
const CLOCK_STEP: Duration = Duration::from_secs(2);

impl FileIdentity {
    /// Of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// Of the file that a path leads to; `None` when there is none.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What has changed since `earlier`; `None` when the file is the same and was not written to.
    pub fn change_since(&self, earlier: &Self) -> Option<FileChange> {
        if (self.device, self.inode) != (earlier.device, earlier.inode) {
            Some(FileChange::Replaced)
        } else if self.size != earlier.size {
            Some(FileChange::Resized)
        } else if self.modified_ns != earlier.modified_ns {
            Some(FileChange::Modified)
        } else {
            None
        }
    }

    /// Whether the file was written to so lately that a further write could leave its time as it is.
    pub fn is_recent(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let quiet_since = now.saturating_sub(CLOCK_STEP).as_nanos();
        i128::from(self.modified_ns) >= quiet_since.cast_signed()
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(metadata: &Metadata) -> Self {
        // 64 bits of nanoseconds last until 2262.
        let modified_ns =
            metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.len(), modified_ns }
    }
}

impl From<&Stat> for FileIdentity {
    fn from(stat: &Stat) -> Self {
        let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let modified_ns = stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Self { device: stat.st_dev, inode: stat.st_ino, size, modified_ns }
    }
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is missing",
            Self::Replaced => "another file is in its place",
            Self::Resized => "its size has changed",
            Self::Modified => "it was written to",
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_another_one_when_it_was_replaced_resized_or_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(FileIdentity::at(&path).unwrap(), None);
        fs::write(&path, [1; 10]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let was = FileIdentity::at(&path).unwrap().unwrap();
        assert_eq!((FileIdentity::of(&file).unwrap(), was.change_since(&was)), (was, None));
        assert!(was.is_recent());

        file.set_modified(UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789)).unwrap();
        let touched = FileIdentity::of(&file).unwrap();
        assert_eq!(touched.change_since(&was), Some(FileChange::Modified));
        assert_eq!((touched.modified_ns, touched.is_recent()), (1_700_000_000_123_456_789, false));
        file.set_len(11).unwrap();
        let longer = FileIdentity::of(&file).unwrap();
        assert_eq!(longer.change_since(&was), Some(FileChange::Resized));

        // The open handle keeps the old inode from being given to the new file.
        fs::remove_file(&path).unwrap();
        fs::write(&path, [1; 10]).unwrap();
        let other = FileIdentity::at(&path).unwrap().unwrap();
        assert_eq!(other.change_since(&was), Some(FileChange::Replaced));
        assert_eq!(FileChange::Replaced.to_string(), "another file is in its place");
    }
}
