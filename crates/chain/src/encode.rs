//! Bitcoin's wire encoding: double SHA-256, CompactSize, Core's VARINT and a bounded reader.
//!
//! Reads only. Core's `serialize.h` is the reference. A number that is not in its shortest form is a
//! fault, because a block has exactly one canonical encoding.

use std::io;

use sha2::{Digest, Sha256};

/// 32 bytes of a hash in internal order (the reverse of what block explorers show).
pub type Hash = [u8; 32];

/// The largest length or count a CompactSize may carry (Core's `MAX_SIZE`).
pub const MAX_SIZE: u64 = 0x0200_0000;

/// Bytes that are not a canonical encoding. Offsets count from the start of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingFault {
    /// The bytes end inside a field.
    #[error("ends inside a field at byte {offset}")]
    Truncated {
        /// Where the field starts.
        offset: usize,
    },
    /// A CompactSize is longer than it needs to be.
    #[error("count at byte {offset} is not in its shortest form")]
    NotShortest {
        /// Where the count starts.
        offset: usize,
    },
    /// A count or number is larger than its bound, or than the bytes that are left could hold.
    #[error("number {value} at byte {offset} is too large")]
    TooLarge {
        /// Where the number starts.
        offset: usize,
        /// The number, saturated.
        value: u64,
    },
    /// Bytes follow where the encoding is over.
    #[error("goes on after its end at byte {offset}")]
    Trailing {
        /// Where it should have ended.
        offset: usize,
    },
    /// A transaction is in the witness form without a witness: it has a shorter form.
    #[error("empty witness record at byte {offset}")]
    SuperfluousWitness {
        /// Where the transaction starts.
        offset: usize,
    },
    /// A transaction announces something other than witnesses.
    #[error("unknown transaction flags at byte {offset}")]
    UnknownFlags {
        /// Where the flags are.
        offset: usize,
    },
}

/// Double SHA-256 of the parts put end to end.
pub fn sha256d<const N: usize>(parts: [&[u8]; N]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Sha256::digest(hasher.finalize()).into()
}

/// Appends `value` as a CompactSize.
pub fn push_compact_size(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xfc => out.push(value as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends `value` as Core's VARINT.
pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0; 10];
    let mut first = bytes.len() - 1;
    bytes[first] = (value & 0x7f) as u8;
    while value > 0x7f {
        value = (value >> 7) - 1;
        first -= 1;
        bytes[first] = (value & 0x7f) as u8 | 0x80;
    }
    out.extend_from_slice(&bytes[first..]);
}

/// A cursor over borrowed bytes. Every read is bounded and returns slices of the input.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.offset)
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What was read since `start`, an earlier [`offset`](Self::offset).
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.offset).unwrap_or_default()
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], EncodingFault> {
        let fault = EncodingFault::Truncated { offset: self.offset };
        let end = self.offset.checked_add(length).ok_or(fault)?;
        let taken = self.bytes.get(self.offset..end).ok_or(fault)?;
        self.offset = end;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], EncodingFault> {
        let fault = EncodingFault::Truncated { offset: self.offset };
        let rest = self.bytes.get(self.offset..).ok_or(fault)?;
        let taken = rest.first_chunk::<N>().ok_or(fault)?;
        self.offset += N;
        Ok(taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, EncodingFault> {
        self.array::<1>().map(|[byte]| *byte)
    }

    /// A little-endian u16.
    pub fn u16(&mut self) -> Result<u16, EncodingFault> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    /// A little-endian u32.
    pub fn u32(&mut self) -> Result<u32, EncodingFault> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// A little-endian u64.
    pub fn u64(&mut self) -> Result<u64, EncodingFault> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// A CompactSize in its shortest form, at most [`MAX_SIZE`].
    pub fn compact_size(&mut self) -> Result<u64, EncodingFault> {
        let offset = self.offset;
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(self.u16()?), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(EncodingFault::NotShortest { offset });
        }
        if value > MAX_SIZE {
            return Err(EncodingFault::TooLarge { offset, value });
        }
        Ok(value)
    }

    /// A CompactSize that counts items of at least `item_bytes` bytes each, all still to be read.
    ///
    /// The bound makes it safe to take memory for the items before reading them.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, EncodingFault> {
        let offset = self.offset;
        let value = self.compact_size()?;
        let most = self.remaining() / item_bytes.max(1);
        usize::try_from(value)
            .ok()
            .filter(|count| *count <= most)
            .ok_or(EncodingFault::TooLarge { offset, value })
    }

    /// Bytes preceded by their length as a CompactSize.
    pub fn var_bytes(&mut self) -> Result<&'a [u8], EncodingFault> {
        let length = self.count(1)?;
        self.take(length)
    }

    /// Core's VARINT (`serialize.h`): base 128, most significant first, each number has one form.
    pub fn varint(&mut self) -> Result<u64, EncodingFault> {
        let offset = self.offset;
        let mut varint = Varint::new(u64::MAX);
        loop {
            let byte = self.u8()?;
            match varint.push(byte) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(value) => return Err(EncodingFault::TooLarge { offset, value }),
            }
        }
    }
}

/// One VARINT, fed byte by byte. Never takes more than ten bytes.
#[derive(Debug, Clone, Copy)]
pub struct Varint {
    value: u64,
    most: u64,
}

impl Varint {
    /// A VARINT of a type whose largest value is `most` (`u32::MAX` or `u64::MAX`).
    pub fn new(most: u64) -> Self {
        Self { value: 0, most }
    }

    /// Takes the next byte: the number when it ends here, `None` when more follow, or the number so far
    /// as an error when it outgrows its type.
    pub fn push(&mut self, byte: u8) -> Result<Option<u64>, u64> {
        if self.value > self.most >> 7 {
            return Err(self.value);
        }
        self.value = (self.value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(Some(self.value));
        }
        if self.value >= self.most {
            return Err(self.value);
        }
        self.value += 1;
        Ok(None)
    }
}

/// Fills `bytes`; `false` when the source ends before.
pub(crate) fn fill(mut source: impl io::Read, bytes: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        filled => filled.map(|()| true),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_the_empty_string_as_published() {
        let hash = sha256d([b"", b""]);
        assert_eq!(&hash[..4], [0x5d, 0xf6, 0xe0, 0xe2]);
    }

    #[test]
    fn rejects_a_count_that_is_not_in_its_shortest_form() {
        for bytes in
            [&[0xfd, 0xfc, 0][..], &[0xfe, 0xff, 0xff, 0, 0], &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]]
        {
            assert_eq!(Reader::new(bytes).compact_size(), Err(EncodingFault::NotShortest { offset: 0 }));
        }
    }

    #[test]
    fn rejects_a_count_that_the_rest_cannot_hold() {
        let bytes = [3, 1, 2];
        assert!(matches!(Reader::new(&bytes).count(1), Err(EncodingFault::TooLarge { .. })));
        assert_eq!(Reader::new(&[2, 1, 2]).count(1), Ok(2));
        let huge = [0xff, 0, 0, 0, 0, 1, 0, 0, 0];
        assert!(matches!(Reader::new(&huge).compact_size(), Err(EncodingFault::TooLarge { .. })));
    }

    #[test]
    fn reads_the_varints_of_cores_comment() {
        // serialize.h: 0, 127, 128, 255, 256, 16383, 16384, 65535, 2^32.
        let cases: [(u64, &[u8]); 9] = [
            (0, &[0x00]),
            (127, &[0x7f]),
            (128, &[0x80, 0x00]),
            (255, &[0x80, 0x7f]),
            (256, &[0x81, 0x00]),
            (16383, &[0xfe, 0x7f]),
            (16384, &[0xff, 0x00]),
            (65535, &[0x82, 0xfe, 0x7f]),
            (1 << 32, &[0x8e, 0xfe, 0xfe, 0xff, 0x00]),
        ];
        for (value, bytes) in cases {
            assert_eq!(Reader::new(bytes).varint(), Ok(value));
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(value: u64) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert!(reader.is_empty());
            let mut bytes = Vec::new();
            push_compact_size(&mut bytes, value % (MAX_SIZE + 1));
            prop_assert_eq!(Reader::new(&bytes).compact_size().unwrap(), value % (MAX_SIZE + 1));
        }

        #[test]
        fn never_panics_on_random_bytes(bytes: Vec<u8>, length: usize) {
            let mut reader = Reader::new(&bytes);
            let _ = (reader.varint(), reader.compact_size(), reader.var_bytes(), reader.take(length), reader.u64());
        }
    }
}
