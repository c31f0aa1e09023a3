//! What can be wrong with a torrent's description or its files.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::FileId;

/// A torrent that cannot be described, or whose bytes cannot be reached.
///
/// Bad bytes are not an error: they are a [`crate::PieceVerdict`].
#[derive(Debug, Error)]
pub enum PiecesError {
    /// The torrent is empty, or longer than JavaScript can address.
    #[error("a torrent of {0} bytes, expected 1 to 2^53")]
    Length(u64),
    /// BEP 52 wants a power of two of at least 16 KiB, BEP 3 anything but nothing; 512 MiB is our bound.
    #[error(
        "a piece length of {0} bytes, expected at most 512 MiB, and from v2 on a power of two from 16 KiB"
    )]
    PieceLength(u32),
    /// A bitfield for so many pieces would be out of bounds.
    #[error("{0} pieces, expected fewer than 2^21")]
    PieceCount(u64),
    /// More files than anybody has.
    #[error("{0} files, expected at most 2^21")]
    FileCount(usize),
    /// BEP 52 wants every file to begin at a piece.
    #[error("file {file} begins at {offset}, inside a piece")]
    Unaligned {
        /// The file's number in the torrent's list.
        file: usize,
        /// Where it begins in the torrent.
        offset: u64,
    },
    /// Neither v1 hashes nor anything of v2 that judges a piece.
    #[error("no hashes that could judge a piece")]
    NoHashes,
    /// A list of hashes does not fit the piece count.
    #[error("{what} of {got} bytes, expected {expected}")]
    HashBytes {
        /// Which list: `pieces` or `piece layer`.
        what: &'static str,
        /// Bytes that the geometry asks for.
        expected: u64,
        /// Bytes given.
        got: usize,
    },
    /// The piece layer does not hash to the pieces root.
    #[error("the piece layer does not belong to the pieces root")]
    LayerRoot,
    /// The runs do not cover the torrent exactly.
    #[error("extents of {got} bytes for a torrent of {expected} bytes")]
    ExtentsLength {
        /// The torrent's length in bytes.
        expected: u64,
        /// The sum of the runs in bytes.
        got: u64,
    },
    /// A run lies in no known file or ends beyond 2^63.
    #[error("a run of {length} bytes at {offset} of file {file}")]
    Run {
        /// Number of the file in its table.
        file: usize,
        /// Where the run starts in the file.
        offset: u64,
        /// Bytes in the run.
        length: u64,
    },
    /// A longer file, or something that is no file, is in the way; it is never cut.
    #[error("{path}: not a file of at most {expected} bytes ({got} bytes)")]
    Scratch {
        /// The path asked for.
        path: PathBuf,
        /// The length that the torrent has for it in bytes.
        expected: u64,
        /// The length found in bytes.
        got: u64,
    },
    /// A name that could lead out of its folder, or that no file system takes.
    #[error("a path component \"{component}\": {why}")]
    Component {
        /// The component, what is not Unicode replaced.
        component: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not one path for each file, or two for one place on disk.
    #[error("{0}")]
    Paths(String),
    /// The caller's flag was raised.
    #[error("cancelled")]
    Cancelled,
    /// The operating system said no; the text names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PiecesError {
    /// The code under which TypeScript knows the error: `ERR_METAINFO` for a bad description, `ERR_DISK_FULL`,
    /// `ERR_IO`, `ERR_INTERRUPTED`.
    pub fn code(&self) -> &'static str {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Length(_)
            | Self::PieceLength(_)
            | Self::PieceCount(_)
            | Self::FileCount(_)
            | Self::Unaligned { .. }
            | Self::NoHashes
            | Self::Component { .. }
            | Self::Paths(_)
            | Self::HashBytes { .. }
            | Self::LayerRoot => "ERR_METAINFO",
            Self::Cancelled => "ERR_INTERRUPTED",
            Self::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded) => "ERR_DISK_FULL",
            Self::Io(_) | Self::ExtentsLength { .. } | Self::Run { .. } | Self::Scratch { .. } => "ERR_IO",
        }
    }
}

/// An error of the operating system and the file of a table that it came from; travels inside an `io::Error`.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct FileError {
    pub(crate) file: FileId,
    pub(crate) path: PathBuf,
    source: io::Error,
}

impl FileError {
    pub(crate) fn wrap(file: FileId, path: PathBuf, source: io::Error) -> io::Error {
        io::Error::new(source.kind(), Self { file, path, source })
    }

    /// What an error says of its file, when one is to blame.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// The same error with the path in front: the operating system's own text names no file.
pub(crate) fn at_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
