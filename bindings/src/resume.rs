//! What an earlier run knew, for JavaScript: a state folder's database, and stores and segments that use it.
use crate::datadir::{Datadir, refused, segment_kind};
use crate::error::coded;
use crate::pace::HashPace;
use crate::store::{CancelFlag, ExtentsHandle, Store, TorrentHashes, flag, number, piece_length};
use crate::task::Job;
use blockswarm_chain::scan::HashedFile;
use blockswarm_pieces::{ResumeDb as Database, Resumed as PiecesResumed};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::Path;
use std::sync::Arc;

/// A database file. No call fails: what cannot be kept is hashed again, and `warnings` says why.
#[napi]
pub struct ResumeDb {
    pub(crate) database: Arc<Database>,
}

/// What was taken over from an earlier run.
#[napi(object, object_from_js = false)]
pub struct Resumed {
    /// Pieces now servable though nobody has looked at their bytes, as a BEP 3 bitfield.
    pub trusted: Buffer,
    /// Pieces to be verified: `[first, end)` pairs, one after the other.
    pub to_check: Vec<u32>,
    /// The earlier run did not come to its end.
    pub crashed: bool,
    /// Files whose pieces are not trusted.
    pub changed_files: u32,
}

#[napi]
impl ResumeDb {
    /// Opens the file, or makes it, on a worker. One process at a time.
    #[napi(catch_unwind, ts_return_type = "Promise<ResumeDb>")]
    pub fn open(path: String) -> AsyncTask<Job<ResumeDb>> {
        AsyncTask::new(Job::new(move || Ok(Self { database: Arc::new(Database::open(Path::new(&path))) })))
    }

    /// Lets go of the file on a worker; a later call opens it again.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close(&self) -> AsyncTask<Job<()>> {
        let database = Arc::clone(&self.database);
        AsyncTask::new(Job::new(move || {
            database.close();
            Ok(())
        }))
    }

    /// What a person should know, since the last call.
    #[napi(catch_unwind)]
    pub fn warnings(&self) -> Vec<String> {
        self.database.warnings()
    }

    /// Drops what is known under a key (32 bytes), on a worker.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn forget(&self, key: &[u8]) -> napi::Result<AsyncTask<Job<()>>> {
        let (database, key) = (Arc::clone(&self.database), read_key(key)?);
        Ok(AsyncTask::new(Job::new(move || {
            database.forget(&key);
            Ok(())
        })))
    }
}

#[napi]
impl Store {
    /// Takes over, on a worker, what is known under a key (32 bytes), as far as the files are still the same. To be
    /// called before pieces come in.
    #[napi(catch_unwind, ts_return_type = "Promise<Resumed>")]
    pub fn resume(&self, db: &ResumeDb, key: &[u8]) -> napi::Result<AsyncTask<Job<Resumed>>> {
        let (store, database, key) = (Arc::clone(&self.store), Arc::clone(&db.database), read_key(key)?);
        Ok(AsyncTask::new(Job::new(move || Ok(store.resume(&database, &key).into()))))
    }

    /// Writes, syncs and then records on a worker what is servable. `open`: more pieces come in. Rejects with
    /// ERR_DISK_FULL, ERR_IO when files cannot be written; nothing is recorded then.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save(&self, db: &ResumeDb, key: &[u8], open: bool) -> napi::Result<AsyncTask<Job<()>>> {
        let (store, database, key) = (Arc::clone(&self.store), Arc::clone(&db.database), read_key(key)?);
        Ok(AsyncTask::new(Job::new(move || store.save(&database, &key, open).map_err(crate::store::refused))))
    }
}

/// A segment's file as it is published.
#[napi]
pub struct SegmentFile {
    pub(crate) file: HashedFile,
}

#[napi]
impl SegmentFile {
    /// Where its bytes lie.
    #[napi(catch_unwind)]
    pub fn extents(&self) -> ExtentsHandle {
        ExtentsHandle { extents: self.file.extents.clone() }
    }

    /// Its hashes.
    #[napi(catch_unwind)]
    pub fn hashes(&self) -> TorrentHashes {
        let file = self.file.clone();
        let v2 = file.hashes.v2.unwrap_or_default().into_iter().next();
        let (root, layer) = v2.map_or_else(Default::default, |v2| (v2.root, v2.layer.unwrap_or_default()));
        TorrentHashes {
            length_bytes: number(file.extents.length()),
            pieces: file.hashes.v1.unwrap_or_default().into(),
            pieces_root: root.to_vec().into(),
            piece_layer: layer.into(),
        }
    }

    /// Nobody has read the bytes in this run.
    #[napi(getter, catch_unwind)]
    pub fn is_remembered(&self) -> bool {
        self.file.is_remembered
    }
}

#[napi]
impl Datadir {
    /// Settles a segment's file and hashes it on a worker, at a pace, or takes both from the database when no file under
    /// it has changed since; some may be gone. Errors as `settle`.
    #[napi(
        ts_args_type = "segment: number, kind: 'blocks' | 'spent', pieceLengthBytes: number, db?: ResumeDb | undefined | null, pace?: HashPace | undefined | null, cancel?: CancelFlag | undefined | null",
        ts_return_type = "Promise<SegmentFile>",
        catch_unwind
    )]
    pub fn hashed(
        &self,
        segment: u32,
        kind: String,
        piece_length_bytes: i64,
        db: Option<&ResumeDb>,
        pace: Option<&HashPace>,
        cancel: Option<&CancelFlag>,
    ) -> napi::Result<AsyncTask<Job<SegmentFile>>> {
        let (index, kind, cancelled) = (self.index(), segment_kind(&kind)?, flag(cancel));
        let piece_length = piece_length(piece_length_bytes)?;
        let database = db.map(|db| Arc::clone(&db.database));
        let pace = pace.map(|pace| Arc::clone(&pace.pace));
        Ok(AsyncTask::new(Job::new(move || {
            let file =
                index.hashed(segment, kind, piece_length, database.as_deref(), pace.as_deref(), &cancelled);
            Ok(SegmentFile { file: file.map_err(refused)? })
        })))
    }
}

fn read_key(key: &[u8]) -> napi::Result<[u8; 32]> {
    key.try_into().map_err(|_| coded("ERR_NATIVE", format!("\"key\" expected 32 bytes, got {}", key.len())))
}

impl From<PiecesResumed> for Resumed {
    fn from(resumed: PiecesResumed) -> Self {
        Self {
            trusted: resumed.trusted.to_bytes().into(),
            to_check: resumed.to_check.iter().flat_map(|range| [range.start, range.end]).collect(),
            crashed: resumed.crashed,
            changed_files: resumed.changed.len() as u32,
        }
    }
}
