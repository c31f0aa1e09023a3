//! Files that a node prunes and that are kept, for JavaScript.
use crate::datadir::Datadir;
use crate::pace::HashPace;
use crate::store::{CancelFlag, flag, number};
use crate::task::Job;
use blockswarm_chain::scan::BlockIndex;
use blockswarm_pieces::{KeptFile as PiecesKeptFile, KeptFiles as Keeper, PiecesError};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use std::path::Path;
use std::sync::Arc;

/// A file that the node has deleted.
#[napi(object, object_from_js = false)]
pub struct KeptFile {
    /// Where it was.
    pub path: String,
    /// Its bytes on disk.
    pub disk_bytes: i64,
    /// It survives a restart: it is linked or copied, not only held open.
    pub survives: bool,
}

impl From<PiecesKeptFile> for KeptFile {
    fn from(PiecesKeptFile { path, bytes, survives }: PiecesKeptFile) -> Self {
        Self { path: path.to_string_lossy().into_owned(), disk_bytes: number(bytes), survives }
    }
}

/// What a round has changed.
#[napi(object, object_from_js = false)]
pub struct KeptRound {
    /// The node deleted them; they are kept.
    pub kept: Vec<KeptFile>,
    /// Let go: the budget is used up.
    pub dropped: Vec<String>,
    /// Why a file could not be copied; it is only held open.
    pub errors: Vec<String>,
}

/// Keeps files of a data directory, within a budget.
#[napi]
pub struct KeptFiles {
    keeper: Arc<Keeper>,
}

#[napi]
impl KeptFiles {
    /// On a worker: holds what will be deleted next, and keeps what was deleted. After each `rescan`. Ends early when
    /// cancelled.
    #[napi(catch_unwind, ts_return_type = "Promise<KeptRound>")]
    pub fn round(
        &self,
        datadir: &Datadir,
        pace: &HashPace,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<KeptRound>> {
        let (keeper, index, pace) = (Arc::clone(&self.keeper), datadir.index(), Arc::clone(&pace.pace));
        let cancelled = flag(cancel);
        AsyncTask::new(Job::new(move || {
            keeper.hold(index.owned_files());
            let collected = keeper.collect(&pace, &cancelled);
            let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
            Ok(KeptRound {
                kept: collected.kept.into_iter().map(KeptFile::from).collect(),
                dropped: collected.dropped.into_iter().map(text).collect(),
                errors: collected.errors,
            })
        }))
    }

    /// Lets go of the links to files that the node still has: at the end.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        self.keeper.release();
    }

    /// What is kept now.
    #[napi(catch_unwind)]
    pub fn kept(&self) -> Vec<KeptFile> {
        self.keeper.kept().into_iter().map(KeptFile::from).collect()
    }
}

#[napi]
impl Datadir {
    /// Opens, on a worker, the folder in which files are kept that the node deletes; at most `budgetBytes` of them. ERR_IO,
    /// ERR_DISK_FULL.
    #[napi(catch_unwind, ts_return_type = "Promise<KeptFiles>")]
    pub fn keep_files(&self, folder: String, budget_bytes: f64) -> AsyncTask<Job<KeptFiles>> {
        let index: Arc<BlockIndex> = self.index();
        AsyncTask::new(Job::new(move || {
            // Saturates: a negative or absurd size is 0 or everything.
            #[expect(clippy::cast_sign_loss, reason = "a negative size is none")]
            let budget = budget_bytes as u64;
            let keeper = Keeper::open(Arc::clone(index.files()), Path::new(&folder), budget);
            let keeper = keeper.map_err(|error| crate::store::refused(PiecesError::from(error)))?;
            Ok(KeptFiles { keeper: Arc::new(keeper) })
        }))
    }

    /// Block files that the node has deleted.
    #[napi(catch_unwind)]
    pub fn gone_files(&self) -> u32 {
        self.index().gone_files()
    }

    /// Bytes on disk of files that the node has deleted and that are still open here.
    #[napi(catch_unwind)]
    pub fn unlinked_bytes(&self) -> i64 {
        number(self.index().files().unlinked_bytes())
    }
}
