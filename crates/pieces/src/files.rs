//! A table of files that are read, and some of them written, in place, with a bounded number of them open.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

use crate::beneath::Folder;
use crate::direct::{self, DirectWrites, write_all};
use crate::error::FileError;
use crate::watch::{Nature, Watch};
use crate::{RelativePath, SyncPolicy};

/// The number of a file in its [`Files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

impl FileId {
    /// The number itself.
    pub fn get(self) -> usize {
        self.0
    }
}

/// Files known by number, opened on first use; the least recently used handle is closed when too many are open.
///
/// A node of today has some ten thousand block files, a process often 1,024 handles: hence the bound.
/// A reader or writer keeps its own reference, so closing never takes a file away under it.
pub struct Files {
    handle_limit: usize,
    /// Sync what was written through a handle before it closes.
    syncs: bool,
    table: RwLock<Table>,
    /// Handles opened so far: the clock of the least recently used.
    opened: AtomicU64,
    /// Held while files are synced: who comes second has the first one's work done when it returns.
    syncing: Mutex<()>,
    direct: DirectWrites,
    /// Counts how often the bytes of a file of others may have become others.
    changes: AtomicU64,
}

#[derive(Default)]
struct Table {
    entries: Vec<Arc<Entry>>,
    handles: Vec<Option<Handle>>,
    open: Vec<FileId>,
}

struct Entry {
    place: Place,
    key: Option<[u8; 8]>,
    watch: Watch,
    /// Written to since it was last synced.
    dirty: AtomicBool,
    /// Its data could not be synced when a handle was closed.
    lost: AtomicBool,
    /// How often its bytes may have become others.
    changes: Arc<AtomicU64>,
}

/// How a file is opened.
enum Place {
    /// Read-only.
    Path(PathBuf),
    /// Read-only, and open for good: its path may lead nowhere any more.
    Held(Arc<File>, PathBuf),
    /// Read-only: what was kept of a file, and where that was.
    Kept { at: PathBuf, of: PathBuf },
    /// Read-write.
    Scratch(PathBuf),
    /// Never through a symbolic link; read-write or not.
    Beneath(Arc<Folder>, RelativePath, bool),
}

struct Handle {
    file: Arc<File>,
    /// The same file past the page cache, opened when it is first wanted; `None` where that cannot be.
    direct: OnceLock<Option<Arc<File>>>,
    /// Twice the number of handles opened when it was last used; odd when it was used again after them.
    used: AtomicU64,
}

/// An open file, and the XOR key to undo.
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) key: Option<[u8; 8]>,
    entry: Arc<Entry>,
}

impl OpenFile {
    /// To be asked after reading: whether the file was written to by others, so that [`Files::look`] is called for.
    pub(crate) fn is_stale(&self) -> bool {
        self.entry.watch.is_stale(&self.file)
    }
}

impl Place {
    fn open(&self) -> io::Result<Arc<File>> {
        let file = match self {
            Self::Path(path) | Self::Kept { at: path, .. } => File::open(path),
            Self::Held(file, _) => return Ok(Arc::clone(file)),
            Self::Scratch(path) => open_scratch(path, false),
            Self::Beneath(folder, name, write) => folder.file(name, *write),
        };
        file.map(Arc::new)
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Path(path) | Self::Held(_, path) | Self::Kept { of: path, .. } | Self::Scratch(path) => {
                path.clone()
            }
            Self::Beneath(folder, name, _) => folder.full_path(name),
        }
    }

    fn is_writable(&self) -> bool {
        matches!(self, Self::Scratch(_) | Self::Beneath(_, _, true))
    }
}

/// Opens a file to read and write; a pipe in the way is not waited for.
pub(crate) fn open_scratch(path: &Path, create: bool) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    File::options().read(true).write(true).create(create).truncate(false).custom_flags(flags).open(path)
}

impl Files {
    /// An empty table that keeps at most `handle_limit` files open (at least one).
    pub fn new(handle_limit: usize) -> Arc<Self> {
        Self::with_policy(handle_limit, SyncPolicy::Never, false)
    }

    /// The same for files that are written and synced as `policy` says, long runs past the page cache where `direct`.
    pub(crate) fn with_policy(handle_limit: usize, policy: SyncPolicy, direct: bool) -> Arc<Self> {
        Arc::new(Self {
            handle_limit: handle_limit.max(1),
            syncs: policy == SyncPolicy::OnFlush,
            table: RwLock::default(),
            opened: AtomicU64::new(0),
            syncing: Mutex::default(),
            direct: DirectWrites::new(direct),
            changes: AtomicU64::new(0),
        })
    }

    /// Adds a file that is only read, and whose owner may add to it meanwhile. `key` is Bitcoin Core's `xor.dat`:
    /// byte *n* of the file was XORed with byte *n* mod 8 of the key; reading through [`crate::Extents`] undoes it.
    pub fn add(&self, path: impl Into<PathBuf>, key: Option<[u8; 8]>) -> FileId {
        self.enter(Place::Path(path.into()), key.filter(|key| *key != [0; 8]), Nature::Foreign)
    }

    /// Adds a file that is read and written.
    pub(crate) fn add_scratch(&self, path: &Path) -> FileId {
        self.enter(Place::Scratch(path.to_owned()), None, Nature::Scratch)
    }

    /// Adds a file below a folder that is read and, with `write`, written.
    pub(crate) fn add_beneath(&self, folder: &Arc<Folder>, name: RelativePath, write: bool) -> FileId {
        self.enter(Place::Beneath(Arc::clone(folder), name, write), None, Nature::Own)
    }

    fn enter(&self, place: Place, key: Option<[u8; 8]>, nature: Nature) -> FileId {
        let mut table = self.table.write();
        let id = FileId(table.entries.len());
        table.entries.push(Arc::new(Entry::new(place, key, nature, Arc::default())));
        table.handles.push(None);
        id
    }

    /// Reads a file at another path from now on: what was kept of it. Its bytes count as changed: a store looks at them
    /// before it serves them. It goes on being known by its own path.
    pub fn relocate(&self, id: FileId, at: impl Into<PathBuf>) {
        if let Some(of) = self.path(id) {
            self.replace(id, Place::Kept { at: at.into(), of });
        }
    }

    /// Keeps a file open for good, also when its path leads nowhere any more; the open file. Errors as an open.
    pub fn hold(&self, id: FileId) -> io::Result<Arc<File>> {
        let open = self.open(id)?;
        let path = open.entry.place.path();
        if !matches!(open.entry.place, Place::Held(..)) {
            self.replace(id, Place::Held(Arc::clone(&open.file), path));
        }
        Ok(open.file)
    }

    fn replace(&self, id: FileId, place: Place) {
        let mut table = self.table.write();
        table.open.retain(|open| *open != id);
        if let Some(handle) = table.handles.get_mut(id.0) {
            *handle = None;
        }
        if let Some(entry) = table.entries.get_mut(id.0) {
            *entry = Arc::new(Entry::new(place, entry.key, Nature::Kept, Arc::clone(&entry.changes)));
            self.note_change(entry);
        }
    }

    /// Bytes on disk of files that are open here and have no name any more: their space comes back when they are closed.
    pub fn unlinked_bytes(&self) -> u64 {
        let table = self.table.read();
        let held = table.entries.iter().filter_map(|entry| match &entry.place {
            Place::Held(file, _) => Some(file),
            _ => None,
        });
        let open = table.handles.iter().flatten().map(|handle| &handle.file);
        let mut counted = std::collections::BTreeSet::new();
        let unlinked =
            open.chain(held).filter_map(|file| file.metadata().ok()).filter(|file| file.nlink() == 0);
        unlinked.filter(|file| counted.insert((file.dev(), file.ino()))).map(|file| file.blocks() * 512).sum()
    }

    /// Bytes in a file as it is now, whatever it was before; 0 when it cannot be opened.
    pub(crate) fn length_now(&self, id: FileId) -> u64 {
        let look = || {
            let open = self.open(id)?;
            self.look(&open)?;
            open.file.metadata().map(|metadata| metadata.len())
        };
        let again = || {
            // What it is from now on is judged by its bytes.
            self.close(id);
            self.entry(id)?.watch.forget();
            look()
        };
        look().or_else(|_| again()).unwrap_or(0)
    }

    /// Counts how often bytes of any file of others may have become others.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// [`Self::changes`] of one file.
    pub(crate) fn changes_of(&self, id: FileId) -> u64 {
        self.table.read().entries.get(id.0).map_or(0, |entry| entry.changes.load(Ordering::Acquire))
    }

    fn note_change(&self, entry: &Entry) {
        entry.changes.fetch_add(1, Ordering::AcqRel);
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Looks at an open file though it is not time for it.
    pub(crate) fn look(&self, open: &OpenFile) -> io::Result<()> {
        if open.entry.watch.look(&open.file)? {
            self.note_change(&open.entry);
        }
        Ok(())
    }

    /// Number of files known.
    pub fn count(&self) -> usize {
        self.table.read().entries.len()
    }

    /// Number of files open now.
    pub fn open_count(&self) -> usize {
        self.table.read().open.len()
    }

    /// Whether a key has to be undone in any of them.
    pub(crate) fn is_encoded(&self) -> bool {
        self.table.read().entries.iter().any(|entry| entry.key.is_some())
    }

    /// Where the file is.
    pub fn path(&self, id: FileId) -> Option<PathBuf> {
        Some(self.table.read().entries.get(id.0)?.place.path())
    }

    /// Closes all handles (they open again when needed): a pruned file gives its space back only then. Of files that
    /// others write, what is there from now on counts.
    pub fn close_handles(&self) {
        let mut table = self.table.write();
        table.open.clear();
        table.handles.iter_mut().for_each(|handle| *handle = None);
        table.entries.iter().filter(|entry| entry.watch.is_foreign()).for_each(|entry| entry.watch.forget());
    }

    /// What the files are from now on is right: they were looked at anew, or are about to be verified.
    pub fn forget_identities(&self) {
        self.close_handles();
        self.table.read().entries.iter().for_each(|entry| entry.watch.forget());
    }

    /// The handle when the file is open already and needs no look: both may wait for the disk.
    pub(crate) fn opened(&self, id: FileId) -> Option<OpenFile> {
        let table = self.table.read();
        let handle = table.handles.get(id.0)?.as_ref()?;
        let entry = table.entries.get(id.0)?;
        if entry.watch.is_due() {
            return None;
        }
        // No read-modify-write: every thread that serves comes by here.
        handle.used.store(2 * self.opened.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(OpenFile { file: Arc::clone(&handle.file), key: entry.key, entry: Arc::clone(entry) })
    }

    /// The handle, opened when needed. Fails when the file is no longer the one that it was.
    pub(crate) fn open(&self, id: FileId) -> io::Result<OpenFile> {
        if let Some(file) = self.opened(id) {
            return Ok(file);
        }
        let entry = self.entry(id)?;
        let handle = self.handle(id, &entry).and_then(|file| {
            let open = OpenFile { file, key: entry.key, entry: Arc::clone(&entry) };
            self.look(&open).map(|()| open)
        });
        match handle {
            Ok(open) => Ok(open),
            Err(error) => {
                // What is there now may be right when it is asked for again.
                self.close(id);
                Err(FileError::wrap(id, entry.place.path(), error))
            }
        }
    }

    fn entry(&self, id: FileId) -> io::Result<Arc<Entry>> {
        Ok(Arc::clone(self.table.read().entries.get(id.0).ok_or(io::ErrorKind::NotFound)?))
    }

    fn handle(&self, id: FileId, entry: &Entry) -> io::Result<Arc<File>> {
        if let Some(Some(handle)) = self.table.read().handles.get(id.0) {
            return Ok(Arc::clone(&handle.file));
        }
        let file = entry.place.open()?;
        let used = AtomicU64::new(2 * (self.opened.fetch_add(1, Ordering::Relaxed) + 1));
        let mut table = self.table.write();
        let isnt_open = matches!(table.handles.get(id.0), Some(None));
        let oldest =
            if isnt_open && table.open.len() >= self.handle_limit { table.take_oldest() } else { None };
        if isnt_open {
            table.open.push(id);
        }
        let slot = table.handles.get_mut(id.0).ok_or(io::ErrorKind::NotFound)?;
        let file = Arc::clone(&slot.get_or_insert(Handle { file, direct: OnceLock::new(), used }).file);
        drop(table);
        if let Some((entry, handle)) = oldest.filter(|_| self.syncs) {
            entry.settle(&handle.file);
        }
        Ok(file)
    }

    fn close(&self, id: FileId) {
        let mut table = self.table.write();
        table.open.retain(|open| *open != id);
        if let Some(handle) = table.handles.get_mut(id.0) {
            *handle = None;
        }
    }

    /// Writes all of `buffers` at `offset` of a file; an error names it.
    pub(crate) fn write_all_at(
        &self,
        id: FileId,
        offset: u64,
        buffers: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        let entry = self.entry(id)?;
        let file = self.open(id)?.file;
        entry.watch.writing();
        let direct = if self.direct.suits(offset, buffers) { self.direct_handle(id) } else { None };
        let written = match direct {
            Some(direct) => self.direct.write(&direct, &file, offset, buffers),
            None => write_all(&file, offset, buffers),
        };
        entry.watch.wrote();
        // Not before: a sync that ran meanwhile has not seen all of it.
        entry.dirty.store(true, Ordering::Release);
        written.map_err(|error| FileError::wrap(id, entry.place.path(), error))
    }

    /// The open file past the page cache.
    fn direct_handle(&self, id: FileId) -> Option<Arc<File>> {
        let table = self.table.read();
        let handle = table.handles.get(id.0)?.as_ref()?;
        handle.direct.get_or_init(|| direct::reopen(&handle.file)).clone()
    }

    /// Whether nothing was ever written to a range of a file of ours. False also where the file system cannot tell,
    /// and where the file cannot be opened.
    pub(crate) fn is_hole(&self, id: FileId, range: &Range<u64>) -> bool {
        let Some(file) =
            self.entry(id).ok().filter(|entry| entry.place.is_writable()).and(self.open(id).ok())
        else {
            return false;
        };
        // Moves the file's own offset, which nobody uses.
        match rustix::fs::seek(&file.file, SeekFrom::Data(range.start)) {
            Ok(data) => data >= range.end,
            Err(errno) => errno == Errno::NXIO,
        }
    }

    /// Waits until what was written is on the medium (`fdatasync`). An error names its file, whose other data are
    /// then in doubt as well; the other files are synced all the same.
    pub(crate) fn sync(&self) -> Result<(), Vec<io::Error>> {
        let _guard = self.syncing.lock();
        let entries = self.table.read().entries.clone();
        let dirty = entries.iter().enumerate().filter(|(_, entry)| entry.dirty.swap(false, Ordering::AcqRel));
        let failed: Vec<io::Error> = dirty
            .filter_map(|(n, entry)| {
                let lost = entry.lost.swap(false, Ordering::AcqRel);
                let synced = self.open(FileId(n)).and_then(|open| Ok(rustix::fs::fdatasync(&open.file)?));
                let error = if lost { Some(io::ErrorKind::Other.into()) } else { synced.err() };
                error.map(|error| match FileError::of(&error) {
                    Some(_) => error,
                    None => FileError::wrap(FileId(n), entry.place.path(), error),
                })
            })
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// The error with the file named.
    pub(crate) fn blame(&self, id: FileId, error: io::Error) -> io::Error {
        FileError::wrap(id, self.path(id).unwrap_or_default(), error)
    }
}

impl Entry {
    fn new(place: Place, key: Option<[u8; 8]>, nature: Nature, changes: Arc<AtomicU64>) -> Self {
        let (dirty, lost) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { place, key, watch: Watch::new(nature), dirty, lost, changes }
    }

    /// A handle is about to close: an error of writing back might be told to nobody afterwards.
    fn settle(&self, file: &File) {
        if self.dirty.load(Ordering::Acquire) && rustix::fs::fdatasync(file).is_err() {
            self.lost.store(true, Ordering::Release);
        }
    }
}

impl Table {
    /// Takes out the least recently used handle.
    fn take_oldest(&mut self) -> Option<(Arc<Entry>, Handle)> {
        let used = |id: &FileId| match self.handles.get(id.0) {
            Some(Some(handle)) => handle.used.load(Ordering::Relaxed),
            _ => 0,
        };
        let at = self.open.iter().enumerate().min_by_key(|(_, id)| used(id)).map(|(at, _)| at)?;
        let id = self.open.swap_remove(at);
        Some((Arc::clone(self.entries.get(id.0)?), self.handles.get_mut(id.0)?.take()?))
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
