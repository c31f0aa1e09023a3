//! A block by itself, of whatever chain: its ids, its roots and its sizes, for whoever holds one and for comparison with
//! other decoders. Says nothing about whether it is valid.

use crate::block::MAX_BLOCK_BYTES;
use crate::block::{BlockFault, Transactions};
use crate::encode::{Hash, Reader, sha256d};
use crate::header::{HEADER_BYTES, block_hash};
use crate::merkle::merkle_root;

/// What the bytes of a block come to. Hashes are in internal order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedBlock {
    /// Of the header.
    pub hash: Hash,
    /// Of the transactions, whatever the header says.
    pub merkle_root: Hash,
    /// The commitment to the witnesses that the coinbase should have (BIP 141), when it has a reserved value.
    pub witness_commitment: Option<Hash>,
    /// The id of each transaction.
    pub txids: Vec<Hash>,
    /// The hash of each with its witness; zero for the coinbase.
    pub wtxids: Vec<Hash>,
    /// Weight units, BIP 141.
    pub weight: u32,
}

/// Reads a block in full serialization, all of the bytes. Takes 250 bytes of memory for each transaction, of which
/// there is at least one for every ten bytes.
pub fn decode_block(bytes: &[u8]) -> Result<DecodedBlock, BlockFault> {
    if bytes.len() > MAX_BLOCK_BYTES {
        return Err(BlockFault::Length);
    }
    let mut reader = Reader::new(bytes);
    let hash = block_hash(reader.array::<HEADER_BYTES>()?);
    let transactions = Transactions::read(&mut reader, bytes.len(), false)?;
    let witness_commitment = transactions.coinbase.and_then(|coinbase| {
        let mut items = coinbase.first_witness();
        let reserved = items.next().filter(|item| item.len() == 32)?;
        let (root, _) = merkle_root(transactions.wtxids.clone());
        items.next().is_none().then(|| sha256d([&root, reserved]))
    });
    Ok(DecodedBlock {
        hash,
        merkle_root: merkle_root(transactions.txids.clone()).0,
        witness_commitment,
        weight: (3 * transactions.stripped_bytes + bytes.len()) as u32,
        txids: transactions.txids,
        wtxids: transactions.wtxids,
    })
}
