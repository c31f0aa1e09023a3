//! Torrent bytes on disk: geometry, hashes, extents over files, and the piece store.
//!
//! A torrent here is one row of bytes, `[0, length)`: files, and between them padding, cut in pieces (BEP 3,
//! BEP 47, BEP 52). The bytes lie in files of the torrent's own, in one scratch file, or in the block files of
//! a running node, where [`Extents`] finds them. No sockets, no Bitcoin: this crate is told where bytes are
//! and judges them by the torrent's hashes alone.
//!
//! Everything shared is `Send + Sync` and blocks only where it says so.

mod assembly;
mod beneath;
mod bitmap;
mod budget;
mod cache_map;
mod check;
mod content_files;
mod direct;
mod error;
mod extents;
mod fault;
mod files;
mod folder;
mod geometry;
mod hash_pass;
mod hash_span;
mod hashes;
mod hot;
mod identity;
mod io_priority;
mod kept;
mod late_layers;
mod merkle;
mod nowait;
mod overlay;
mod pace;
mod piece_bytes;
mod portion;
mod readahead;
mod resume;
mod scatter;
pub mod sha;
mod smart_ban;
mod store;
mod torrent_hashes;
mod tree;
mod verdict;
mod watch;
mod will_need;
mod write_behind;
mod xor;

pub use assembly::BlockWrite;
pub use beneath::RelativePath;
pub use bitmap::Bitmap;
pub use budget::{Budget, OverBudget};
pub use check::{CheckReport, Damage, DamageReason, check_files};
pub use content_files::{ContentPaths, FileFault};
pub use error::PiecesError;
pub use extents::{Extents, ExtentsBuilder};
pub use fault::{Fault, FaultKind};
pub use files::{FileId, Files};
pub use folder::FolderLayout;
pub use geometry::{BLOCK_BYTES, FileEntry, FilePart, FileSpan, Geometry, PieceIndex};
pub use hash_pass::PassOptions;
pub use hash_span::{HashSpan, SPAN_HASHES};
pub use hashes::{FileHashes, PieceHashes};
pub use hot::HotCache;
pub use identity::{FileChange, FileIdentity};
pub use kept::{Collected, KeptFile, KeptFiles};
pub use merkle::{layer_root, piece_root};
pub use nowait::NowRead;
pub use pace::HashPace;
pub use resume::{
    Before, DamagedRecord, DatabaseFile, MadeHashes, PlacedFile, RecordReader, RecordWriter, ResumeDb,
    ResumeRecord, Resumed,
};
pub use store::{Allocation, HashesTaken, PiecePlace, Store, StoreOptions, SyncPolicy};
pub use torrent_hashes::{TorrentKind, hash_bytes, hash_extents, hash_extents_paced, hash_files};
pub use verdict::{PieceOutcome, PieceVerdict};
pub use will_need::will_need;
pub use xor::undo_xor;
