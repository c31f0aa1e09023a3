//! Data directories as a node leaves them, written by Core's engine.
use crate::block::Block;
use crate::filler::Filler;
use crate::network::{Network, SIGNET_CHALLENGE};
use crate::options::OptionsError;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    Block as CoreBlock, BlockHeader, BlockValidationStateRef, ChainType, ChainstateManager, ContextBuilder,
    KernelError, ProcessBlockHeaderResult, ValidationMode,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HEADER_BYTES: usize = 80;
/// Blocks on their way at once in a shuffled arrival: eight peers, 16 asked of each.
const WINDOW: usize = 128;
/// A block comes in at the latest when this many others were asked for after it.
const LATE_BLOCKS: u64 = 512;

/// How a data directory is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatadirOptions {
    /// Whether the block files are XORed, as Core's are by default; the key follows from the seed.
    pub xored: bool,
    /// Whether headers come ahead and blocks in an order as that of a download from many peers.
    pub shuffled: bool,
    /// For the key and the order.
    pub seed: u64,
    /// Threads beside the caller's that check scripts, at most 15.
    pub worker_threads: u32,
}

/// Why a data directory was not written.
#[derive(Debug, thiserror::Error)]
pub enum DatadirError {
    /// The folder holds something.
    #[error("`{}` is not empty: give a new folder", .0.display())]
    NotEmpty(PathBuf),
    /// A file could not be written.
    #[error("`{}`: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Core's engine failed.
    #[error("Core's engine: {0}")]
    Engine(#[from] KernelError),
    /// Core's engine refused a block: an error of the generator's.
    #[error("Core's engine refused the block at height {0}")]
    Refused(u32),
    /// It follows another branch than it should.
    #[error("Core's engine is at height {0}, not at the chain's end")]
    Tip(i32),
    /// The chain could not be made.
    #[error("{0}")]
    Options(#[from] OptionsError),
}

/// Writes `datadir` (what `bitcoind -datadir` takes) by handing the blocks over to Core's engine, every script
/// checked. Returns how many there were.
pub fn write(
    datadir: &Path,
    network: Network,
    options: DatadirOptions,
    blocks: impl Iterator<Item = Result<Block, OptionsError>>,
) -> Result<u64, DatadirError> {
    let mut engine = Engine::open(datadir, network, options)?;
    // Asked for, the oldest first, each with the number of blocks before it.
    let mut arriving: Vec<(u64, Block)> = Vec::new();
    let (mut count, mut tip) = (0, None);
    let mut random = Filler::new(options.seed, u32::MAX, 0);
    let window = if options.shuffled { WINDOW } else { 1 };
    for block in blocks {
        let block = block?;
        if block.on_chain {
            tip = Some(block.hash);
        }
        // Core makes genesis itself.
        if block.height > 0 {
            if options.shuffled {
                engine.header(&block)?;
            }
            arriving.push((count, block));
        }
        count += 1;
        if arriving.len() == window {
            let late = arriving.first().is_some_and(|(before, _)| count - before > LATE_BLOCKS);
            let place = if late { 0 } else { random.below(arriving.len()) };
            engine.block(&arriving.remove(place).1)?;
        }
    }
    while !arriving.is_empty() {
        let place = random.below(arriving.len());
        engine.block(&arriving.remove(place).1)?;
    }
    engine.close(tip)?;
    Ok(count)
}

struct Engine {
    manager: ChainstateManager,
    _context: bitcoinkernel::Context,
    refused: Arc<AtomicBool>,
}

impl Engine {
    fn open(datadir: &Path, network: Network, options: DatadirOptions) -> Result<Self, DatadirError> {
        let folder = datadir.join(network.folder());
        let blocks = folder.join("blocks");
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DatadirError::Io { path, source }
        };
        fs::create_dir_all(&blocks).map_err(failed(&blocks))?;
        if fs::read_dir(&blocks).map_err(failed(&blocks))?.next().is_some() {
            return Err(DatadirError::NotEmpty(blocks));
        }
        // Core keeps a key that is there before it; all zeros are plain files.
        let key_path = blocks.join("xor.dat");
        let key = if options.xored { Filler::new(options.seed, 0, u32::MAX).word() } else { 0 };
        fs::write(&key_path, key.to_le_bytes()).map_err(failed(&key_path))?;
        let refused = Arc::new(AtomicBool::new(false));
        let on_check = Arc::clone(&refused);
        let builder = match network {
            Network::Regtest => ContextBuilder::new().chain_type(ChainType::Regtest),
            Network::Signet => ContextBuilder::new().signet(&SIGNET_CHALLENGE),
        };
        let context = builder
            .with_block_checked_validation(move |_: CoreBlock, state: BlockValidationStateRef<'_>| {
                if state.mode() != ValidationMode::Valid {
                    on_check.store(true, Ordering::Relaxed);
                }
            })
            .build()?;
        let (folder, blocks) = (folder.to_string_lossy(), blocks.to_string_lossy());
        let manager = ChainstateManager::builder(&context, &folder, &blocks)?
            .worker_threads(options.worker_threads.min(15).cast_signed())
            .build()?;
        Ok(Self { manager, _context: context, refused })
    }

    fn header(&self, block: &Block) -> Result<(), DatadirError> {
        let header = BlockHeader::new(&block.bytes[..HEADER_BYTES])?;
        match self.manager.process_block_header(&header)? {
            ProcessBlockHeaderResult::Valid => Ok(()),
            ProcessBlockHeaderResult::Invalid(_) => Err(DatadirError::Refused(block.height)),
        }
    }

    fn block(&mut self, block: &Block) -> Result<(), DatadirError> {
        let taken = self.manager.process_block(&CoreBlock::new(&block.bytes)?);
        // A block that fails only when it is connected was new, and taken for the call; the callback tells.
        if self.refused.load(Ordering::Relaxed) || taken.is_rejected() {
            return Err(DatadirError::Refused(block.height));
        }
        Ok(())
    }

    /// Flushes everything to disk.
    fn close(self, tip: Option<[u8; 32]>) -> Result<(), DatadirError> {
        let chain = self.manager.active_chain();
        let reached = chain.tip().block_hash().to_bytes();
        if tip.is_none_or(|tip| tip == reached) { Ok(()) } else { Err(DatadirError::Tip(chain.height())) }
    }
}
