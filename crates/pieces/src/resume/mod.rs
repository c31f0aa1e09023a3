//! What an earlier run knew of bytes on disk, so that a restart does not have to hash them.
//!
//! A record is trusted as far as the files are still those that it was made of; the rest is hashed again. It says
//! only what was synced before it was written, so that a crash never makes a piece had that is not on disk.

mod codec;
mod database;
mod database_file;
mod made;
mod record;

pub use codec::{Damaged as DamagedRecord, RecordReader, RecordWriter};
pub use database::ResumeDb;
pub use database_file::DatabaseFile;
pub use made::{Before, MadeHashes};
pub use record::{PlacedFile, ResumeRecord, Resumed};
