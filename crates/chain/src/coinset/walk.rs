//! Blocks of a chain and what they spend, read on all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::block::{BlockContext, ReadBlock, read_block};
use crate::coins::SpentCoins;
use crate::encode::Hash;
use crate::headers::HeaderChain;
use crate::undo::{CHECKSUM_BYTES, read_undo};
use crate::validate::{CoinVisitor, Place, visit_coins};

use super::{CoinSetError, CoinSetJob};

/// Blocks that a thread takes at once: neighbours lie in one file, and spend each other's coins.
const CHUNK_BLOCKS: u32 = 32;

/// Memory of one thread that is used again for each block.
#[derive(Default)]
pub(super) struct Buffers {
    pub block: Vec<u8>,
    pub undo: Vec<u8>,
}

/// A block at its place.
pub(super) struct PlacedBlock<'a> {
    pub block: ReadBlock<'a>,
    context: BlockContext<'a>,
    headers: &'a HeaderChain,
    hash: Hash,
}

impl PlacedBlock<'_> {
    /// Shows all coins that the block creates, then those of `spent`.
    pub fn visit(&self, spent: &SpentCoins, visitor: &mut impl CoinVisitor) {
        let place = Place { context: self.context, hash: &self.hash, median_times: self.headers };
        visit_coins(&self.block, &place, spent, visitor);
    }
}

impl CoinSetJob<'_> {
    /// The block at `height`, checked against its header.
    pub(super) fn block<'b>(
        &'b self,
        height: u32,
        buffer: &'b mut Vec<u8>,
    ) -> Result<PlacedBlock<'b>, CoinSetError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(CoinSetError::Cancelled);
        }
        let headers = self.records.headers();
        let beyond = || self.beyond(height);
        let header = headers.headers(height, height.saturating_add(1)).and_then(<[_]>::first);
        let header = header.ok_or_else(beyond)?;
        let hash = headers.hash_at(height).ok_or_else(beyond)?;
        self.records.read_block(height, buffer)?;
        let context = BlockContext { header, height, params: headers.params() };
        let block = read_block(buffer, &context).map_err(|fault| CoinSetError::Block { height, fault })?;
        Ok(PlacedBlock { block, context, headers, hash })
    }

    /// The coins that a block spends, as its record claims.
    pub(super) fn spent(
        &self,
        placed: &PlacedBlock<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<SpentCoins, CoinSetError> {
        let height = placed.context.height;
        if height == 0 {
            return Ok(SpentCoins::default());
        }
        self.records.read_undo(height, buffer)?;
        let size = (buffer.len() as u64).saturating_sub(CHECKSUM_BYTES);
        let transactions = placed.block.transactions.iter().skip(1);
        let inputs: Vec<u32> = transactions.map(|spending| spending.input_count() as u32).collect();
        read_undo(&buffer[..], size, &placed.block.header.prev, &inputs, height)
            .map_err(|fault| CoinSetError::Undo { height, fault })
    }

    /// Checks that the chain has all blocks of `heights`.
    pub(super) fn check_heights(&self, heights: &Range<u32>) -> Result<(), CoinSetError> {
        let held = self.records.heights();
        match heights {
            _ if heights.is_empty() => Ok(()),
            _ if heights.start < held.start => Err(self.beyond(heights.start)),
            _ if heights.end > held.end => Err(self.beyond(heights.end - 1)),
            _ => Ok(()),
        }
    }

    pub(super) fn beyond(&self, asked: u32) -> CoinSetError {
        CoinSetError::BeyondChain { asked, held: self.records.heights() }
    }

    /// Hands out the heights in chunks, lowest first, to `take` on all threads; each thread has a state of its own.
    /// The error of the lowest chunk is the one that is told.
    pub(super) fn on_all_threads<S>(
        &self,
        heights: &Range<u32>,
        new_state: impl Fn() -> S + Sync,
        take: impl Fn(&mut S, Range<u32>) -> Result<(), CoinSetError> + Sync,
    ) -> Result<(), CoinSetError> {
        self.check_heights(heights)?;
        // Genesis creates and spends nothing.
        let next = AtomicU32::new(heights.start.max(1));
        let failed: Mutex<Option<(u32, CoinSetError)>> = Mutex::default();
        let work = || {
            let mut state = new_state();
            loop {
                let first = next.fetch_add(CHUNK_BLOCKS, Ordering::Relaxed);
                if first >= heights.end {
                    return;
                }
                let chunk = first..heights.end.min(first.saturating_add(CHUNK_BLOCKS));
                if let Err(error) = take(&mut state, chunk) {
                    next.store(heights.end, Ordering::Relaxed);
                    let mut failed = failed.lock();
                    if failed.as_ref().is_none_or(|(lowest, _)| first < *lowest) {
                        *failed = Some((first, error));
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
        failed.into_inner().map_or(Ok(()), |(_, error)| Err(error))
    }
}
