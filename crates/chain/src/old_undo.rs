//! Spent-outputs records as Core before 0.15 wrote them, and their rewriting in today's encoding.
//!
//! Then a coin was `CTxInUndo`: height and coinbase flag, and the version of its transaction where today a zero
//! stands, were written only with the last output of a transaction to be spent; all others have height 0 and no
//! version (Core 0.14, `undo.h`). Everything else, amounts and scripts and the order, is as it is today.

use crate::encode::{EncodingFault, Hash, Reader, Varint, push_compact_size, push_varint, sha256d};

/// Height, amount, and the length of an empty script.
const LEAST_COIN_BYTES: usize = 3;

/// A coin of a record, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldCoin<'a> {
    /// Height of the creating block × 2, plus 1 for a coinbase; below 2 when it was not written.
    pub code: u32,
    /// What stands where today a zero stands; `None` when there is nothing.
    pub version: Option<u32>,
    /// Amount and script, compressed.
    pub output: &'a [u8],
}

impl OldCoin<'_> {
    /// Whether height and coinbase flag have to be found elsewhere.
    pub fn lacks_height(&self) -> bool {
        self.code < 2
    }

    /// Whether it is what Core writes today.
    pub fn is_current(&self) -> bool {
        self.version == Some(0)
    }
}

/// The coins of a CBlockUndo in either encoding, transaction by transaction. `inputs`: of each transaction of the
/// block but the coinbase; another shape is a fault. Takes about 40 bytes of memory a coin.
pub(crate) fn read_undo<'a>(undo: &'a [u8], inputs: &[u32]) -> Result<Vec<Vec<OldCoin<'a>>>, EncodingFault> {
    let mut reader = Reader::new(undo);
    let expect = |reader: &mut Reader<'a>, expected: u64| {
        let offset = reader.offset();
        let value = reader.compact_size()?;
        if value == expected { Ok(()) } else { Err(EncodingFault::TooLarge { offset, value }) }
    };
    expect(&mut reader, inputs.len() as u64)?;
    let mut transactions = Vec::with_capacity(inputs.len());
    for count in inputs {
        expect(&mut reader, u64::from(*count))?;
        // The block has as many inputs: that bounds the memory.
        transactions.push((0..*count).map(|_| read_coin(&mut reader)).collect::<Result<_, _>>()?);
    }
    end(&reader)?;
    Ok(transactions)
}

/// How many coins each transaction of a CBlockUndo has.
pub(crate) fn read_shape(undo: &[u8]) -> Result<Vec<u32>, EncodingFault> {
    let mut reader = Reader::new(undo);
    let count = reader.count(1)?;
    let mut shape = Vec::with_capacity(count);
    for _ in 0..count {
        let coins = reader.count(LEAST_COIN_BYTES)?;
        for _ in 0..coins {
            read_coin(&mut reader)?;
        }
        shape.push(coins as u32);
    }
    end(&reader)?;
    Ok(shape)
}

/// Whether a CBlockUndo has to be rewritten before it can go into a spent file.
pub(crate) fn is_old(undo: &[u8]) -> Result<bool, EncodingFault> {
    let mut reader = Reader::new(undo);
    let mut is_old = false;
    for _ in 0..reader.count(1)? {
        for _ in 0..reader.count(LEAST_COIN_BYTES)? {
            is_old |= !read_coin(&mut reader)?.is_current();
        }
    }
    end(&reader)?;
    Ok(is_old)
}

/// A record (`magic | size | CBlockUndo | checksum`) in today's encoding.
pub(crate) fn write_record(coins: &[Vec<OldCoin<'_>>], magic: [u8; 4], prev_hash: &Hash) -> Vec<u8> {
    let mut record = [&magic[..], &[0; 4]].concat();
    push_compact_size(&mut record, coins.len() as u64);
    for transaction in coins {
        push_compact_size(&mut record, transaction.len() as u64);
        for coin in transaction {
            push_varint(&mut record, u64::from(coin.code));
            record.push(0);
            record.extend_from_slice(coin.output);
        }
    }
    let (head, body) = record.split_at_mut(8);
    let (_, size) = head.split_at_mut(4);
    size.copy_from_slice(&(body.len() as u32).to_le_bytes());
    let checksum = sha256d([prev_hash, body]);
    record.extend_from_slice(&checksum);
    record
}

fn end(reader: &Reader<'_>) -> Result<(), EncodingFault> {
    if reader.is_empty() { Ok(()) } else { Err(EncodingFault::Trailing { offset: reader.offset() }) }
}

fn read_coin<'a>(reader: &mut Reader<'a>) -> Result<OldCoin<'a>, EncodingFault> {
    let code = read_u32(reader)?;
    let version = if code < 2 { None } else { Some(read_u32(reader)?) };
    let start = reader.offset();
    reader.varint()?;
    let form = read_u32(reader)?;
    let script_bytes = match form {
        0 | 1 => 20,
        2..=5 => 32,
        raw => raw - 6,
    };
    reader.take(script_bytes as usize)?;
    Ok(OldCoin { code, version, output: reader.since(start) })
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, EncodingFault> {
    let offset = reader.offset();
    let mut varint = Varint::new(u64::from(u32::MAX));
    loop {
        match varint.push(reader.u8()?) {
            Ok(Some(value)) => return Ok(value as u32),
            Ok(None) => {}
            Err(value) => return Err(EncodingFault::TooLarge { offset, value }),
        }
    }
}

#[cfg(test)]
#[path = "old_undo_test.rs"]
mod tests;
