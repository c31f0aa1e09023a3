//! Core's chain state manager (`bitcoinkernel`): takes blocks in order, judges them by every consensus rule, and
//! writes `blocks/` and `chainstate/` as a node does.
//!
//! Core's own asserts end the process, so this runs in a child process of its own. It flushes only by cache size,
//! about hourly, or when the manager is dropped: close and open again is the checkpoint. While it is open the
//! folder is locked as a node locks it. Every call may take long and belongs on a worker thread.
mod frames;
pub(crate) mod log;

use crate::datadir_lock::{DatadirLock, LockError};
use crate::params::{Network, Params};
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    Block, BlockHash, BlockValidationResult, ChainType, ChainstateManager, Context, ContextBuilder,
    ProcessBlockResult, ValidationMode,
};
pub use frames::FrameRange;
use frames::Frames;
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Threads beside the caller's that check scripts: Core's own limit (`MAX_SCRIPTCHECK_THREADS`).
pub const WORKER_THREADS_MAX: u32 = 15;

/// Why the engine could not do what was asked. An invalid block is not among it: that is a result.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A node or another process holds the datadir.
    #[error("`{}` is in use: a node or another process has locked it", .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A folder could not be made or locked.
    #[error("cannot prepare `{}`: {source}", .path.display())]
    Prepare {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Blocks could not be read from their file.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A range handed over holds something else than block records.
    #[error("`{}`, block record at byte {offset}: {what}", .path.display())]
    Frame {
        /// The file.
        path: PathBuf,
        /// File offset of the record.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Core could not open what is in the folder.
    #[error("Core's engine cannot open `{}`: {what}", .path.display())]
    Open {
        /// The network's folder.
        path: PathBuf,
        /// What Core said.
        what: String,
    },
    /// Core gave up: a disk that is full or fails, a database that is damaged. Only closing is possible now.
    #[error("Core's engine stopped: {what}")]
    Fatal {
        /// What Core said.
        what: String,
    },
}

impl EngineError {
    /// The error's code in TypeScript.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "ERR_DATADIR_LOCKED",
            Self::Prepare { source, .. } if source.kind() == io::ErrorKind::StorageFull => "ERR_DISK_FULL",
            Self::Prepare { .. } | Self::Read { .. } | Self::Frame { .. } => "ERR_IO",
            // `validation.cpp` FlushStateToDisk and `flatfile.cpp`; strerror(ENOSPC).
            Self::Open { what, .. } | Self::Fatal { what }
                if what.contains("Disk space is too low") || what.contains("No space left on device") =>
            {
                "ERR_DISK_FULL"
            }
            Self::Open { .. } | Self::Fatal { .. } => "ERR_ENGINE",
        }
    }
}

/// The last block of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height; genesis is 0.
    pub height: u32,
    /// Its hash, internal order.
    pub hash: [u8; 32],
}

/// A block that Core refused.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Its hash, internal order; `None` when the bytes are no block at all.
    pub hash: Option<[u8; 32]>,
    /// Offset of its record in the file.
    pub offset: u64,
    /// Core's kind: `consensus`, `cached-invalid`, `invalid-header`, `mutated`, `missing-prev`, `invalid-prev`,
    /// `time-future`, `header-low-work`, `undecodable`.
    pub kind: &'static str,
    /// Core's reason, for example `bad-txnmrklroot, hashMerkleRoot mismatch`; the kind when Core gave none.
    pub reason: String,
}

/// What came of a `feed`.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Blocks taken, those already known included.
    pub blocks: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// The chain's tip afterwards.
    pub tip: Tip,
    /// The block at which feeding stopped.
    pub rejected: Option<Rejected>,
    /// Whether it was asked to stop before the end.
    pub stopped: bool,
}

/// What Core's callbacks reported; they run on the thread that feeds.
#[derive(Default)]
struct Events {
    rejected: Mutex<Option<([u8; 32], &'static str)>>,
    fatal: Mutex<Option<String>>,
}

impl Events {
    fn set_fatal(&self, what: String) {
        let mut fatal = self.fatal.lock();
        if fatal.as_ref().is_none_or(String::is_empty) {
            *fatal = Some(what);
        }
    }
}

/// An open datadir. Dropping it flushes; `close` also says whether that went well.
pub struct ChainEngine {
    // Dropped in this order: the manager flushes under the lock.
    manager: ChainstateManager,
    _context: Context,
    _lock: DatadirLock,
    params: Params,
    events: Arc<Events>,
}

impl ChainEngine {
    /// Opens `net_dir` (the folder that holds `blocks/` and `chainstate/`), making what is missing. Blocks that
    /// are stored but not yet connected are connected now. Errors: `ERR_DATADIR_LOCKED`, `ERR_ENGINE`, `ERR_IO`,
    /// `ERR_DISK_FULL`.
    pub fn open(net_dir: &Path, params: Params, worker_threads: u32) -> Result<Self, EngineError> {
        let blocks_dir = net_dir.join("blocks");
        std::fs::create_dir_all(&blocks_dir)
            .map_err(|source| EngineError::Prepare { path: blocks_dir.clone(), source })?;
        let lock = DatadirLock::acquire(net_dir, &blocks_dir).map_err(|error| match error {
            LockError::Held { path } => EngineError::Locked { path },
            LockError::Io { path, source } => EngineError::Prepare { path, source },
        })?;
        log::listen();
        log::clear();
        let events = Arc::new(Events::default());
        let failed = |error: bitcoinkernel::KernelError| {
            // The fatal text first: that is where a full disk is named.
            let fatal = events.fatal.lock().clone().unwrap_or_default();
            let said: Vec<_> = [fatal, log::errors()].into_iter().filter(|text| !text.is_empty()).collect();
            let what = if said.is_empty() { error.to_string() } else { said.join("; ") };
            EngineError::Open { path: net_dir.to_path_buf(), what }
        };
        let text = |path: &Path| {
            path.to_str().map(str::to_string).ok_or_else(|| EngineError::Open {
                path: path.to_path_buf(),
                what: "the path is not UTF-8".into(),
            })
        };
        let (net_text, blocks_text) = (text(net_dir)?, text(&blocks_dir)?);
        let context = context(&params, &events).map_err(failed)?;
        let threads = worker_threads.min(WORKER_THREADS_MAX).cast_signed();
        let manager = ChainstateManager::builder(&context, &net_text, &blocks_text)
            .and_then(|builder| builder.worker_threads(threads).build())
            .map_err(failed)?;
        let engine = Self { manager, _context: context, _lock: lock, params, events };
        engine.healthy()?;
        Ok(engine)
    }

    /// The last block of the active chain.
    pub fn tip(&self) -> Result<Tip, EngineError> {
        self.healthy()?;
        let chain = self.manager.active_chain();
        let Ok(height) = u32::try_from(chain.height()) else {
            return Err(EngineError::Fatal { what: "the chain has no genesis block".into() });
        };
        Ok(Tip { height, hash: chain.tip().block_hash().to_bytes() })
    }

    /// Whether the block's header (hash in internal order) is in the engine's index. Without headers fed ahead,
    /// that means the block was handed over at some time; it may have been refused.
    pub fn knows(&self, hash: [u8; 32]) -> bool {
        self.manager.get_block_tree_entry(&BlockHash::from(hash)).is_some()
    }

    /// The height of Core's assumed-valid block when its header is in the index and the tip is below it: scripts
    /// of the blocks up to it may then be skipped (`validation.cpp` ConnectBlock), and what was fed there must be
    /// reported as assumed valid. `None`: every script of a block fed now is checked.
    pub fn assumed_valid_height(&self) -> Option<u32> {
        let (hash, _) = self.params.assume_valid?;
        let height = self.manager.get_block_tree_entry(&BlockHash::from(hash))?.height();
        (height > self.manager.active_chain().height()).then(|| height.cast_unsigned())
    }

    /// Hands the whole records of a range over, in order, and stops at the first block that Core refuses. Known
    /// blocks are fine, and a last record that the range cuts is left: `bytes` says how far it came. `stop` is looked at between blocks. Errors: `ERR_IO` for the range, `ERR_ENGINE` and `ERR_DISK_FULL`
    /// after which the engine can only be closed.
    pub fn feed(&mut self, range: &FrameRange, stop: &AtomicBool) -> Result<Fed, EngineError> {
        self.healthy()?;
        let mut frames = Frames::open(range, self.params.magic)?;
        let (mut blocks, mut bytes, mut rejected, mut stopped) = (0, 0, None, false);
        while !stopped && rejected.is_none() {
            let Some(frame) = frames.next()? else { break };
            match self.process(frame.block)? {
                None => {
                    blocks += 1;
                    bytes += frame.block.len() as u64 + 8;
                    stopped = stop.load(Ordering::Relaxed) && bytes < range.length;
                }
                Some(fault) => rejected = Some(Rejected { offset: frame.offset, ..fault }),
            }
        }
        Ok(Fed { blocks, bytes, tip: self.tip()?, rejected, stopped })
    }

    /// Flushes everything to disk, closes the databases and frees the locks.
    pub fn close(self) -> Result<(), EngineError> {
        let Self { manager, _context: context, _lock: lock, events, .. } = self;
        let before = events.fatal.lock().take();
        drop(manager);
        drop((context, lock));
        match before.or_else(|| events.fatal.lock().take()) {
            Some(what) => Err(EngineError::Fatal { what }),
            None => Ok(()),
        }
    }

    fn process(&self, bytes: &[u8]) -> Result<Option<Rejected>, EngineError> {
        let Ok(block) = Block::new(bytes) else {
            let reason = "undecodable".into();
            return Ok(Some(Rejected { hash: None, offset: 0, kind: "undecodable", reason }));
        };
        *self.events.rejected.lock() = None;
        log::clear();
        let outcome = self.manager.process_block(&block);
        self.healthy()?;
        // A block that fails only when it is connected was new and taken for the call; the callback tells.
        let fault = self.events.rejected.lock().take();
        let (hash, kind) = match (fault, outcome) {
            (Some(fault), _) => fault,
            (None, ProcessBlockResult::NewBlock | ProcessBlockResult::Duplicate) => return Ok(None),
            // Neither taken nor judged: Core failed, not the block.
            (None, ProcessBlockResult::Rejected) => return Err(EngineError::Fatal { what: log::errors() }),
        };
        let reason = log::reject_reason().unwrap_or_else(|| kind.to_string());
        Ok(Some(Rejected { hash: Some(hash), offset: 0, kind, reason }))
    }

    fn healthy(&self) -> Result<(), EngineError> {
        match &*self.events.fatal.lock() {
            Some(what) => Err(EngineError::Fatal { what: what.clone() }),
            None => Ok(()),
        }
    }
}

fn context(params: &Params, events: &Arc<Events>) -> Result<Context, bitcoinkernel::KernelError> {
    let builder = match (params.network, &params.signet_challenge) {
        (Network::Mainnet, _) => ContextBuilder::new().chain_type(ChainType::Mainnet),
        (Network::Testnet3, _) => ContextBuilder::new().chain_type(ChainType::Testnet),
        (Network::Testnet4, _) => ContextBuilder::new().chain_type(ChainType::Testnet4),
        (Network::Signet, Some(challenge)) if params.name != "signet" => {
            ContextBuilder::new().signet(challenge)
        }
        (Network::Signet, _) => ContextBuilder::new().chain_type(ChainType::Signet),
        (Network::Regtest, _) => ContextBuilder::new().chain_type(ChainType::Regtest),
    };
    let (on_check, on_flush, on_fatal) = (Arc::clone(events), Arc::clone(events), Arc::clone(events));
    builder
        .with_block_checked_validation(
            move |block: Block, state: bitcoinkernel::BlockValidationStateRef<'_>| {
                match state.mode() {
                    ValidationMode::Valid => {}
                    ValidationMode::Invalid => {
                        *on_check.rejected.lock() = Some((block.hash().to_bytes(), kind(state.result())));
                    }
                    // A fault of the machine, not of the block; Core's fatal notification has the text.
                    ValidationMode::InternalError => on_check.set_fatal(log::errors()),
                }
            },
        )
        .with_flush_error_notification(move |what| on_flush.set_fatal(what))
        .with_fatal_error_notification(move |what| on_fatal.set_fatal(what))
        .build()
}

fn kind(result: BlockValidationResult) -> &'static str {
    match result {
        BlockValidationResult::Unset => "unset",
        BlockValidationResult::Consensus => "consensus",
        BlockValidationResult::CachedInvalid => "cached-invalid",
        BlockValidationResult::InvalidHeader => "invalid-header",
        BlockValidationResult::Mutated => "mutated",
        BlockValidationResult::MissingPrev => "missing-prev",
        BlockValidationResult::InvalidPrev => "invalid-prev",
        BlockValidationResult::TimeFuture => "time-future",
        BlockValidationResult::HeaderLowWork => "header-low-work",
    }
}

#[cfg(test)]
mod tests;
