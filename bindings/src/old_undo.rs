//! Undo data of an old Core, for JavaScript.
use crate::datadir::{Datadir, refused};
use crate::error::coded;
use crate::hash::Progress;
use crate::store::{CancelFlag, flag, number};
use crate::task::Job;
use blockswarm_chain::params::Params;
use blockswarm_chain::scan::{UndoAge, undo_age as look};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use std::path::{Path, PathBuf};

/// What was rewritten.
#[napi(object, object_from_js = false)]
pub struct RewrittenUndo {
    /// Records in the overlay; 0: there were no old ones, and no file was made.
    pub records: u32,
    /// Coins whose height and coinbase flag were found.
    pub coins: i64,
    /// Bytes of the records.
    pub length_bytes: i64,
}

#[napi]
impl Datadir {
    /// Lets the undo records of an overlay file stand in for the node's from now on; whether there was one. A file that
    /// is missing, damaged or not ours is as good as none. ERR_DATADIR_UNREADABLE.
    #[napi(catch_unwind)]
    pub fn use_undo_overlay(&self, path: String) -> napi::Result<bool> {
        self.index().use_overlay(Path::new(&path)).map_err(refused)
    }

    /// Rewrites undo records that Core before 0.15 wrote to an overlay file, on a worker; its folder takes sorted runs
    /// meanwhile. `progress` counts heights, three times each in the end.
    ///
    /// Errors: ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_IO, ERR_DISK_FULL, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<RewrittenUndo>")]
    pub fn rewrite_old_undo(
        &self,
        path: String,
        progress: &Progress,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<RewrittenUndo>> {
        let (index, cancelled, done) = (self.index(), flag(cancel), progress.shared());
        AsyncTask::new(Job::new(move || {
            let path = PathBuf::from(path);
            let rewritten = index.rewrite_old_undo(&path, &done, &cancelled).map_err(refused)?;
            Ok(RewrittenUndo {
                records: rewritten.records,
                coins: number(rewritten.coins),
                length_bytes: number(rewritten.bytes),
            })
        }))
    }
}

/// What the first records of a `rev` file say of who wrote it, on a worker: `old` (Core before 0.15), `current` or
/// `unknown` (they spend nothing). `key`: 8 bytes of `xor.dat`. ERR_NETWORK_UNKNOWN, ERR_DATADIR_UNREADABLE.
#[napi(catch_unwind, ts_return_type = "Promise<'old' | 'current' | 'unknown'>")]
pub fn undo_age(path: String, network: String, key: Option<&[u8]>) -> napi::Result<AsyncTask<Job<String>>> {
    let params = Params::by_name(&network, None).map_err(|error| coded(error.code(), error))?;
    let key = key.and_then(|key| key.try_into().ok()).unwrap_or([0; 8]);
    Ok(AsyncTask::new(Job::new(move || {
        let age = look(Path::new(&path), key, params.magic);
        let age =
            age.map_err(|error| coded("ERR_DATADIR_UNREADABLE", format!("cannot read {path}: {error}")))?;
        Ok(match age {
            UndoAge::Old => "old",
            UndoAge::Current => "current",
            UndoAge::Unknown => "unknown",
        }
        .into())
    })))
}
