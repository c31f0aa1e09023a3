//! A hints file: which outputs are still unspent at a height (draft BIP 455, version 0).
//!
//! `"UTXO" | version u8 | height u32`, then for each block of `1..=height` the places of its survivors among its outputs,
//! unspendable ones not counted: `CompactSize N`, and if N is not 0 `CompactSize M | low bits | high bits`, where M is the
//! last place. Elias-Fano: each place less its low `l = floor(log2((M + 1) / N))` bits is told in unary by what it is
//! more than the one before. All bits begin with the lowest of a byte.
//!
//! Hints are believed by nobody: wrong ones make sums that differ.
use crate::block::MAX_BLOCK_BYTES;
use crate::encode::{fill, push_compact_size};
use std::io::{self, Read, Write};

const MAGIC: [u8; 4] = *b"UTXO";
const VERSION: u8 = 0;
/// No block has more outputs: 9 bytes each.
const MAX_OUTPUTS: u64 = MAX_BLOCK_BYTES as u64 / 9;

/// Why bytes are not hints.
#[derive(Debug, thiserror::Error)]
pub enum HintsFault {
    /// The file cannot be read or written.
    #[error("the hints cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("not a hints file of version 0")]
    Foreign,
    /// A block's hints are impossible, or the file ends before them.
    #[error("the hints of block {height} are impossible or cut off")]
    Block {
        /// Its height.
        height: u32,
    },
    /// They are of another number of blocks.
    #[error("hints of the blocks below {found}, expected those below {expected}")]
    EndHeight {
        /// The height behind the last block they speak of.
        found: u32,
        /// What it should be.
        expected: u32,
    },
}

/// The survivors of one block: their places among its spendable outputs, rising.
pub type BlockHints = Vec<u32>;

/// Reads a file block by block.
#[derive(Debug)]
pub struct HintsReader<R> {
    source: R,
    end_height: u32,
    /// Of the block that comes next.
    height: u32,
}

impl<R: Read> HintsReader<R> {
    /// Reads the head.
    pub fn new(mut source: R) -> Result<Self, HintsFault> {
        let mut head = [0; 9];
        if !fill(&mut source, &mut head)? {
            return Err(HintsFault::Foreign);
        }
        let [m0, m1, m2, m3, version, h0, h1, h2, h3] = head;
        if ([m0, m1, m2, m3], version) != (MAGIC, VERSION) {
            return Err(HintsFault::Foreign);
        }
        let last = u32::from_le_bytes([h0, h1, h2, h3]);
        let end_height = last.checked_add(1).ok_or(HintsFault::Foreign)?;
        Ok(Self { source, end_height, height: 1 })
    }

    /// Reads the hints of one block, which are all that the source has.
    pub(crate) fn of_block(source: R, height: u32) -> Self {
        Self { source, end_height: height.saturating_add(1), height }
    }

    /// The height behind the last block that it speaks of.
    pub fn end_height(&self) -> u32 {
        self.end_height
    }

    /// The hints of the next block, from height 1 on; `None` at the end. Nothing may follow that.
    pub fn next_block(&mut self) -> Result<Option<BlockHints>, HintsFault> {
        if self.height == self.end_height {
            return match self.source.read(&mut [0])? {
                0 => Ok(None),
                _ => Err(HintsFault::Block { height: self.height }),
            };
        }
        let places = self.block()?;
        self.height += 1;
        Ok(Some(places))
    }

    fn block(&mut self) -> Result<BlockHints, HintsFault> {
        let count = self.number()?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let last = self.number()?;
        if count > last + 1 {
            return Err(self.impossible());
        }
        let low_bits = ((last + 1) / count).ilog2();
        let low = self.bits(count * u64::from(low_bits))?;
        let high = self.bits(count + (last >> low_bits))?;
        let mut places = Vec::with_capacity(count as usize);
        let (mut low, mut high) = (Bits(&low, 0), Bits(&high, 0));
        let mut prefix = 0;
        for _ in 0..count {
            let below = (0..low_bits).fold(0, |value, bit| value | low.next() << bit);
            while high.next() == 0 {
                prefix += 1;
                // More zeros than the last place has: the unary part has too few ones.
                if u64::from(prefix) > last >> low_bits {
                    return Err(self.impossible());
                }
            }
            let place = prefix << low_bits | below;
            if places.last().is_some_and(|before| *before >= place) {
                return Err(self.impossible());
            }
            places.push(place);
        }
        let rest_is_empty = low.is_empty() && high.is_empty();
        if !rest_is_empty || places.last().copied().map(u64::from) != Some(last) {
            return Err(self.impossible());
        }
        Ok(places)
    }

    /// A count or place, in its shortest form and within what a block can have.
    fn number(&mut self) -> Result<u64, HintsFault> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => return Err(self.impossible()),
            small => (u64::from(small), 0),
        };
        if value < least || value > MAX_OUTPUTS { Err(self.impossible()) } else { Ok(value) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HintsFault> {
        let mut bytes = [0; N];
        if fill(&mut self.source, &mut bytes)? { Ok(bytes) } else { Err(self.impossible()) }
    }

    fn bits(&mut self, count: u64) -> Result<Vec<u8>, HintsFault> {
        let mut bytes = vec![0; count.div_ceil(8) as usize];
        if fill(&mut self.source, &mut bytes)? { Ok(bytes) } else { Err(self.impossible()) }
    }

    fn impossible(&self) -> HintsFault {
        HintsFault::Block { height: self.height }
    }
}

/// Bits of bytes, lowest first; zeros behind the end.
struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn next(&mut self) -> u32 {
        let bit = self.0.get(self.1 / 8).map_or(0, |byte| byte >> (self.1 % 8) & 1);
        self.1 += 1;
        bit.into()
    }

    /// Whether only the zeros that fill the last byte are left.
    fn is_empty(&mut self) -> bool {
        let left = (self.0.len() * 8).saturating_sub(self.1);
        left < 8 && (0..left).all(|_| self.next() == 0)
    }
}

/// Writes a file block by block.
#[derive(Debug)]
pub struct HintsWriter<W> {
    sink: W,
    bytes: Vec<u8>,
}

impl<W: Write> HintsWriter<W> {
    /// Writes the head for the blocks `1..end_height`.
    pub fn new(mut sink: W, end_height: u32) -> Result<Self, HintsFault> {
        sink.write_all(&MAGIC)?;
        sink.write_all(&[VERSION])?;
        sink.write_all(&end_height.saturating_sub(1).to_le_bytes())?;
        Ok(Self { sink, bytes: Vec::new() })
    }

    /// Writes the hints of the next block: places that rise.
    pub fn push_block(&mut self, places: &[u32]) -> Result<(), HintsFault> {
        self.bytes.clear();
        push_compact_size(&mut self.bytes, places.len() as u64);
        if let Some(last) = places.last().copied().map(u64::from) {
            push_compact_size(&mut self.bytes, last);
            let low_bits = ((last + 1) / places.len() as u64).ilog2();
            let mut low = BitWriter::new(&mut self.bytes);
            for place in places {
                for bit in 0..low_bits {
                    low.push(place >> bit & 1 == 1);
                }
            }
            let mut high = BitWriter::new(&mut self.bytes);
            let mut before = 0;
            for place in places {
                let prefix = place >> low_bits;
                for _ in before..prefix {
                    high.push(false);
                }
                high.push(true);
                before = prefix;
            }
        }
        Ok(self.sink.write_all(&self.bytes)?)
    }

    /// What it was written to.
    pub fn into_sink(self) -> W {
        self.sink
    }
}

struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    used: u32,
}

impl<'a> BitWriter<'a> {
    fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, used: 0 }
    }

    fn push(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << self.used;
        }
        self.used = (self.used + 1) % 8;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(blocks: &[Vec<u32>]) -> Vec<u8> {
        let mut writer = HintsWriter::new(Vec::new(), blocks.len() as u32 + 1).unwrap();
        for block in blocks {
            writer.push_block(block).unwrap();
        }
        writer.into_sink()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u32>>, HintsFault> {
        let mut reader = HintsReader::new(bytes)?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block()? {
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn blocks() -> impl Strategy<Value = Vec<Vec<u32>>> {
        prop::collection::vec(prop::collection::btree_set(0u32..5000, 0..60), 0..12)
            .prop_map(|blocks| blocks.into_iter().map(|block| block.into_iter().collect()).collect())
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written_as_the_reference_does(blocks in blocks()) {
            let bytes = written(&blocks);
            prop_assert_eq!(&read(&bytes).unwrap(), &blocks);
            let reference = hintsfile::Hintsfile::from_reader(&mut &bytes[..]).unwrap();
            prop_assert_eq!(reference.stop_height() as usize, blocks.len());
            for (place, block) in blocks.iter().enumerate() {
                let height = place as u32 + 1;
                prop_assert_eq!(&reference.indices_at_height(height).unwrap(), block);
                let mut theirs = Vec::new();
                hintsfile::EliasFano::compress(block).write(&mut theirs).unwrap();
                let ours = written(std::slice::from_ref(block));
                prop_assert_eq!(&ours[9..], &theirs[..]);
            }
        }

        #[test]
        fn takes_one_form_only(blocks in blocks(), place: prop::sample::Index, bit in 0..8) {
            let mut bytes = written(&blocks);
            if bytes.len() > 9 {
                let at = 9 + place.index(bytes.len() - 9);
                bytes[at] ^= 1u8 << bit;
                // Other bits are other hints, or none.
                if let Ok(found) = read(&bytes) {
                    prop_assert_ne!(&found, &blocks);
                    prop_assert_eq!(written(&found), bytes);
                }
            }
        }

        #[test]
        fn never_panics_on_random_bytes(bytes: Vec<u8>) {
            let mut made = written(&[]);
            made[5] = 200;
            made.extend(bytes);
            let _ = read(&made);
        }
    }

    #[test]
    fn refuses_other_files_and_a_rest() {
        assert!(matches!(read(b"UTXO\x01\0\0\0\0"), Err(HintsFault::Foreign)));
        assert!(matches!(read(b"utxo\0\0\0\0\0"), Err(HintsFault::Foreign)));
        assert!(matches!(read(b"UTXO"), Err(HintsFault::Foreign)));
        assert!(matches!(read(b"UTXO\0\0\0\0\0\0"), Err(HintsFault::Block { height: 1 })));
        // 2^32 outputs announced: no memory is taken.
        assert!(matches!(
            read(b"UTXO\0\x01\0\0\0\xfe\xff\xff\xff\xff"),
            Err(HintsFault::Block { height: 1 })
        ));
    }
}
