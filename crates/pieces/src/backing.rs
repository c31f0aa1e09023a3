//! Where a store's bytes are: its own scratch file, or files of others.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::Extents;
use crate::error::at_path;
use crate::nowait::{self, NowRead};

/// Where the bytes are. Cheap to clone: a reader keeps its own, whole through a move.
#[derive(Clone)]
pub(crate) enum Backing {
    /// Read-write, `length` bytes, at this path.
    Scratch(Arc<File>, Arc<Path>),
    Extents(Extents),
}

impl Backing {
    /// Whether pieces can be written.
    pub(crate) fn is_scratch(&self) -> bool {
        matches!(self, Self::Scratch(..))
    }

    /// Whether nothing was ever written to a range of the scratch file. False also where the file system cannot tell.
    pub(crate) fn is_hole(&self, range: &Range<u64>) -> bool {
        let Self::Scratch(file, _) = self else { return false };
        // Moves the file's own offset, which nobody uses.
        match rustix::fs::seek(file, SeekFrom::Data(range.start)) {
            Ok(data) => data >= range.end,
            Err(errno) => errno == Errno::NXIO,
        }
    }

    /// As [`Extents::read_exact_at`].
    pub(crate) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Extents(extents) => extents.read_exact_at(offset, buffer),
            Self::Scratch(file, path) => {
                file.read_exact_at(buffer, offset).map_err(|error| at_path(path, &error))
            }
        }
    }

    /// As [`Extents::read_now`].
    pub(crate) fn read_now(&self, offset: u64, buffers: &mut [IoSliceMut<'_>]) -> io::Result<NowRead> {
        match self {
            Self::Extents(extents) => extents.read_now(offset, buffers),
            Self::Scratch(file, path) => {
                let mut parts: Vec<&mut [u8]> = buffers.iter_mut().map(|buffer| &mut **buffer).collect();
                nowait::read_now(file, offset, &mut parts).map_err(|error| at_path(path, &error))
            }
        }
    }
}
