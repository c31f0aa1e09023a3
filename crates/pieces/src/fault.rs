//! What is wrong with a store's files.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::error::FileError;

/// Why pieces were lost, as far as it matters to whoever must do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No space, no quota, or a file larger than the file system takes.
    DiskFull,
    /// A file is no longer there.
    Vanished,
    /// A file is not the one that was verified: cut short, replaced, or written to by somebody else.
    Changed,
    /// The system does not let us.
    Denied,
    /// Bytes are not what their hash says, though nothing tells that the file was written to.
    Damaged,
    /// The medium, or anything else.
    Io,
    /// No file's fault: the torrent's v1 and v2 hashes contradict each other.
    Contradiction,
}

/// The first thing that went wrong with a store's files, until it is cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// The file, when one is to blame.
    pub path: Option<PathBuf>,
    /// The system's words, with the file's path.
    pub message: String,
}

impl FaultKind {
    /// The word that TypeScript knows it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::Vanished => "vanished",
            Self::Changed => "changed",
            Self::Denied => "denied",
            Self::Damaged => "damaged",
            Self::Io => "io",
            Self::Contradiction => "contradiction",
        }
    }
}

impl Fault {
    pub(crate) fn of(error: &io::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                FaultKind::DiskFull
            }
            ErrorKind::NotFound => FaultKind::Vanished,
            ErrorKind::UnexpectedEof | ErrorKind::StaleNetworkFileHandle => FaultKind::Changed,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FaultKind::Denied,
            ErrorKind::InvalidData => FaultKind::Contradiction,
            _ => FaultKind::Io,
        };
        Self { kind, path: FileError::of(error).map(|file| file.path.clone()), message: error.to_string() }
    }
}
