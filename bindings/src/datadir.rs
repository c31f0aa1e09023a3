//! A node's blocks folder for JavaScript: the chain that it holds, and where the files of its segments lie.
use crate::error::coded;
use crate::store::{CancelFlag, ExtentsHandle, flag};
use crate::task::Job;
use blockswarm_chain::params::Params;
use blockswarm_chain::scan::{BlockIndex, Changes, ScanError, Tip};
use blockswarm_chain::segments::{SEALING_DEPTH, SegmentKind};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;

pub fn refused(error: ScanError) -> napi::Error {
    coded(error.code(), error)
}

pub fn segment_kind(name: &str) -> napi::Result<SegmentKind> {
    SegmentKind::by_name(name)
        .ok_or_else(|| coded("ERR_NATIVE", format!("\"kind\" expected blocks or spent, got {name}")))
}

/// The last block of the chain with the most work.
#[napi(object, object_from_js = false)]
pub struct DatadirTip {
    /// Its height.
    pub height: u32,
    /// 32 bytes, internal order.
    pub hash: Buffer,
    /// Work of the chain; 32 bytes big-endian.
    pub work: Buffer,
}

/// Where a block's record (`magic | size | block`) lies in a node's files.
#[napi(object, object_from_js = false)]
pub struct BlockLocation {
    /// The `blk` file.
    pub path: String,
    /// Where the record starts.
    pub offset_bytes: i64,
    /// Bytes of the record, its head of 8 bytes included.
    pub length_bytes: i64,
}

/// A blocks folder as it was at the last scan. Read-only: nothing is ever written there.
#[napi]
pub struct Datadir {
    /// Calls take the picture of the moment; a rescan puts the next one in its place.
    shared: Arc<Shared>,
}

struct Shared {
    index: RwLock<Arc<BlockIndex>>,
    rescan: Mutex<()>,
}

/// What a rescan found.
#[napi(object, object_from_js = false)]
pub struct DatadirChanges {
    /// Blocks that were never seen before.
    pub appended: u32,
    /// Files that the node has deleted since.
    pub gone: u32,
    /// Files whose earlier blocks are not where they were: replaced, cut, or written over.
    pub replaced: u32,
    /// The end of the chain with the most work before.
    pub tip_before: Option<DatadirTip>,
    /// And now.
    pub tip: Option<DatadirTip>,
    /// Height of the last block that both chains share.
    pub fork_height: Option<u32>,
    /// Bytes read of block files.
    pub read_bytes: i64,
}

/// Scans a `blocks` folder on a worker. A custom signet (`signet-<8 hex>`) needs its challenge. With `store_path`, a file
/// in an existing folder, only what has changed since an earlier run is read; `close` lets go of it.
///
/// Errors: ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_XOR_KEY, ERR_NETWORK_MISMATCH.
#[napi(catch_unwind, ts_return_type = "Promise<Datadir>")]
pub fn scan_datadir(
    blocks_dir: String,
    network: String,
    signet_challenge: Option<&[u8]>,
    store_path: Option<String>,
) -> napi::Result<AsyncTask<Job<Datadir>>> {
    let params = Params::by_name(&network, signet_challenge).map_err(|error| coded(error.code(), error))?;
    Ok(AsyncTask::new(Job::new(move || {
        let blocks_dir = Path::new(&blocks_dir);
        let index = match &store_path {
            Some(store) => BlockIndex::scan_kept(blocks_dir, &params, Path::new(store)),
            None => BlockIndex::scan(blocks_dir, &params),
        };
        let index = index.map_err(refused)?;
        let index = RwLock::new(Arc::new(index));
        Ok(Datadir { shared: Arc::new(Shared { index, rescan: Mutex::new(()) }) })
    })))
}

#[napi]
impl Datadir {
    pub(crate) fn index(&self) -> Arc<BlockIndex> {
        Arc::clone(&self.shared.index.read())
    }

    /// Name of the network.
    #[napi(catch_unwind)]
    pub fn network(&self) -> String {
        self.index().params().name.clone()
    }

    /// The last block of the chain with the most work; null without genesis.
    #[napi(catch_unwind)]
    pub fn tip(&self) -> Option<DatadirTip> {
        self.index().tip().map(Into::into)
    }

    /// The height up to which that chain is held without a gap, from genesis on; -1 when there is none.
    #[napi(catch_unwind)]
    pub fn held_height(&self) -> i64 {
        self.index().held_height().map_or(-1, i64::from)
    }

    /// Number of segments with at least `depth` blocks (144) on top of their last.
    #[napi(catch_unwind)]
    pub fn sealed_segments(&self, depth: Option<u32>) -> u32 {
        self.index().sealed_segments(depth.unwrap_or(SEALING_DEPTH))
    }

    /// Blocks that hang on genesis but not in the chain with the most work.
    #[napi(getter, catch_unwind)]
    pub fn stale_blocks(&self) -> u32 {
        self.index().stale_blocks()
    }

    /// Blocks without a line to genesis.
    #[napi(getter, catch_unwind)]
    pub fn orphan_blocks(&self) -> u32 {
        self.index().orphans()
    }

    /// What the operator should know, one line each; at most about a hundred.
    #[napi(getter, catch_unwind)]
    pub fn warnings(&self) -> Vec<String> {
        self.index().warnings()
    }

    /// The 8 bytes that a reader of the files needs; null when they are plain.
    #[napi(catch_unwind)]
    pub fn xor_key(&self) -> Option<Buffer> {
        self.index().xor_key().map(|key| key.to_vec().into())
    }

    /// Hash of the block at `height`, 32 bytes in internal order; null above the tip.
    #[napi(catch_unwind)]
    pub fn hash_at(&self, height: u32) -> Option<Buffer> {
        self.index().hash_at(height).map(|hash| hash.to_vec().into())
    }

    /// Headers of the heights `[first, end)`, 80 bytes each. ERR_SEGMENT_RANGE.
    #[napi(catch_unwind)]
    pub fn headers(&self, first: u32, end: u32) -> napi::Result<Buffer> {
        let headers = self.index().headers(first, end);
        let headers = headers.ok_or_else(|| {
            coded("ERR_SEGMENT_RANGE", format!("heights {first} to {end}, held up to {}", self.held_height()))
        })?;
        Ok(headers.into())
    }

    /// Where the block at `height` lies; null above the tip.
    #[napi(catch_unwind)]
    pub fn location(&self, height: u32) -> Option<BlockLocation> {
        let location = self.index().location(height)?;
        Some(BlockLocation {
            path: location.path.to_string_lossy().into_owned(),
            offset_bytes: i64::try_from(location.offset).ok()?,
            length_bytes: i64::try_from(location.length).ok()?,
        })
    }

    /// Whether a segment's spent file can be expected; only `settle` knows.
    #[napi(catch_unwind)]
    pub fn has_spent(&self, segment: u32) -> bool {
        self.index().has_spent(segment)
    }

    /// Reads a segment's `blocks` or `spent` file on a worker, checks each record of it, and gives its extents: to
    /// be done before it is hashed for the first time, and for a spent file always.
    ///
    /// Errors: ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE,
    /// ERR_INTERRUPTED.
    #[napi(
        ts_args_type = "segment: number, kind: 'blocks' | 'spent', cancel?: CancelFlag | undefined | null",
        ts_return_type = "Promise<ExtentsHandle>",
        catch_unwind
    )]
    pub fn settle(
        &self,
        segment: u32,
        kind: String,
        cancel: Option<&CancelFlag>,
    ) -> napi::Result<AsyncTask<Job<ExtentsHandle>>> {
        let (index, kind, cancelled) = (self.index(), segment_kind(&kind)?, flag(cancel));
        Ok(AsyncTask::new(Job::new(move || {
            let extents = index.settle(segment, kind, &cancelled).map_err(refused)?;
            Ok(ExtentsHandle { extents })
        })))
    }

    /// Where the bytes of a segment's file lie, without a look at them. A `spent` file must have been settled since
    /// its files last changed: ERR_SPENT_MISSING. Also ERR_SEGMENT_RANGE.
    #[napi(ts_args_type = "segment: number, kind: 'blocks' | 'spent'", catch_unwind)]
    pub fn extents(&self, segment: u32, kind: String) -> napi::Result<ExtentsHandle> {
        let extents = self.index().extents(segment, segment_kind(&kind)?).map_err(refused)?;
        Ok(ExtentsHandle { extents })
    }

    /// The bytes of a segment's file that lay in files which the node has pruned: `[first, end)` pairs, one after the
    /// other, in order. Its extents still cover them. Errors as `extents`.
    #[napi(ts_args_type = "segment: number, kind: 'blocks' | 'spent'", catch_unwind)]
    pub fn gone_ranges(&self, segment: u32, kind: String) -> napi::Result<Vec<i64>> {
        let ranges = self.index().gone_ranges(segment, segment_kind(&kind)?).map_err(refused)?;
        let ends = ranges.into_iter().flat_map(|range| [range.start, range.end]);
        // No longer than what extents can hold.
        Ok(ends.filter_map(|end| i64::try_from(end).ok()).collect())
    }

    /// Where the block records of the heights `[first, end)` lie, in order. ERR_SEGMENT_RANGE.
    #[napi(catch_unwind)]
    pub fn block_extents(&self, first: u32, end: u32) -> napi::Result<ExtentsHandle> {
        Ok(ExtentsHandle { extents: self.index().block_extents(first..end).map_err(refused)? })
    }

    /// Reads what has changed since the last scan, on a worker: what files have grown by, new files, and anew those that
    /// were written over or replaced; files that the node has pruned stay known. Errors as `scanDatadir`; the picture
    /// from before stays then.
    #[napi(catch_unwind, ts_return_type = "Promise<DatadirChanges>")]
    pub fn rescan(&self) -> AsyncTask<Job<DatadirChanges>> {
        let shared = Arc::clone(&self.shared);
        AsyncTask::new(Job::new(move || {
            // One at a time, or an older picture could replace a newer one.
            let _one = shared.rescan.lock();
            let index = Arc::clone(&shared.index.read());
            let (next, changes) = index.rescan().map_err(refused)?;
            *shared.index.write() = Arc::new(next);
            Ok(changes.into())
        }))
    }

    /// Keeps what is new and lets go of the store, on a worker; a later rescan opens it again.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close(&self) -> AsyncTask<Job<()>> {
        let shared = Arc::clone(&self.shared);
        AsyncTask::new(Job::new(move || {
            let _one = shared.rescan.lock();
            let index = Arc::clone(&shared.index.read());
            index.close();
            Ok(())
        }))
    }
}

impl From<Tip> for DatadirTip {
    fn from(tip: Tip) -> Self {
        Self {
            height: tip.height,
            hash: tip.hash.to_vec().into(),
            work: tip.work.to_be_bytes().to_vec().into(),
        }
    }
}

impl From<Changes> for DatadirChanges {
    fn from(changes: Changes) -> Self {
        let Changes { appended, gone, replaced, tip_before, tip, fork_height, read_bytes } = changes;
        Self {
            appended,
            gone,
            replaced,
            tip_before: tip_before.map(Into::into),
            tip: tip.map(Into::into),
            fork_height,
            read_bytes: i64::try_from(read_bytes).unwrap_or(i64::MAX),
        }
    }
}
