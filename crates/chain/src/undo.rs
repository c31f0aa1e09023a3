//! A spent-outputs record: the coins that a block spends, as Core writes them to `rev*.dat`.
//!
//! `CBlockUndo | SHA256d(prev block hash | CBlockUndo)`, Core's `undo.h` and `compressor.h`. Read as a
//! stream, in one pass; checked alone, in constant memory. What is proven is only that the record is well-formed and has the
//! shape of its block: the checksum commits to nothing that proof of work covers.

use std::io::Read;

use sha2::{Digest, Sha256};

use crate::coins::{Coin, SpentCoins};
use crate::compressor::{SHORT_FORMS, decompress_amount, decompress_script};
use crate::encode::{Hash, Varint};
use crate::money::MAX_MONEY;
use crate::script::MAX_SCRIPT_BYTES;

/// Bytes that any CBlockUndo may have.
pub const MAX_UNDO_BYTES: u64 = 256 << 20;
/// Bytes that one coin may take: 10,000 of script and its numbers, and its share of the counts.
const MAX_COIN_BYTES: u64 = 10_030;
/// Bytes of the checksum behind a CBlockUndo.
pub const CHECKSUM_BYTES: u64 = 32;
const CHUNK_BYTES: usize = 64 << 10;

/// Why a record is not the spent outputs of its block.
#[derive(Debug, thiserror::Error)]
pub enum UndoFault {
    /// The record could not be read: no verdict.
    #[error("cannot read the record: {0}")]
    Io(#[from] std::io::Error),
    /// Longer than the coins of the block can be.
    #[error("{size} bytes where at most {limit} are possible")]
    Size {
        /// Bytes of CBlockUndo as announced.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// The checksum is another.
    #[error("checksum mismatch")]
    Checksum,
    /// Well-formed, but with another number of transactions.
    #[error("spends of {found} transactions where the block has {expected}")]
    TransactionCount {
        /// Transactions in the record.
        found: u64,
        /// Transactions in the block, the coinbase excepted.
        expected: u64,
    },
    /// A transaction with another number of coins.
    #[error("transaction {transaction} spends {found} coins where it has {expected} inputs")]
    CoinCount {
        /// Place in the block; the coinbase is 0.
        transaction: usize,
        /// Coins in the record.
        found: u64,
        /// Inputs in the block.
        expected: u64,
    },
    /// A coin from a later block.
    #[error("a coin of height {coin_height}")]
    CoinHeight {
        /// Height of the block that created the coin.
        coin_height: u32,
    },
    /// Not a canonical encoding, or an impossible amount or script.
    #[error("malformed at byte {offset}")]
    Malformed {
        /// Bytes of CBlockUndo read when it was noticed.
        offset: u64,
    },
    /// Written by Core before 0.15: some coins lack height and coinbase flag.
    #[error("incomplete: written by a version before 0.15")]
    Incomplete,
}

/// The most bytes that the CBlockUndo of a block with so many inputs can have.
pub fn undo_limit(inputs: u64) -> u64 {
    inputs.saturating_mul(MAX_COIN_BYTES).saturating_add(9).min(MAX_UNDO_BYTES)
}

/// Checks the record of the block at `height` whose parent is `prev_hash` and whose transactions, the coinbase
/// excepted, have `inputs` inputs. `source` yields `size` bytes of CBlockUndo and 32 of checksum.
///
/// A wrong checksum is reported before anything else that is wrong, so that a record that is good but not
/// this block's (siblings share the parent) can be told from damage.
pub fn check_undo(
    source: impl Read,
    size: u64,
    prev_hash: &Hash,
    inputs: &[u32],
    height: u32,
) -> Result<(), UndoFault> {
    walk_undo(source, size, prev_hash, inputs, height, |_, _| true)
}

/// Checks the record as [`check_undo`] does, and reads its coins. Takes 32 bytes for each, and the scripts.
pub fn read_undo(
    source: impl Read,
    size: u64,
    prev_hash: &Hash,
    inputs: &[u32],
    height: u32,
) -> Result<SpentCoins, UndoFault> {
    let mut coins = SpentCoins::with_capacity(inputs.iter().map(|count| *count as usize).sum());
    let mut whole = Vec::new();
    walk_undo(source, size, prev_hash, inputs, height, |coin, compressed| {
        let Some(script) = decompress_script(coin.form, compressed, &mut whole) else { return false };
        let RawCoin { height, is_coinbase, value, .. } = coin;
        coins.push(Some(Coin { height, is_coinbase, value, script }));
        true
    })?;
    Ok(coins)
}

/// A coin as it stands in the record, without its script.
struct RawCoin {
    height: u32,
    is_coinbase: bool,
    value: u64,
    /// What kind of compressed script it has.
    form: u64,
    /// Whether it says all that is to know, as those of versions before 0.15 do not.
    is_complete: bool,
}

/// Hands each coin with its compressed script to `take`, which says whether it likes it.
fn walk_undo(
    source: impl Read,
    size: u64,
    prev_hash: &Hash,
    inputs: &[u32],
    height: u32,
    take: impl FnMut(RawCoin, &[u8]) -> bool,
) -> Result<(), UndoFault> {
    let limit = undo_limit(inputs.iter().copied().map(u64::from).sum());
    if size > limit {
        return Err(UndoFault::Size { size, limit });
    }
    let mut stream = Stream::new(source, size, prev_hash);
    let shape = match walk_coins(&mut stream, inputs, height, take) {
        Err(UndoFault::Io(error)) => return Err(error.into()),
        shape => shape,
    };
    if !stream.checksum_matches()? {
        return Err(UndoFault::Checksum);
    }
    shape
}

fn walk_coins<R: Read>(
    stream: &mut Stream<R>,
    inputs: &[u32],
    height: u32,
    mut take: impl FnMut(RawCoin, &[u8]) -> bool,
) -> Result<(), UndoFault> {
    let (found, expected) = (stream.compact_size()?, inputs.len() as u64);
    if found != expected {
        return Err(UndoFault::TransactionCount { found, expected });
    }
    let (mut is_complete, mut script) = (true, Vec::new());
    for (i, expected) in inputs.iter().enumerate() {
        let (found, expected) = (stream.compact_size()?, u64::from(*expected));
        if found != expected {
            return Err(UndoFault::CoinCount { transaction: i + 1, found, expected });
        }
        for _ in 0..found {
            let coin = read_coin(stream, height, &mut script)?;
            is_complete &= coin.is_complete;
            if !take(coin, &script) {
                return Err(stream.malformed());
            }
        }
    }
    if stream.left() > 0 {
        return Err(stream.malformed());
    }
    is_complete.then_some(()).ok_or(UndoFault::Incomplete)
}

/// Reads one coin and, in place of what `script` held, its compressed script.
fn read_coin<R: Read>(
    stream: &mut Stream<R>,
    height: u32,
    script: &mut Vec<u8>,
) -> Result<RawCoin, UndoFault> {
    let code = stream.varint(u64::from(u32::MAX))?;
    let coin_height = (code >> 1) as u32;
    if coin_height > height {
        return Err(UndoFault::CoinHeight { coin_height });
    }
    // Core writes 0 where versions before 0.15 wrote the transaction's version, and no height but for the
    // last output to be spent.
    let is_complete = coin_height > 0 && stream.varint(u64::from(u32::MAX))? == 0;
    let amount = stream.varint(u64::MAX)?;
    let Some(value) = decompress_amount(amount).filter(|amount| *amount <= MAX_MONEY) else {
        return Err(stream.malformed());
    };
    let form = read_script(stream, script)?;
    Ok(RawCoin { height: coin_height, is_coinbase: code & 1 == 1, value, form, is_complete })
}

/// Reads a compressed script, and its form. Those with a short form must use it, or one chain had many spent
/// files. Whether a whole public key is on its curve, and so has a short form, is not looked at.
fn read_script<R: Read>(stream: &mut Stream<R>, script: &mut Vec<u8>) -> Result<u64, UndoFault> {
    let form = stream.varint(u64::from(u32::MAX))?;
    let length = match form {
        0 | 1 => 20,
        2..SHORT_FORMS => 32,
        _ => form - SHORT_FORMS,
    };
    if length > MAX_SCRIPT_BYTES as u64 {
        return Err(stream.malformed());
    }
    stream.fill(script, length as usize)?;
    let has_short_form = form >= SHORT_FORMS
        && match script.len() {
            23 => matches!(script[..], [0xa9, 20, .., 0x87]),
            25 => matches!(script[..], [0x76, 0xa9, 20, .., 0x88, 0xac]),
            35 => matches!(script[..], [33, 2 | 3, .., 0xac]),
            _ => false,
        };
    if has_short_form { Err(stream.malformed()) } else { Ok(form) }
}

/// Reads CBlockUndo in chunks and hashes it on the way.
struct Stream<R> {
    source: R,
    hasher: Sha256,
    chunk: Vec<u8>,
    /// Read from the chunk so far.
    position: usize,
    /// Bytes of CBlockUndo not yet in a chunk.
    ahead: u64,
    size: u64,
}

impl<R: Read> Stream<R> {
    fn new(source: R, size: u64, prev_hash: &Hash) -> Self {
        let hasher = Sha256::new().chain_update(prev_hash);
        Self { source, hasher, chunk: Vec::new(), position: 0, ahead: size, size }
    }

    /// Bytes not yet read.
    fn left(&self) -> u64 {
        self.ahead + (self.chunk.len() - self.position) as u64
    }

    fn malformed(&self) -> UndoFault {
        UndoFault::Malformed { offset: self.size - self.left() }
    }

    /// What is left of the chunk, a new one when it is used up; a fault at the end.
    fn available(&mut self) -> Result<&[u8], UndoFault> {
        if self.position == self.chunk.len() {
            if self.ahead == 0 {
                return Err(self.malformed());
            }
            self.next_chunk()?;
        }
        Ok(&self.chunk[self.position..])
    }

    fn next_chunk(&mut self) -> Result<(), UndoFault> {
        let length = self.ahead.min(CHUNK_BYTES as u64);
        self.chunk.resize(length as usize, 0);
        self.position = self.chunk.len();
        self.source.read_exact(&mut self.chunk)?;
        self.hasher.update(&self.chunk);
        self.ahead -= length;
        self.position = 0;
        Ok(())
    }

    fn u8(&mut self) -> Result<u8, UndoFault> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UndoFault> {
        let (mut bytes, mut filled) = ([0; N], 0);
        while filled < N {
            let available = self.available()?;
            let length = available.len().min(N - filled);
            bytes[filled..filled + length].copy_from_slice(&available[..length]);
            self.position += length;
            filled += length;
        }
        Ok(bytes)
    }

    /// Puts the next `length` bytes, few enough for memory, in place of what `out` held.
    fn fill(&mut self, out: &mut Vec<u8>, length: usize) -> Result<(), UndoFault> {
        out.clear();
        while out.len() < length {
            let available = self.available()?;
            let step = available.len().min(length - out.len());
            out.extend_from_slice(&available[..step]);
            self.position += step;
        }
        Ok(())
    }

    fn varint(&mut self, most: u64) -> Result<u64, UndoFault> {
        let mut varint = Varint::new(most);
        loop {
            match varint.push(self.u8()?) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(_) => return Err(self.malformed()),
            }
        }
    }

    fn compact_size(&mut self) -> Result<u64, UndoFault> {
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least { Err(self.malformed()) } else { Ok(value) }
    }

    /// Reads to the end and compares the checksum behind it.
    fn checksum_matches(mut self) -> Result<bool, UndoFault> {
        while self.ahead > 0 {
            self.next_chunk()?;
        }
        let mut checksum = [0; CHECKSUM_BYTES as usize];
        self.source.read_exact(&mut checksum)?;
        Ok(checksum == <Hash>::from(Sha256::digest(self.hasher.finalize())))
    }
}

#[cfg(test)]
#[path = "undo_test.rs"]
mod tests;
