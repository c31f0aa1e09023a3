//! Core's chain state manager. To be used in a child process only (`src/bridge/engine`): its asserts abort.
use crate::error::coded;
use crate::task::Job;
use blockswarm_chain::engine::{ChainEngine, EngineError, Fed, FrameRange, Tip};
use blockswarm_chain::params::Params;
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open datadir, locked as a node locks it.
#[napi]
pub struct Engine {
    inner: Arc<Mutex<Option<ChainEngine>>>,
    // As of the last finished task, so that asking never waits for one.
    now: Arc<Mutex<Now>>,
    // Of the feed begun last. Behind a lock, so that `stop` needs no exclusive borrow while a feed runs.
    stop: Mutex<Arc<AtomicBool>>,
}

#[derive(Clone, Copy)]
struct Now {
    tip: Tip,
    assumed_valid_height: Option<u32>,
}

/// Where the chain ends.
#[napi(object)]
pub struct EngineTip {
    /// Height of the last block of the active chain; genesis is 0.
    pub height: u32,
    /// Its hash, 32 bytes, internal order.
    pub hash: Buffer,
    /// Height of Core's assumed-valid block when the engine may skip scripts up to it; else null: all are checked.
    pub assumed_valid_height: Option<u32>,
}

/// What came of a feed.
#[napi(object)]
pub struct EngineFed {
    /// Blocks taken, known ones included.
    pub blocks: i64, // i64 becomes a number (u64 would be a bigint); files stay far below 2^53
    /// Bytes of their records.
    pub bytes: i64,
    /// Height of the tip afterwards.
    pub tip_height: u32,
    /// Hash of the tip afterwards, 32 bytes, internal order.
    pub tip_hash: Buffer,
    /// As in `EngineTip`.
    pub assumed_valid_height: Option<u32>,
    /// The block at which feeding stopped because Core refused it.
    pub rejected: Option<EngineRejected>,
    /// Whether `stop` ended it early.
    pub stopped: bool,
}

/// A block that Core refused.
#[napi(object)]
pub struct EngineRejected {
    /// Its hash, 32 bytes, internal order; null when the bytes are no block at all.
    pub hash: Option<Buffer>,
    /// File offset of its record.
    pub offset_bytes: i64,
    /// Core's kind of fault, for example `consensus` or `mutated`.
    pub kind: String,
    /// Core's reason, for example `bad-txnmrklroot, hashMerkleRoot mismatch`.
    pub reason: String,
}

#[napi]
impl Engine {
    /// Opens the folder that holds (or will hold) `blocks/` and `chainstate/`. `workerThreads` check scripts
    /// beside the feeding one, 0 to 15. A custom signet needs its challenge. Runs on a worker. Rejects with
    /// `ERR_DATADIR_LOCKED`, `ERR_ENGINE`, `ERR_NETWORK_UNKNOWN`, `ERR_DISK_FULL`, `ERR_IO`.
    #[napi(catch_unwind, ts_return_type = "Promise<Engine>")]
    pub fn open(
        datadir_net: String,
        network: String,
        worker_threads: u32,
        signet_challenge: Option<&[u8]>,
    ) -> napi::Result<AsyncTask<Job<Engine>>> {
        let params =
            Params::by_name(&network, signet_challenge).map_err(|error| coded(error.code(), error))?;
        Ok(AsyncTask::new(Job::new(move || {
            let engine =
                ChainEngine::open(&PathBuf::from(datadir_net), params, worker_threads).map_err(crossing)?;
            let tip = engine.tip().map_err(crossing)?;
            let now = Now { tip, assumed_valid_height: engine.assumed_valid_height() };
            Ok(Engine {
                inner: Arc::new(Mutex::new(Some(engine))),
                now: Arc::new(Mutex::new(now)),
                stop: Mutex::default(),
            })
        })))
    }

    /// The tip as of the last finished call.
    #[napi(catch_unwind)]
    pub fn tip(&self) -> EngineTip {
        let Now { tip, assumed_valid_height } = *self.now.lock();
        EngineTip { height: tip.height, hash: tip.hash.to_vec().into(), assumed_valid_height }
    }

    /// Whether a block (hash of 32 bytes, internal order) was handed over at some time. Throws `ERR_ENGINE` while
    /// a feed runs and after `close`.
    #[napi(catch_unwind)]
    pub fn knows(&self, hash: &[u8]) -> napi::Result<bool> {
        let Ok(hash) = <[u8; 32]>::try_from(hash) else {
            return Err(coded("ERR_NATIVE", format!("\"hash\" expected 32 bytes, got {}", hash.len())));
        };
        match self.inner.try_lock().as_deref() {
            Some(Some(engine)) => Ok(engine.knows(hash)),
            Some(None) => Err(closed()),
            None => Err(coded("ERR_ENGINE", "the engine is busy")),
        }
    }

    /// Hands over, in order, the whole block records in `[offsetBytes, offsetBytes + lengthBytes)` of a file, a
    /// last one that the range cuts excepted;
    /// `xorKey` (8 bytes) is that of Core's `blocks/xor.dat`. One at a time. Runs on a worker. A refused block
    /// is a result; rejects with `ERR_IO`, `ERR_ENGINE`, `ERR_DISK_FULL`, after the last two only `close` helps.
    #[napi(catch_unwind, ts_return_type = "Promise<EngineFed>")]
    pub fn feed(
        &self,
        path: String,
        offset_bytes: f64,
        length_bytes: f64,
        xor_key: Option<&[u8]>,
    ) -> napi::Result<AsyncTask<Job<EngineFed>>> {
        let xor_key = match xor_key.map(<[u8; 8]>::try_from) {
            None => None,
            Some(Ok(key)) => Some(key),
            Some(Err(_)) => return Err(coded("ERR_NATIVE", "\"xorKey\" expected 8 bytes")),
        };
        let offset = whole("offsetBytes", offset_bytes)?;
        let length = whole("lengthBytes", length_bytes)?;
        let range = FrameRange { path: path.into(), offset, length, xor_key };
        let stop = Arc::new(AtomicBool::new(false));
        *self.stop.lock() = Arc::clone(&stop);
        let (engine, now) = (Arc::clone(&self.inner), Arc::clone(&self.now));
        Ok(AsyncTask::new(Job::new(move || {
            let mut engine = engine.lock();
            let engine = engine.as_mut().ok_or_else(closed)?;
            let fed = engine.feed(&range, &stop).map_err(crossing)?;
            let assumed_valid_height = engine.assumed_valid_height();
            *now.lock() = Now { tip: fed.tip, assumed_valid_height };
            Ok(outcome(fed, assumed_valid_height))
        })))
    }

    /// Ends the feed that runs, after the block it is at; nothing when none runs.
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        self.stop.lock().store(true, Ordering::Relaxed);
    }

    /// Flushes to disk and frees the locks; again is fine. Waits for a running feed. Runs on a worker. Rejects
    /// with `ERR_DISK_FULL`, `ERR_ENGINE` when the flush failed.
    #[napi(catch_unwind, ts_return_type = "Promise<boolean>")]
    pub fn close(&self) -> AsyncTask<Job<bool>> {
        let engine = Arc::clone(&self.inner);
        AsyncTask::new(Job::new(move || {
            let Some(engine) = engine.lock().take() else { return Ok(false) };
            engine.close().map(|()| true).map_err(crossing)
        }))
    }
}

fn outcome(fed: Fed, assumed_valid_height: Option<u32>) -> EngineFed {
    EngineFed {
        blocks: fed.blocks.cast_signed(),
        bytes: fed.bytes.cast_signed(),
        tip_height: fed.tip.height,
        tip_hash: fed.tip.hash.to_vec().into(),
        assumed_valid_height,
        rejected: fed.rejected.map(|rejected| EngineRejected {
            hash: rejected.hash.map(|hash| hash.to_vec().into()),
            offset_bytes: rejected.offset.cast_signed(),
            kind: rejected.kind.into(),
            reason: rejected.reason,
        }),
        stopped: fed.stopped,
    }
}

fn crossing(error: EngineError) -> napi::Error {
    coded(error.code(), error)
}

fn closed() -> napi::Error {
    coded("ERR_ENGINE", "the engine is closed")
}

#[expect(clippy::cast_sign_loss, reason = "checked to be a whole number from 0 to 2^53")]
fn whole(name: &str, value: f64) -> napi::Result<u64> {
    // 2^53: the largest that JavaScript counts exactly.
    if value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value) {
        return Ok(value as u64);
    }
    Err(coded("ERR_NATIVE", format!("\"{name}\" expected a whole number of bytes, got {value}")))
}
