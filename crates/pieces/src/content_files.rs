//! A torrent's files where a person keeps them: opened a few at a time, watched for changes, read ahead.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use thiserror::Error;

use crate::cache_map::{CacheMap, is_cached};
use crate::error::at_path;
use crate::hash_pass::{PieceReader, PieceSource};
use crate::will_need::will_need;
use crate::{FileChange, FileIdentity, Geometry, PiecesError};

/// Files that one thread keeps open at most; a batch reads from no more at a time.
const READER_HANDLES: usize = 32;

/// Where the files of a torrent are: one path for each entry of its list, empty for padding.
///
/// A million of them in one allocation.
#[derive(Clone, Debug, Default)]
pub struct ContentPaths {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<P: AsRef<[u8]>> FromIterator<P> for ContentPaths {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        let mut all = Self::default();
        for path in paths {
            all.bytes.extend_from_slice(path.as_ref());
            all.ends.push(all.bytes.len());
        }
        all
    }
}

impl ContentPaths {
    /// Number of paths.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The path of an entry; empty when there is none.
    pub fn get(&self, entry: usize) -> &Path {
        let end = |n: usize| self.ends.get(n).copied().unwrap_or(self.bytes.len());
        let start = entry.checked_sub(1).map_or(0, end);
        Path::new(OsStr::from_bytes(self.bytes.get(start..end(entry)).unwrap_or_default()))
    }
}

/// What is wrong with a file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileFault {
    /// Nothing is at its path.
    #[error("no such file")]
    Missing,
    /// A folder, device or the like is at its path.
    #[error("not a plain file")]
    NotAFile,
    /// It is shorter than it should be.
    #[error("only {0} bytes long")]
    Short(u64),
    /// It goes on after its end.
    #[error("{0} bytes long, that is too long")]
    Long(u64),
    /// The system refused it, in these words.
    #[error("{0}")]
    Unreadable(String),
    /// It is not the file that it was.
    #[error("changed while it was read: {0}")]
    Changed(FileChange),
}

/// Reads a torrent's files for hashing. Shared by the threads of a pass.
pub(crate) struct ContentFiles<'a> {
    geometry: &'a Geometry,
    paths: &'a ContentPaths,
    /// What each of [`Geometry::files`] was when it was first seen.
    seen: Vec<OnceLock<FileIdentity>>,
    faults: Mutex<BTreeMap<usize, FileFault>>,
    /// What to leave in memory, when the rest is to leave it again.
    cache: Option<CacheMap>,
}

impl<'a> ContentFiles<'a> {
    /// `uncached`: pages that reading brought into memory leave it behind the reading.
    pub(crate) fn new(geometry: &'a Geometry, paths: &'a ContentPaths, uncached: bool) -> Self {
        let seen = geometry.files().iter().map(|_| OnceLock::new()).collect();
        let mut files = Self { geometry, paths, seen, faults: Mutex::default(), cache: None };
        files.cache = uncached.then(|| CacheMap::look(geometry, |file| open(files.path(file)).ok()));
        files
    }

    /// Looks at every file, from now on a change is a fault. What is wrong already is kept, and returned in the end.
    pub(crate) fn survey(&self, cancelled: &AtomicBool) -> Result<(), PiecesError> {
        for (file, span) in self.geometry.files().iter().enumerate() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            let (found, fault) = look_at(self.path(file), span.length);
            if let Some(found) = found {
                self.note(file, &found)?;
            }
            if let Some(fault) = fault {
                self.fault(file, fault);
            }
        }
        Ok(())
    }

    /// The first fault of each file that has one, by number in [`Geometry::files`].
    pub(crate) fn faults(&self) -> BTreeMap<usize, FileFault> {
        self.faults.lock().clone()
    }

    /// Where a file is, by its number in [`Geometry::files`].
    pub(crate) fn path(&self, file: usize) -> &'a Path {
        self.paths.get(self.geometry.files().get(file).map_or(usize::MAX, |span| span.entry))
    }

    /// Notes what the file is now; an error when it was something else before.
    fn note(&self, file: usize, found: &Metadata) -> io::Result<()> {
        let now = FileIdentity::from(found);
        let change = self.seen.get(file).and_then(|seen| now.change_since(seen.get_or_init(|| now)));
        change.map_or(Ok(()), |change| Err(self.fault(file, FileFault::Changed(change))))
    }

    /// Keeps the first fault of a file, and makes an error of it.
    fn fault(&self, file: usize, fault: FileFault) -> io::Error {
        let error = at_path(self.path(file), &io::Error::other(fault.to_string()));
        self.faults.lock().entry(file).or_insert(fault);
        error
    }

    fn refused(&self, file: usize, error: &io::Error) -> io::Error {
        let fault = match error.kind() {
            io::ErrorKind::NotFound => FileFault::Missing,
            io::ErrorKind::UnexpectedEof => FileFault::Changed(FileChange::Resized),
            _ => FileFault::Unreadable(error.to_string()),
        };
        self.fault(file, fault)
    }
}

impl PieceSource for ContentFiles<'_> {
    fn reader(&self) -> Box<dyn PieceReader + '_> {
        Box::new(Reader { files: self, open: VecDeque::new() })
    }
}

/// Opens a plain file; never waits for the other end of a FIFO that was put in its place.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// One thread's open files, the last used at the back.
struct Reader<'a> {
    files: &'a ContentFiles<'a>,
    open: VecDeque<(usize, File)>,
}

impl Reader<'_> {
    /// Makes the file the last of the open ones.
    fn use_file(&mut self, file: usize) -> io::Result<()> {
        if let Some(at) = self.open.iter().rposition(|(n, _)| *n == file) {
            if at + 1 < self.open.len()
                && let Some(handle) = self.open.remove(at)
            {
                self.open.push_back(handle);
            }
            return Ok(());
        }
        if self.open.len() >= READER_HANDLES
            && let Some((oldest, _)) = self.open.pop_front()
        {
            self.look_again(oldest)?;
        }
        let files = self.files;
        let opened = open(files.path(file)).and_then(|handle| Ok((handle.metadata()?, handle)));
        let (found, handle) = opened.map_err(|error| files.refused(file, &error))?;
        if !found.is_file() {
            return Err(files.fault(file, FileFault::NotAFile));
        }
        files.note(file, &found)?;
        self.open.push_back((file, handle));
        Ok(())
    }

    /// Compares the file with what it was when it was opened. By its path: another file may have taken its place.
    fn look_again(&self, file: usize) -> io::Result<()> {
        let files = self.files;
        let found = std::fs::metadata(files.path(file)).map_err(|error| files.refused(file, &error))?;
        files.note(file, &found)
    }

    fn opened(&mut self, file: usize) -> io::Result<&File> {
        self.use_file(file)?;
        self.open.back().map(|(_, handle)| handle).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl PieceReader for Reader<'_> {
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let files = self.files;
        let (mut at, end) = (offset, offset + buffer.len() as u64);
        let mut rest = buffer;
        for part in files.geometry.parts(&(offset..end)) {
            let start =
                files.geometry.files().get(part.file).map_or(end, |span| span.start) + part.range.start;
            let (padding, tail) = std::mem::take(&mut rest).split_at_mut((start - at) as usize);
            padding.fill(0);
            let (head, tail) = tail.split_at_mut((part.range.end - part.range.start) as usize);
            let read = self.opened(part.file)?.read_exact_at(head, part.range.start);
            read.map_err(|error| files.refused(part.file, &error))?;
            at = start + head.len() as u64;
            rest = tail;
        }
        rest.fill(0);
        Ok(())
    }

    /// Asks the disk for what is not in memory yet. What goes wrong here is met again when the range is read.
    fn will_read(&mut self, range: &Range<u64>) {
        let files = self.files;
        for part in files.geometry.parts(range) {
            let Ok(handle) = self.opened(part.file) else { continue };
            if !is_cached(handle, &part.range) {
                will_need(handle, part.range);
            }
        }
    }

    fn has_read(&mut self, range: &Range<u64>) {
        let files = self.files;
        let Some(cache) = &files.cache else { return };
        for part in files.geometry.parts(range) {
            if let Ok(handle) = self.opened(part.file) {
                cache.forget(part.file, handle, &part.range);
            }
        }
    }

    fn close(&mut self) -> io::Result<()> {
        while let Some((file, _)) = self.open.pop_front() {
            self.look_again(file)?;
        }
        Ok(())
    }
}

/// What is at a path, and what is wrong with it for a file of `length` bytes.
fn look_at(path: &Path, length: u64) -> (Option<Metadata>, Option<FileFault>) {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => (None, Some(FileFault::NotAFile)),
        Ok(found) => {
            let fault = match found.len() {
                size if size < length => Some(FileFault::Short(size)),
                size if size > length => Some(FileFault::Long(size)),
                _ => None,
            };
            (Some(found), fault)
        }
        // A file where a folder should be leads to no file either.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            (None, Some(FileFault::Missing))
        }
        Err(error) => (None, Some(FileFault::Unreadable(error.to_string()))),
    }
}
