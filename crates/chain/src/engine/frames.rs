//! Block records `magic (4) | size u32 | block` read one after the other from a range of a file, with bounded
//! memory. The XOR of Core's `blocks/xor.dat` is undone by file offset.
use super::EngineError;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEAD_BYTES: usize = 8;
const BLOCK_BYTES_MIN: usize = 80;
const BLOCK_BYTES_MAX: usize = 4_000_000;
/// Read at once. The buffer grows beyond it only for a larger block.
const READ_BYTES: usize = 1 << 20;

/// Where block records lie, back to back: `[offset, offset + length)` of a file.
#[derive(Clone, Debug)]
pub struct FrameRange {
    /// The file.
    pub path: PathBuf,
    /// First byte of the first record.
    pub offset: u64,
    /// Bytes of the range. A last record that goes beyond it is left for the next range.
    pub length: u64,
    /// Key of `blocks/xor.dat`, applied at (file offset mod 8); `None` for a plain file.
    pub xor_key: Option<[u8; 8]>,
}

pub(super) struct Frame<'a> {
    /// File offset of the record's first byte.
    pub offset: u64,
    /// The block, without the 8 bytes of the record's head.
    pub block: &'a [u8],
}

pub(super) struct Frames<'a> {
    file: File,
    path: &'a Path,
    magic: [u8; 4],
    xor_key: Option<[u8; 8]>,
    /// File offset of the end of the buffer, and of the range.
    filled: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    taken: usize,
}

impl<'a> Frames<'a> {
    pub fn open(range: &'a FrameRange, magic: [u8; 4]) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Read { path: range.path.clone(), source };
        let file = File::open(&range.path).map_err(failed)?;
        let end = range.offset.checked_add(range.length);
        let length = file.metadata().map_err(failed)?.len();
        let Some(end) = end.filter(|end| *end <= length) else {
            let what = format!("the file has {length} bytes, the range ends behind them");
            return Err(EngineError::Frame { path: range.path.clone(), offset: range.offset, what });
        };
        let (path, xor_key) = (range.path.as_path(), range.xor_key);
        Ok(Self { file, path, magic, xor_key, filled: range.offset, end, buffer: Vec::new(), taken: 0 })
    }

    /// The next record, or `None` when the range holds no further whole one.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, EngineError> {
        let offset = self.filled - (self.buffer.len() - self.taken) as u64;
        let left = self.end - offset;
        if left < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(self.take(HEAD_BYTES)?);
        let [m0, m1, m2, m3, s0, s1, s2, s3] = head;
        let (magic, size) = ([m0, m1, m2, m3], u32::from_le_bytes([s0, s1, s2, s3]) as usize);
        if magic != self.magic {
            let what = format!("magic {} where {} must stand", hex(&magic), hex(&self.magic));
            return Err(self.broken(offset, what));
        }
        if !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&size) {
            let what =
                format!("a block of {size} bytes; {BLOCK_BYTES_MIN} to {BLOCK_BYTES_MAX} are possible");
            return Err(self.broken(offset, what));
        }
        if left - (HEAD_BYTES as u64) < size as u64 {
            return Ok(None);
        }
        let block = self.take(size)?;
        Ok(Some(Frame { offset, block }))
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], EngineError> {
        let have = self.buffer.len() - self.taken;
        if have < bytes {
            self.fill(bytes)?;
        }
        let first = self.taken;
        self.taken += bytes;
        Ok(&self.buffer[first..self.taken])
    }

    /// Moves the rest to the front and reads until at least `bytes` are there; the range holds as many.
    fn fill(&mut self, bytes: usize) -> Result<(), EngineError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let have = self.buffer.len();
        let left = self.end - self.filled;
        let want = (bytes.max(READ_BYTES) - have) as u64;
        let read = want.min(left) as usize;
        self.buffer.resize(have + read, 0);
        let fresh = &mut self.buffer[have..];
        if let Err(source) = self.file.read_exact_at(fresh, self.filled) {
            return Err(EngineError::Read { path: self.path.to_path_buf(), source });
        }
        if let Some(mut key) = self.xor_key {
            key.rotate_left((self.filled % 8) as usize);
            let (words, rest) = fresh.as_chunks_mut::<8>();
            for word in words {
                *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(key)).to_ne_bytes();
            }
            rest.iter_mut().zip(key).for_each(|(byte, mask)| *byte ^= mask);
        }
        self.filled += read as u64;
        Ok(())
    }

    fn broken(&self, offset: u64, what: String) -> EngineError {
        EngineError::Frame { path: self.path.to_path_buf(), offset, what }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAGIC: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];

    fn file_of(sizes: &[usize], lead: usize, key: Option<[u8; 8]>) -> (tempfile::NamedTempFile, FrameRange) {
        let mut bytes = vec![0xaa; lead];
        for (n, size) in sizes.iter().enumerate() {
            bytes.extend(MAGIC);
            bytes.extend((*size as u32).to_le_bytes());
            bytes.extend((0..*size).map(|i| (i + n) as u8));
        }
        let length = (bytes.len() - lead) as u64;
        if let Some(key) = key {
            bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= key[i % 8]);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let range = FrameRange { path: file.path().to_path_buf(), offset: lead as u64, length, xor_key: key };
        (file, range)
    }

    fn walk(range: &FrameRange) -> Result<Vec<(u64, Vec<u8>)>, EngineError> {
        let mut frames = Frames::open(range, MAGIC)?;
        let mut found = Vec::new();
        while let Some(frame) = frames.next()? {
            found.push((frame.offset, frame.block.to_vec()));
        }
        Ok(found)
    }

    #[test]
    fn walks_small_and_large_blocks_under_any_key() {
        for key in [None, Some([1, 2, 3, 4, 5, 6, 7, 8])] {
            let sizes = [80, 4_000_000, 81, 1_048_576, 700_000, 2_000_001, 80];
            let (_file, range) = file_of(&sizes, 13, key);
            let found = walk(&range).unwrap();
            assert_eq!(found.iter().map(|(_, block)| block.len()).collect::<Vec<_>>(), sizes);
            assert_eq!(found[1].0, 13 + 88);
            for (n, (_, block)) in found.iter().enumerate() {
                assert!(block.iter().enumerate().all(|(i, byte)| *byte == (i + n) as u8));
            }
        }
    }

    #[test]
    fn names_what_is_broken_and_where() {
        let broken = |range: &FrameRange| match walk(range) {
            Err(EngineError::Frame { offset, what, .. }) => (offset, what),
            other => (0, format!("{other:?}")),
        };
        for (size, said) in [(79, "79 bytes"), (4_000_001, "4000001 bytes")] {
            let (_file, range) = file_of(&[100, size], 0, None);
            let (offset, what) = broken(&range);
            assert!(offset == 108 && what.contains(said), "{what}");
        }
        let (_file, mut range) = file_of(&[100, 200], 0, None);
        range.length = 1000;
        assert!(broken(&range).1.contains("316 bytes"));
        range.length = u64::MAX;
        assert!(broken(&range).1.contains("316 bytes"));
        range.offset = 1;
        range.length = 200;
        assert!(broken(&range).1.contains("f9beb4d9 must stand"));
        assert!(matches!(
            walk(&FrameRange { path: "/nonexistent".into(), ..range }),
            Err(EngineError::Read { .. })
        ));
    }

    #[test]
    fn leaves_a_record_that_the_range_cuts() {
        let (_file, mut range) = file_of(&[100, 2_000_000], 0, None);
        for (length, records) in
            [(0, 0), (7, 0), (107, 0), (108, 1), (112, 1), (116, 1), (2_000_115, 1), (2_000_116, 2)]
        {
            range.length = length;
            assert_eq!(walk(&range).unwrap().len(), records, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_records_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), offset in 0_u64..400, length in 0_u64..400) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let range = FrameRange { path: file.path().to_path_buf(), offset, length, xor_key: None };
            let _ = walk(&range);
        }
    }
}
