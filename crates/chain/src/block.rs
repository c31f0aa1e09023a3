//! One block against its header: what the `chain` level proves.
//!
//! Core's `IsBlockMutated` and the size rules of `CheckBlock` and `ContextualCheckBlock` (`validation.cpp`),
//! BIP 141's commitment, canonical encoding, BIP 325 on a signet. Reads the block in place. Does not look
//! at amounts, scripts or spent coins: `validate` does. A fault here speaks about the *bytes*: the header, whose work is
//! proven, may well have a good block.

use crate::encode::{EncodingFault, Hash, Reader, sha256d};
use crate::header::{HEADER_BYTES, Header, RawHeader};
use crate::merkle::merkle_root;
use crate::params::Params;
use crate::transaction::{LEAST_TRANSACTION_BYTES, Transaction, push_ids};

/// Bytes and weight units that a block may have.
pub const MAX_BLOCK_BYTES: usize = 4_000_000;
/// Bytes of a transaction that could be an inner node of the merkle tree.
const NODE_BYTES: usize = 64;
/// Transactions that are hashed together, while their bytes are still in the core's cache.
const ID_BATCH: usize = 512;
/// What a witness commitment starts with: OP_RETURN, a push of 36 bytes, `aa21a9ed`.
const COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The place of a block in the header chain.
#[derive(Debug, Clone, Copy)]
pub struct BlockContext<'a> {
    /// The header at that height.
    pub header: &'a RawHeader,
    /// The height.
    pub height: u32,
    /// The network's values.
    pub params: &'a Params,
}

/// What was learnt from a good block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    /// Inputs of each transaction, the coinbase excepted: one spent coin each.
    pub inputs: Vec<u32>,
    /// Weight units, BIP 141.
    pub weight: u32,
}

/// A block whose bytes belong to its header, with its transactions in place.
#[derive(Debug)]
pub struct ReadBlock<'a> {
    /// The header's fields.
    pub header: Header,
    /// The coinbase first.
    pub transactions: Vec<Transaction<'a>>,
    /// The id of each.
    pub txids: Vec<Hash>,
    /// Weight units, BIP 141.
    pub weight: u32,
}

/// Why these bytes are not the block of that header. Shown as Core's reject reason where Core has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// The first 80 bytes are not the header of that height.
    #[error("wrong-header")]
    WrongHeader,
    /// Not a canonical encoding.
    #[error("bad-encoding: {0}")]
    Encoding(#[from] EncodingFault),
    /// No transactions, or more bytes, transactions or bytes without witness than a block can have.
    #[error("bad-blk-length")]
    Length,
    /// The transactions do not hash to the header's merkle root.
    #[error("bad-txnmrklroot")]
    MerkleRoot,
    /// Transactions are repeated so that the root stays the same (CVE-2012-2459).
    #[error("bad-txns-duplicate")]
    DuplicateTransactions,
    /// No coinbase, and a transaction of 64 bytes: perhaps an inner node of the real tree.
    #[error("bad-txns-node-size")]
    NodeSize,
    /// The first transaction is no coinbase.
    #[error("bad-cb-missing")]
    CoinbaseMissing,
    /// A later transaction is a coinbase.
    #[error("bad-cb-multiple")]
    CoinbaseMultiple,
    /// The coinbase witness is not one item of 32 bytes.
    #[error("bad-witness-nonce-size")]
    WitnessReservedSize,
    /// The witnesses do not hash to the commitment in the coinbase.
    #[error("bad-witness-merkle-match")]
    WitnessCommitment,
    /// Witnesses where nothing commits to them.
    #[error("unexpected-witness")]
    UnexpectedWitness,
    /// Above 4,000,000 weight units.
    #[error("bad-blk-weight")]
    Weight,
    /// The block does not solve the signet's challenge, BIP 325.
    #[error("bad-signet-blksig")]
    SignetSolution,
    /// A signet block, and this build has no script engine: nothing is proven.
    #[error("signet blocks need the engine, which this build lacks")]
    NeedsEngine,
}

/// Checks that `bytes` are the block of the header at that place, all of it and nothing else.
///
/// Takes about 80 bytes of memory for each transaction, of which there is at least one for every ten bytes.
pub fn check_block(bytes: &[u8], context: &BlockContext<'_>) -> Result<BlockFacts, BlockFault> {
    let (_, transactions, weight) = read(bytes, context, false)?;
    Ok(BlockFacts { inputs: transactions.inputs, weight })
}

/// The inputs of each transaction but the coinbase, of bytes that [`check_block`] has found good before: nothing is hashed.
pub fn input_counts(bytes: &[u8]) -> Result<Vec<u32>, EncodingFault> {
    let mut reader = Reader::new(bytes);
    reader.array::<HEADER_BYTES>()?;
    let count = reader.count(LEAST_TRANSACTION_BYTES)?;
    let mut inputs = Vec::with_capacity(count.saturating_sub(1));
    for place in 0..count {
        let transaction = Transaction::read(&mut reader)?;
        if place > 0 {
            inputs.push(transaction.input_count() as u32);
        }
    }
    Ok(inputs)
}

/// Checks what [`check_block`] checks and keeps the transactions: about 110 bytes more for each.
pub fn read_block<'a>(bytes: &'a [u8], context: &BlockContext<'_>) -> Result<ReadBlock<'a>, BlockFault> {
    let (header, transactions, weight) = read(bytes, context, true)?;
    Ok(ReadBlock { header, transactions: transactions.list, txids: transactions.txids, weight })
}

fn read<'a>(
    bytes: &'a [u8],
    context: &BlockContext<'_>,
    keep: bool,
) -> Result<(Header, Transactions<'a>, u32), BlockFault> {
    if bytes.len() > MAX_BLOCK_BYTES {
        return Err(BlockFault::Length);
    }
    let mut reader = Reader::new(bytes);
    if reader.array::<HEADER_BYTES>().ok() != Some(context.header) {
        return Err(BlockFault::WrongHeader);
    }
    let transactions = Transactions::read(&mut reader, bytes.len(), keep)?;
    let header = Header::parse(context.header);
    let (root, mutated) = merkle_root(transactions.txids.clone());
    if root != header.merkle_root {
        return Err(BlockFault::MerkleRoot);
    }
    if mutated {
        return Err(BlockFault::DuplicateTransactions);
    }
    let Some(coinbase) = transactions.coinbase.filter(Transaction::is_coinbase) else {
        let fault = if transactions.node_size { BlockFault::NodeSize } else { BlockFault::CoinbaseMissing };
        return Err(fault);
    };
    transactions.check_witness(&coinbase, context.height >= context.params.activations.segwit)?;
    if transactions.later_coinbase {
        return Err(BlockFault::CoinbaseMultiple);
    }
    if 4 * transactions.stripped_bytes > MAX_BLOCK_BYTES || 4 * transactions.txids.len() > MAX_BLOCK_BYTES {
        return Err(BlockFault::Length);
    }
    let weight = 3 * transactions.stripped_bytes + bytes.len();
    if weight > MAX_BLOCK_BYTES {
        return Err(BlockFault::Weight);
    }
    if let Some(challenge) = &context.params.signet_challenge
        && *context.header != context.params.genesis_header
    {
        check_solution(&header, &coinbase, &transactions.txids, challenge)?;
    }
    Ok((header, transactions, weight as u32))
}

/// The script of the last coinbase output that looks like a witness commitment, and its index.
pub(crate) fn commitment<'a>(coinbase: &Transaction<'a>) -> Option<(usize, &'a [u8])> {
    let outputs = coinbase.outputs().map(|output| output.script).enumerate();
    outputs.filter(|(_, script)| script.len() >= 38 && script.starts_with(&COMMITMENT_HEAD)).last()
}

#[cfg(feature = "engine")]
fn check_solution(
    header: &Header,
    coinbase: &Transaction<'_>,
    txids: &[Hash],
    challenge: &[u8],
) -> Result<(), BlockFault> {
    crate::signet::is_solved(header, coinbase, txids, challenge)
        .then_some(())
        .ok_or(BlockFault::SignetSolution)
}

#[cfg(not(feature = "engine"))]
fn check_solution(_: &Header, _: &Transaction<'_>, _: &[Hash], _: &[u8]) -> Result<(), BlockFault> {
    Err(BlockFault::NeedsEngine)
}

/// What one pass over the transactions finds out.
pub(crate) struct Transactions<'a> {
    pub(crate) coinbase: Option<Transaction<'a>>,
    /// All of them when they are kept, otherwise those that are not hashed yet.
    list: Vec<Transaction<'a>>,
    pub(crate) txids: Vec<Hash>,
    /// With witness; zero for the coinbase.
    pub(crate) wtxids: Vec<Hash>,
    inputs: Vec<u32>,
    pub(crate) stripped_bytes: usize,
    has_witness: bool,
    node_size: bool,
    later_coinbase: bool,
}

impl<'a> Transactions<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, block_bytes: usize, keep: bool) -> Result<Self, BlockFault> {
        let count = reader.count(LEAST_TRANSACTION_BYTES)?;
        let mut all = Self {
            coinbase: None,
            list: Vec::with_capacity(if keep { count } else { count.min(ID_BATCH) }),
            txids: Vec::with_capacity(count),
            wtxids: Vec::with_capacity(count),
            inputs: Vec::with_capacity(count.saturating_sub(1)),
            stripped_bytes: reader.offset(),
            has_witness: false,
            node_size: false,
            later_coinbase: false,
        };
        let mut hashed = 0;
        for i in 0..count {
            let transaction = Transaction::read(reader)?;
            all.stripped_bytes += transaction.stripped_bytes();
            all.has_witness |= transaction.has_witness();
            all.node_size |= transaction.stripped_bytes() == NODE_BYTES;
            if i == 0 {
                all.coinbase = Some(transaction);
            } else {
                all.inputs.push(transaction.input_count() as u32);
                all.later_coinbase |= transaction.is_coinbase();
            }
            all.list.push(transaction);
            if all.list.len() - hashed == ID_BATCH || i + 1 == count {
                push_ids(&all.list[hashed..], &mut all.txids, &mut all.wtxids);
                if keep {
                    hashed = all.list.len();
                } else {
                    all.list.clear();
                }
            }
        }
        if let Some(coinbase) = all.wtxids.first_mut() {
            *coinbase = [0; 32];
        }
        match reader.offset() {
            _ if count == 0 => Err(BlockFault::Length),
            end if end < block_bytes => Err(EncodingFault::Trailing { offset: end }.into()),
            _ => Ok(all),
        }
    }

    /// Core's `CheckWitnessMalleation`.
    fn check_witness(&self, coinbase: &Transaction<'_>, segwit: bool) -> Result<(), BlockFault> {
        let Some((_, script)) = commitment(coinbase).filter(|_| segwit) else {
            return if self.has_witness { Err(BlockFault::UnexpectedWitness) } else { Ok(()) };
        };
        let mut items = coinbase.first_witness();
        let reserved = match (items.next(), items.next()) {
            (Some(item), None) if item.len() == 32 => item,
            _ => return Err(BlockFault::WitnessReservedSize),
        };
        // Equal neighbours need no look here: the tree of ids, which has the same shape, forbids them.
        let (root, _) = merkle_root(self.wtxids.clone());
        if script.get(6..38) == Some(&sha256d([&root, reserved])) {
            Ok(())
        } else {
            Err(BlockFault::WitnessCommitment)
        }
    }
}

#[cfg(test)]
#[path = "block_test.rs"]
mod tests;
