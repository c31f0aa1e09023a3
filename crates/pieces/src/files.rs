//! A table of files that are read in place, with a bounded number of them open.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::error::at_path;

/// The number of a file in its [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

impl FileId {
    /// The number itself.
    pub fn get(self) -> usize {
        self.0
    }
}

/// Files known by number, opened read-only on first use; the least recently used handle is closed when too
/// many are open.
///
/// A node of today has some ten thousand block files, a process often 1,024 handles: hence the bound.
/// A reader keeps its own reference, so closing never takes a file away under a read.
pub struct Files {
    handle_limit: usize,
    table: RwLock<Table>,
    clock: AtomicU64,
}

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    open: Vec<FileId>,
}

struct Entry {
    path: PathBuf,
    key: Option<[u8; 8]>,
    handle: Option<Handle>,
}

struct Handle {
    file: Arc<File>,
    used: AtomicU64,
}

/// A file to read from, and the XOR key to undo.
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) key: Option<[u8; 8]>,
}

impl Table {
    fn entry(&self, id: FileId) -> Option<&Entry> {
        self.entries.get(id.0)
    }

    fn handle(&self, id: FileId) -> Option<&Handle> {
        self.entry(id)?.handle.as_ref()
    }
}

impl Files {
    /// An empty table that keeps at most `handle_limit` files open (at least one).
    pub fn new(handle_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            handle_limit: handle_limit.max(1),
            table: RwLock::default(),
            clock: AtomicU64::new(0),
        })
    }

    /// Adds a file. `key` is Bitcoin Core's `xor.dat`: byte *n* of the file was XORed with byte *n* mod 8 of
    /// the key; reading through [`crate::Extents`] undoes it.
    pub fn add(&self, path: impl Into<PathBuf>, key: Option<[u8; 8]>) -> FileId {
        let mut table = self.table.write();
        let id = FileId(table.entries.len());
        let key = key.filter(|key| *key != [0; 8]);
        table.entries.push(Entry { path: path.into(), key, handle: None });
        id
    }

    /// Number of files known.
    pub fn count(&self) -> usize {
        self.table.read().entries.len()
    }

    /// Number of files open now.
    pub fn open_count(&self) -> usize {
        self.table.read().open.len()
    }

    /// Where the file is.
    pub fn path(&self, id: FileId) -> Option<PathBuf> {
        self.table.read().entry(id).map(|entry| entry.path.clone())
    }

    /// Closes all handles (they open again when needed): a pruned file gives its space back only then.
    pub fn close_handles(&self) {
        let mut table = self.table.write();
        table.open.clear();
        table.entries.iter_mut().for_each(|entry| entry.handle = None);
    }

    /// The handle when the file is open already: opening may wait for the disk.
    pub(crate) fn opened(&self, id: FileId) -> Option<OpenFile> {
        let table = self.table.read();
        let entry = table.entry(id)?;
        let handle = entry.handle.as_ref()?;
        handle.used.store(self.tick(), Ordering::Relaxed);
        Some(OpenFile { file: Arc::clone(&handle.file), key: entry.key })
    }

    /// The handle, opened when needed.
    pub(crate) fn open(&self, id: FileId) -> io::Result<OpenFile> {
        if let Some(file) = self.opened(id) {
            return Ok(file);
        }
        let path = self.path(id).ok_or(io::ErrorKind::NotFound)?;
        let file = Arc::new(File::open(&path).map_err(|error| at_path(&path, &error))?);
        let mut table = self.table.write();
        if table.handle(id).is_none() && table.open.len() >= self.handle_limit {
            Self::close_oldest(&mut table);
        }
        let Table { entries, open } = &mut *table;
        let entry = entries.get_mut(id.0).ok_or(io::ErrorKind::NotFound)?;
        let handle = entry.handle.get_or_insert_with(|| {
            open.push(id);
            Handle { file, used: AtomicU64::new(self.tick()) }
        });
        Ok(OpenFile { file: Arc::clone(&handle.file), key: entry.key })
    }

    fn close_oldest(table: &mut Table) {
        let used = |id: &FileId| table.handle(*id).map_or(0, |handle| handle.used.load(Ordering::Relaxed));
        let oldest = table.open.iter().enumerate().min_by_key(|(_, id)| used(id)).map(|(at, _)| at);
        if let Some(at) = oldest {
            let id = table.open.swap_remove(at);
            if let Some(entry) = table.entries.get_mut(id.0) {
                entry.handle = None;
            }
        }
    }

    /// The error with the file's path in front.
    pub(crate) fn blame(&self, id: FileId, error: &io::Error) -> io::Error {
        at_path(&self.path(id).unwrap_or_else(|| Path::new("?").to_owned()), error)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_most_recently_used_handles() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(2);
        let ids: Vec<FileId> = ["a", "b", "c"]
            .map(|name| {
                std::fs::write(dir.path().join(name), name).unwrap();
                files.add(dir.path().join(name), None)
            })
            .to_vec();
        files.open(ids[0]).unwrap();
        files.open(ids[1]).unwrap();
        files.open(ids[0]).unwrap();
        files.open(ids[2]).unwrap();
        assert_eq!(files.open_count(), 2);
        assert!(files.opened(ids[0]).is_some() && files.opened(ids[1]).is_none());
        files.close_handles();
        assert_eq!(files.open_count(), 0);
        assert!(files.open(ids[1]).is_ok());
    }

    #[test]
    fn a_missing_file_is_named_in_the_error() {
        let files = Files::new(1);
        let id = files.add("/nowhere/blk00000.dat", None);
        let error = files.open(id).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("blk00000.dat"));
    }
}
