//! Torrent bytes on disk: geometry, hashes, extents over files, and the piece store.
//!
//! A torrent here is one row of bytes, `[0, length)`: files, and between them padding, cut in pieces (BEP 3,
//! BEP 47, BEP 52). The bytes lie in files of the torrent's own, in one scratch file, or in the block files of
//! a running node, where [`Extents`] finds them. No sockets, no Bitcoin: this crate is told where bytes are
//! and judges them by the torrent's hashes alone.
//!
//! Everything shared is `Send + Sync` and blocks only where it says so.

mod assembly;
mod backing;
mod bitmap;
mod error;
mod extents;
mod files;
mod geometry;
mod hasher;
mod hashes;
mod identity;
mod merkle;
mod nowait;
mod readahead;
mod resume;
pub mod sha;
mod smart_ban;
mod store;
mod verdict;

pub use assembly::{BlockWrite, Budget, OverBudget};
pub use bitmap::Bitmap;
pub use error::PiecesError;
pub use extents::{Extents, ExtentsBuilder};
pub use files::{FileId, Files};
pub use geometry::{BLOCK_BYTES, FileEntry, FilePart, FileSpan, Geometry, PieceIndex};
pub use hasher::{TorrentHasher, TorrentHashes, hash_extents};
pub use hashes::{FileHashes, PieceHashes};
pub use identity::{FileChange, FileIdentity};
pub use merkle::{layer_root, piece_root};
pub use nowait::NowRead;
pub use readahead::ReadAhead;
pub use resume::{Before, MadeHashes, PlacedFile, ResumeDb, ResumeRecord, Resumed};
pub use store::Store;
pub use verdict::{PieceOutcome, PieceVerdict};
