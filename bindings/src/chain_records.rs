//! A chain's blocks and what they spend, for whatever works on all of them.
use crate::chain::params;
use crate::datadir::{Datadir, refused};
use crate::error::coded;
use crate::store::{CancelFlag, flag};
use crate::task::Job;
use blockswarm_chain::chain_records::ChainRecords as Records;
use blockswarm_chain::headers::{HeaderChain, HeaderFault};
use blockswarm_chain::scan::{NodeRecords, ScanError, SegmentFiles, SegmentRecords};
use blockswarm_chain::segments::SegmentKind;
use blockswarm_chain::u256::U256;
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Blocks and undo records of a chain by height; its headers were judged.
#[napi]
pub struct ChainRecords {
    records: Arc<dyn Records + Send>,
}

impl ChainRecords {
    pub(crate) fn shared(&self) -> Arc<dyn Records + Send> {
        Arc::clone(&self.records)
    }
}

#[napi]
impl ChainRecords {
    /// The chain of a node's folder as it was at the last scan; judges its headers, on a worker.
    ///
    /// Errors: ERR_HEADERS, ERR_DATADIR_UNREADABLE, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<ChainRecords>")]
    pub fn of_datadir(
        datadir: &Datadir,
        now_seconds: i64,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<ChainRecords>> {
        let (index, now) = (datadir.index(), u64::try_from(now_seconds).unwrap_or(0));
        let cancelled = flag(cancel);
        AsyncTask::new(Job::new(move || {
            let records = NodeRecords::new(index, now, cancelled).map_err(refused)?.map_err(bad_header)?;
            Ok(ChainRecords { records: Arc::new(records) })
        }))
    }

    /// The chain of a folder of segment files, from segment 0 to the last one without a gap, on a worker. A spent file
    /// may be missing.
    ///
    /// Errors: ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_BLOCK_DAMAGED, ERR_SPENT_MISSING,
    /// ERR_HEADERS, ERR_INTERRUPTED.
    #[napi(catch_unwind, ts_return_type = "Promise<ChainRecords>")]
    pub fn of_segments(
        folder: String,
        network: String,
        now_seconds: i64,
        cancel: Option<&CancelFlag>,
    ) -> napi::Result<AsyncTask<Job<ChainRecords>>> {
        let (params, now) = (params(&network, None)?, u64::try_from(now_seconds).unwrap_or(0));
        let cancelled = flag(cancel);
        Ok(AsyncTask::new(Job::new(move || {
            let folder = Path::new(&folder);
            let (mut headers, mut segments) = (HeaderChain::new(params.clone()), Vec::new());
            for segment in 0.. {
                let path = |kind: SegmentKind| folder.join(kind.file_name(&params, segment));
                let (blocks, spent) = (path(SegmentKind::Blocks), path(SegmentKind::Spent));
                if !blocks.exists() {
                    break;
                }
                if cancelled.load(Ordering::Relaxed) {
                    return Err(refused(ScanError::Cancelled));
                }
                let spent = Some(&*spent).filter(|spent| spent.exists());
                let files = SegmentFiles::open(&params, segment, &blocks, spent).map_err(refused)?;
                headers.append(files.headers().as_flattened(), now).map_err(bad_header)?;
                segments.push(files);
            }
            if segments.is_empty() {
                let name = SegmentKind::Blocks.file_name(&params, 0);
                let text = format!("no {name} in {}; expected a folder of segment files", folder.display());
                return Err(coded("ERR_DATADIR_EMPTY", text));
            }
            let records = SegmentRecords::new(headers, segments).map_err(refused)?;
            Ok(ChainRecords { records: Arc::new(records) })
        })))
    }

    /// The height behind the last block held; all from genesis on are.
    #[napi(catch_unwind)]
    pub fn end_height(&self) -> u32 {
        self.records.heights().end
    }

    /// Whether the chain has less work than the floor of its network: whether it is the real one is not proven.
    #[napi(catch_unwind)]
    pub fn is_below_work_floor(&self) -> bool {
        let headers = self.records.headers();
        headers.tip_work() < U256::from_be_bytes(&headers.params().min_chain_work)
    }

    /// Hash of the block at a height, 32 bytes; null beyond the chain.
    #[napi(catch_unwind)]
    pub fn hash_at(&self, height: u32) -> Option<Buffer> {
        self.records.headers().hash_at(height).map(|hash| hash.to_vec().into())
    }

    /// The height of the block with that hash, 32 bytes; null when the chain has none.
    #[napi(catch_unwind)]
    pub fn height_of(&self, hash: &[u8]) -> Option<u32> {
        let headers = self.records.headers();
        (0..headers.len()).rev().find(|height| headers.hash_at(*height).is_some_and(|own| own == hash))
    }
}

fn bad_header(fault: HeaderFault) -> napi::Error {
    coded("ERR_HEADERS", fault)
}
