//! Copies of the chain for JavaScript: segment files filled from a node's files, blocks in one file.
use crate::datadir::{Datadir, refused};
use crate::hash::Progress;
use crate::store::{CancelFlag, ExtentsHandle, Store, flag, number, refused as refused_store};
use crate::task::Job;
use blockswarm_chain::scan::{BlockIndex, ScanError};
use blockswarm_pieces::PiecesError;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[napi]
impl Store {
    /// Copies, on a worker, those of the pieces `[first, end)` that are not servable from extents that hold the same
    /// torrent; each is judged before it is written. ERR_IO (also for a piece that is not right), ERR_DISK_FULL.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn fill_from(
        &self,
        extents: &ExtentsHandle,
        first: u32,
        end: u32,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<()>> {
        let (store, cancelled) = (Arc::clone(&self.store), flag(cancel));
        let extents = extents.extents.clone();
        AsyncTask::new(Job::new(move || {
            store.fill_from(&extents, first..end, &cancelled).map_err(refused_store)
        }))
    }
}

#[napi]
impl Datadir {
    /// Bytes of the records of the heights `[first, end)` of the most-work chain; null when not all are held.
    #[napi(catch_unwind)]
    pub fn records_length(&self, first: u32, end: u32) -> Option<i64> {
        self.index().records_length(first..end).map(number)
    }

    /// Writes the records of the heights `[first, end)` to a file, in order, each block checked before; what a file
    /// holds of them from its start on is checked and kept. With `stream` the path is a pipe or a device: all is
    /// written. Runs on a worker.
    ///
    /// Errors: ERR_SEGMENT_RANGE, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_IO, ERR_DISK_FULL, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn write_records(
        &self,
        first: u32,
        end: u32,
        path: String,
        stream: bool,
        progress: &Progress,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<()>> {
        let (index, cancelled, done) = (self.index(), flag(cancel), progress.shared());
        AsyncTask::new(Job::new(move || {
            let path = PathBuf::from(path);
            write(&index, first..end, &path, stream, &done, &cancelled).map_err(refused)
        }))
    }
}

fn write(
    index: &BlockIndex,
    heights: Range<u32>,
    path: &Path,
    stream: bool,
    done: &AtomicU64,
    cancelled: &AtomicBool,
) -> Result<(), ScanError> {
    let failed = |error: std::io::Error| {
        let text = format!("{}: {error}", path.display());
        ScanError::from(PiecesError::from(std::io::Error::new(error.kind(), text)))
    };
    if stream {
        let out = File::options().write(true).open(path).map_err(failed)?;
        return index.copy_blocks(heights, out, done, cancelled);
    }
    let (count, length) = index.copied_blocks(heights.clone(), path, cancelled)?;
    done.fetch_add(length, Ordering::Relaxed);
    let mut out = File::options().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    out.set_len(length).and_then(|()| out.seek(SeekFrom::End(0))).map_err(failed)?;
    let synced = out.try_clone().map_err(failed)?;
    index.copy_blocks(heights.start + count..heights.end, out, done, cancelled)?;
    synced.sync_all().map_err(failed)
}
