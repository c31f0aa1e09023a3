//! The blocks of one `blk` file, found by a walk over its records.
use super::error::{ScanError, SkipReason, Skipped};
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record, Records, Shape};
use crate::block::{BlockContext, BlockFault, check_block};
use crate::encode::Hash;
use crate::header::{HEADER_BYTES, Header, RawHeader, block_hash};
use crate::params::Params;
use crate::pow::meets_target;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

/// Sizes of a block (DESIGN: 80 to 4,000,000; Core: `MAX_BLOCK_SERIALIZED_SIZE`).
pub(super) const BLOCK_BYTES: RangeInclusive<u32> = 80..=4_000_000;
/// Core's positions are 32-bit: it can neither write nor read what lies beyond.
const FILE_BYTES_LIMIT: u64 = u32::MAX as u64;

/// A block as the walk met it.
pub(super) struct Seen {
    pub hash: Hash,
    pub header: RawHeader,
    /// Where the record's head starts in the file.
    pub offset: u32,
    /// Bytes of the block.
    pub size: u32,
    /// Transactions that it says it has.
    pub transactions: u32,
}

impl Seen {
    fn record(&self) -> Record {
        Record { offset: self.offset.into(), size: self.size }
    }
}

/// What was found.
pub(super) struct Walk {
    pub seen: Vec<Seen>,
    pub skipped: Vec<Skipped>,
    /// Behind the last block.
    pub end: u64,
    /// A block begins there that is not whole yet.
    pub is_torn: bool,
    /// Bytes read.
    pub read_bytes: u64,
}

/// Walks from `start`, a record's end or 0, to the end of the file. `newest` is set for the file that Core is still
/// writing. With an exact reader no byte of a block is read twice.
pub(super) fn walk(
    reader: FileReader,
    path: &Path,
    params: &Params,
    start: u64,
    newest: bool,
) -> Result<Walk, ScanError> {
    let unreadable = |error| ScanError::unreadable(path, error);
    let shape = Shape { magic: params.magic, sizes: BLOCK_BYTES, trailer: 0 };
    let length = reader.length();
    let mut records = Records::from(reader, shape, start);
    if start == 0 {
        refuse_foreign(&mut records, path, params, 0)?;
    }
    let mut seen: Vec<Seen> = Vec::new();
    while let Some(record) = records.next().map_err(unreadable)? {
        let at = record.offset + HEAD_BYTES;
        let header = records.reader.array::<HEADER_BYTES>(at).map_err(unreadable)?;
        // Cut off under the walk.
        let Some(header) = header else { break };
        let hash = block_hash(&header);
        if !meets_target(&hash, Header::parse(&header).bits, &params.pow_limit) {
            records.reject(record, SkipReason::ProofOfWork);
            continue;
        }
        let count = records.reader.compact_size(at + HEADER_BYTES as u64).map_err(unreadable)?;
        let transactions = u32::try_from(count.unwrap_or_default()).unwrap_or(u32::MAX);
        let Some(offset) = u32::try_from(record.offset).ok().filter(|_| record.offset <= FILE_BYTES_LIMIT)
        else {
            break;
        };
        records.accept(record);
        seen.push(Seen { hash, header, offset, size: record.size, transactions });
    }
    for first in records.skips.iter().map(|skip| skip.first).collect::<Vec<_>>() {
        refuse_foreign(&mut records, path, params, first)?;
    }
    let skips = records.skips.iter();
    let mut skipped: Vec<Skipped> = skips
        .map(|skip| Skipped { path: path.to_owned(), first: skip.first, end: skip.end, reason: skip.reason })
        .collect();
    let mut is_torn = records.is_torn;
    // Core writes head and block in several steps into space allocated before: the last block may be there by
    // its head only. Full files are cut to their last block.
    if let Some(last) = seen.last() {
        let record = last.record();
        let padded = end_of(record) < length;
        if (newest || padded)
            && !is_whole(&records.reader, record, &last.header, params).map_err(unreadable)?
        {
            skipped.retain(|skip| skip.first < record.offset);
            seen.pop();
            is_torn = true;
        }
    }
    let end = seen.last().map_or(start, |last| end_of(last.record()));
    Ok(Walk { seen, skipped, end, is_torn, read_bytes: records.reader.read_bytes() })
}

fn end_of(record: Record) -> u64 {
    record.offset + HEAD_BYTES + u64::from(record.size)
}

/// Whether the bytes behind the head are a block. Its height is not known yet, so that either witness rule may
/// hold: with the wrong one a good block fails, with both only a damaged one.
fn is_whole(reader: &FileReader, record: Record, header: &RawHeader, params: &Params) -> io::Result<bool> {
    let mut block = vec![0; record.size as usize];
    let Some((head, body)) = block.split_first_chunk_mut::<HEADER_BYTES>() else { return Ok(false) };
    *head = *header;
    if !reader.fill(record.offset + HEAD_BYTES + HEADER_BYTES as u64, body)? {
        return Ok(false);
    }
    let whole = |height| {
        let context = BlockContext { header, height, params };
        // All the bytes were read before these were found out.
        matches!(
            check_block(&block, &context),
            Ok(_) | Err(BlockFault::SignetSolution | BlockFault::NeedsEngine)
        )
    };
    Ok(whole(u32::MAX) || whole(0))
}

/// An error when a block of another network stands at `offset`.
fn refuse_foreign(records: &mut Records, path: &Path, params: &Params, offset: u64) -> Result<(), ScanError> {
    const START: usize = HEAD_BYTES as usize + HEADER_BYTES;
    let start = records.reader.array::<START>(offset).map_err(|error| ScanError::unreadable(path, error))?;
    match start.as_ref().and_then(|start| foreign(start, params)) {
        Some(found) => {
            Err(ScanError::NetworkMismatch { path: path.to_owned(), expected: params.name.clone(), found })
        }
        None => Ok(()),
    }
}

/// The network of a record's first 88 bytes when it is another one: by its magic, or by the magic's hex when a
/// genesis block stands behind it (a custom signet).
fn foreign(start: &[u8; HEAD_BYTES as usize + HEADER_BYTES], params: &Params) -> Option<String> {
    let (head, header) = start.split_first_chunk::<8>()?;
    let header: &RawHeader = header.try_into().ok()?;
    let [m0, m1, m2, m3, s0, s1, s2, s3] = *head;
    let magic = [m0, m1, m2, m3];
    if magic == params.magic || !BLOCK_BYTES.contains(&u32::from_le_bytes([s0, s1, s2, s3])) {
        return None;
    }
    let networks =
        [Params::mainnet(), Params::testnet3(), Params::testnet4(), Params::signet(), Params::regtest()];
    let hash = block_hash(header);
    let bits = Header::parse(header).bits;
    let known = networks.iter().find(|network| network.magic == magic);
    match known {
        Some(network) => meets_target(&hash, bits, &network.pow_limit).then(|| network.name.clone()),
        None => networks.iter().any(|network| network.genesis_hash == hash).then(|| {
            let [a, b, c, d] = magic;
            format!("an unknown network (magic {a:02x}{b:02x}{c:02x}{d:02x})")
        }),
    }
}
