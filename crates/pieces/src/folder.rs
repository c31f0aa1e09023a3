//! A torrent's own files below a folder: found or made, each at its full length, nothing of anybody else touched.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::beneath::Folder;
use crate::error::at_path;
use crate::{
    Allocation, ContentPaths, Extents, ExtentsBuilder, Files, Geometry, PiecesError, RelativePath,
    StoreOptions,
};

/// Where a torrent's files are, below its folder.
#[derive(Clone, Debug, Default)]
pub struct FolderLayout {
    /// One path for each of [`Geometry::files`], in that order.
    pub files: Vec<RelativePath>,
    /// Files without bytes, made with the others.
    pub empty_files: Vec<RelativePath>,
    /// Numbers in [`Geometry::files`] of those that are not made when they are missing: nobody wants them.
    pub absent: HashSet<usize>,
}

impl FolderLayout {
    /// Of one path for each file that the torrent lists: relative, its components parted by slashes; padding has an
    /// empty one.
    pub fn of_entries(geometry: &Geometry, paths: &ContentPaths) -> Result<Self, PiecesError> {
        let path = |entry: usize| {
            let bytes = paths.get(entry).as_os_str().as_bytes();
            RelativePath::new(&bytes.split(|byte| *byte == b'/').map(OsStr::from_bytes).collect::<Vec<_>>())
        };
        let full: HashSet<usize> = geometry.files().iter().map(|span| span.entry).collect();
        let is_empty = |entry: &usize| !full.contains(entry) && !paths.get(*entry).as_os_str().is_empty();
        Ok(Self {
            files: geometry.files().iter().map(|span| path(span.entry)).collect::<Result<_, _>>()?,
            empty_files: (0..paths.count()).filter(is_empty).map(path).collect::<Result<_, _>>()?,
            absent: HashSet::new(),
        })
    }

    /// Does not make these, by their number in the list that the torrent gave.
    #[must_use]
    pub fn without(mut self, geometry: &Geometry, entries: &HashSet<usize>) -> Self {
        let named = geometry.files().iter().enumerate();
        self.absent = named.filter(|(_, span)| entries.contains(&span.entry)).map(|(n, _)| n).collect();
        self
    }

    /// Finds or makes everything; the torrent's bytes over the files. What this made is removed when it fails.
    pub(crate) fn open(
        self,
        geometry: &Geometry,
        root: &Path,
        options: &StoreOptions,
    ) -> Result<Extents, PiecesError> {
        self.check(geometry)?;
        let folder = Arc::new(Folder::open(root, !options.read_only)?);
        if !options.read_only {
            let mut made = Made { folder: &folder, files: Vec::new() };
            self.make(geometry, options.allocation, &mut made)?;
            made.files.clear();
        }
        let table = Files::with_policy(options.open_files, options.sync, options.past_page_cache);
        let mut builder = ExtentsBuilder::new(Arc::clone(&table));
        for (span, name) in geometry.files().iter().zip(self.files) {
            builder.push_zeros(span.start - builder.length())?;
            builder.push(table.add_beneath(&folder, name, !options.read_only), 0, span.length)?;
        }
        builder.push_zeros(geometry.length() - builder.length())?;
        Ok(builder.finish())
    }

    fn check(&self, geometry: &Geometry) -> Result<(), PiecesError> {
        let (expected, got) = (geometry.files().len(), self.files.len());
        if expected != got {
            return Err(PiecesError::Paths(format!("{got} paths for {expected} files")));
        }
        let mut seen = HashSet::new();
        let twice = self.files.iter().chain(&self.empty_files).find(|name| !seen.insert(*name));
        twice.map_or(Ok(()), |name| Err(PiecesError::Paths(format!("two files at {name:?}"))))
    }

    fn make<'a>(
        &'a self,
        geometry: &Geometry,
        allocation: Allocation,
        made: &mut Made<'a>,
    ) -> Result<(), PiecesError> {
        let mut seen = HashSet::new();
        let lengths = geometry.files().iter().map(|span| span.length);
        let wanted = |(n, _): &(usize, _)| !self.absent.contains(n);
        let files = self.files.iter().zip(lengths).enumerate().filter(wanted).map(|(_, file)| file);
        let files = files.chain(self.empty_files.iter().map(|name| (name, 0)));
        for (name, length) in files {
            let path = made.folder.full_path(name);
            let file = made.open(name).map_err(|error| at_path(&path, &error))?;
            let found = file.metadata()?;
            if !found.is_file() || found.len() > length {
                return Err(PiecesError::Scratch { path, expected: length, got: found.len() });
            }
            // Two names that the file system takes for one (it ignores case, or they are links of one file) would
            // be written over each other.
            if !seen.insert((found.dev(), found.ino())) {
                return Err(PiecesError::Paths(format!("{}: one file under two names", path.display())));
            }
            allocate(&file, found.len(), length, allocation).map_err(|error| at_path(&path, &error))?;
        }
        Ok(())
    }
}

/// Files that were not there before; removed again unless they are let go.
struct Made<'a> {
    folder: &'a Folder,
    files: Vec<&'a RelativePath>,
}

impl<'a> Made<'a> {
    fn open(&mut self, name: &'a RelativePath) -> io::Result<File> {
        match self.folder.file(name, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.folder.make_file(name)?;
                self.files.push(name);
                Ok(file)
            }
            found => found,
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for name in &self.files {
            // Best effort: the reason that matters is why they are not wanted.
            let _ = self.folder.remove(name);
        }
    }
}

/// Gives a file its length, and with [`Allocation::Full`] its place on the disk.
pub(crate) fn allocate(file: &File, found: u64, length: u64, allocation: Allocation) -> io::Result<()> {
    if allocation == Allocation::Full && length > 0 {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
            // The file system has no such thing: sparse it is.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            allocated => return Ok(allocated?),
        }
    }
    if found < length { file.set_len(length) } else { Ok(()) }
}
