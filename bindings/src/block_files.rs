//! Block files of other layouts for JavaScript: segment files in a folder, btcd's files, a `bootstrap.dat`.
use crate::datadir::{refused, segment_kind};
use crate::error::coded;
use crate::resume::{ResumeDb, SegmentFile};
use crate::store::{CancelFlag, ExtentsHandle, flag, piece_length};
use crate::task::Job;
use blockswarm_chain::params::Params;
use blockswarm_chain::scan::{BlockArchive as Archive, SegmentFiles as Files};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Skipped places told one by one; the rest is counted.
const WARNINGS_LIMIT: usize = 20;

/// Where each block of btcd's files or a `bootstrap.dat` lies.
#[napi]
pub struct BlockArchive {
    archive: Arc<Archive>,
}

/// Finds the blocks of btcd's `blocks_ffldb` (`btcd`) or a `bootstrap.dat` (`bootstrap`), on a worker. ERR_DATADIR_EMPTY,
/// ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN, ERR_INTERRUPTED.
#[napi(
    ts_args_type = "kind: 'btcd' | 'bootstrap', path: string, network: string, cancel?: CancelFlag | undefined | null",
    ts_return_type = "Promise<BlockArchive>",
    catch_unwind
)]
pub fn open_block_archive(
    kind: String,
    path: String,
    network: String,
    cancel: Option<&CancelFlag>,
) -> napi::Result<AsyncTask<Job<BlockArchive>>> {
    let params = Params::by_name(&network, None).map_err(|error| coded(error.code(), error))?;
    let cancelled = flag(cancel);
    Ok(AsyncTask::new(Job::new(move || {
        let open = if kind == "btcd" { Archive::btcd } else { Archive::bootstrap };
        let archive = open(Path::new(&path), &params, &cancelled).map_err(refused)?;
        Ok(BlockArchive { archive: Arc::new(archive) })
    })))
}

#[napi]
impl BlockArchive {
    /// Number of blocks, copies included.
    #[napi(getter, catch_unwind)]
    pub fn blocks(&self) -> u32 {
        self.archive.blocks() as u32
    }

    /// Where bytes were passed over, one line each.
    #[napi(getter, catch_unwind)]
    pub fn warnings(&self) -> Vec<String> {
        let skipped = self.archive.skipped();
        let mut warnings: Vec<String> =
            skipped.iter().take(WARNINGS_LIMIT).map(ToString::to_string).collect();
        let more = skipped.len().saturating_sub(WARNINGS_LIMIT);
        if more > 0 {
            warnings.push(format!("and {more} more places where bytes were skipped"));
        }
        warnings
    }

    /// Where the records of these blocks lie, in order, unchecked; null when one is missing. `hashes`: 32 bytes each, in
    /// internal order.
    #[napi(catch_unwind)]
    pub fn extents(&self, hashes: &[u8]) -> napi::Result<Option<ExtentsHandle>> {
        let (hashes, _) = hashes.as_chunks::<32>();
        let extents = self.archive.extents(hashes).map_err(refused)?;
        Ok(extents.ok().map(|extents| ExtentsHandle { extents }))
    }
}

/// A segment's files as files of their own.
#[napi]
pub struct SegmentFiles {
    files: Arc<Files>,
}

/// Walks a segment's blocks file from head to head, on a worker: exactly its number of records. ERR_BLOCK_DAMAGED,
/// ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN.
#[napi(catch_unwind, ts_return_type = "Promise<SegmentFiles>")]
pub fn open_segment_files(
    network: String,
    segment: u32,
    blocks: String,
    spent: Option<String>,
) -> napi::Result<AsyncTask<Job<SegmentFiles>>> {
    let params = Params::by_name(&network, None).map_err(|error| coded(error.code(), error))?;
    let spent = spent.map(PathBuf::from);
    Ok(AsyncTask::new(Job::new(move || {
        let files = Files::open(&params, segment, Path::new(&blocks), spent.as_deref()).map_err(refused)?;
        Ok(SegmentFiles { files: Arc::new(files) })
    })))
}

#[napi]
impl SegmentFiles {
    /// The headers of its blocks, 80 bytes each, as the file has them.
    #[napi(catch_unwind)]
    pub fn headers(&self) -> Buffer {
        self.files.headers().as_flattened().to_vec().into()
    }

    /// Checks one of the files and hashes it on a worker, or takes its hashes from the database when it is the file that
    /// was checked before. Its headers must have been judged. ERR_BLOCK_DAMAGED, ERR_SPENT_MISSING,
    /// ERR_DATADIR_UNREADABLE, ERR_INTERRUPTED.
    #[napi(
        ts_args_type = "kind: 'blocks' | 'spent', pieceLengthBytes: number, db?: ResumeDb | undefined | null, cancel?: CancelFlag | undefined | null",
        ts_return_type = "Promise<SegmentFile>",
        catch_unwind
    )]
    pub fn hashed(
        &self,
        kind: String,
        piece_length_bytes: i64,
        db: Option<&ResumeDb>,
        cancel: Option<&CancelFlag>,
    ) -> napi::Result<AsyncTask<Job<SegmentFile>>> {
        let (files, kind, cancelled) = (Arc::clone(&self.files), segment_kind(&kind)?, flag(cancel));
        let piece_length = piece_length(piece_length_bytes)?;
        let database = db.map(|db| Arc::clone(&db.database));
        Ok(AsyncTask::new(Job::new(move || {
            let file = files.hashed(kind, piece_length, database.as_deref(), &cancelled);
            Ok(SegmentFile { file: file.map_err(refused)? })
        })))
    }
}
