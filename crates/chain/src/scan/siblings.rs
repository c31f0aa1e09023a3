//! Whose an undo record is when siblings share parent and shape: that block's which its coins pay for, and whose scripts
//! they satisfy.
//!
//! The record's amounts are held against each transaction's outputs, and each of its coins' scripts is run by Core's
//! engine. A block that has another's coins fails as soon as one signature is asked for.
use super::BlockIndex;
use super::reader::FileReader;
use super::records::Record;
use super::undo_bytes::RecordBody;
use crate::block::{BlockContext, read_block};
use crate::encode::Hash;
use crate::header::{HEADER_BYTES, Header, RawHeader};
use crate::transaction::Transaction;
use crate::undo::{UndoFault, read_undo};
use crate::validate::{
    BlockScripts, EngineJudge, MedianTimes, Place, ScriptJudge, check_transaction, connect,
};
use sha2::{Digest, Sha256};
use std::io;

impl BlockIndex {
    /// What a block spends, as a digest of its outpoints in their order, when the coins of a record are what it spends as
    /// far as amounts and scripts tell; `None` when they are not. Siblings that spend the same have the same record.
    ///
    /// `block` is its bytes, found good; `number` and `height` are its own. Runs all its scripts, on all cores.
    pub(super) fn spends(
        &self,
        block: &[u8],
        (number, height): (u32, u32),
        undo: &FileReader,
        record: Record,
    ) -> io::Result<Option<Hash>> {
        let (Some(header), Some(hash), Some(prev)) =
            (block.first_chunk::<HEADER_BYTES>(), self.tree.hash(number), self.tree.parent_hash(number))
        else {
            return Ok(None);
        };
        let context = BlockContext { header, height, params: self.params() };
        let Ok(block) = read_block(block, &context) else { return Ok(None) };
        let transactions = &block.transactions;
        let inputs: Vec<u32> = transactions.iter().skip(1).map(|each| each.input_count() as u32).collect();
        let coins = match read_undo(RecordBody::of(undo, record), record.size.into(), &prev, &inputs, height)
        {
            Ok(coins) => coins,
            Err(UndoFault::Io(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        let place = Place { context, hash: &hash, median_times: self };
        if transactions.iter().any(|transaction| check_transaction(transaction).is_err()) {
            return Ok(None);
        }
        let Ok(connected) = connect(&block, &place, &coins) else { return Ok(None) };
        let scripts = BlockScripts { transactions, spent: &coins, flags: connected.script_flags };
        if EngineJudge::default().judge(&scripts).is_err() {
            return Ok(None);
        }
        let mut digest = Sha256::new();
        for input in transactions.iter().skip(1).flat_map(Transaction::inputs) {
            digest.update(input.prev_txid);
            digest.update(input.prev_index.to_le_bytes());
        }
        Ok(Some(digest.finalize().into()))
    }
}

/// Of the chain with the most work. Siblings of which one is in it share all that lies below them; others are never
/// served.
impl MedianTimes for BlockIndex {
    fn median_time_at(&self, height: u32) -> Option<u32> {
        let headers = self.headers(height.saturating_sub(10), height.checked_add(1)?)?;
        let (headers, _) = headers.as_chunks::<HEADER_BYTES>();
        let mut times: Vec<u32> =
            headers.iter().map(|header: &RawHeader| Header::parse(header).time).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}
