//! A hints file by height: read once from end to end, then block by block in any order, on any thread.
use crate::encode::Hash;
use crate::hints::{BlockHints, HintsFault, HintsReader};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What stands before the hints of block 1.
const HEAD_BYTES: u64 = 9;

/// The hints of a chain's blocks, where they lie in their file: 8 bytes of memory a block.
pub struct HintsFile {
    file: File,
    /// Where the hints of block 1, 2, … start, and where the last ones end.
    offsets: Vec<u64>,
    digest: Hash,
}

impl HintsFile {
    /// The height behind the last block that the hints in a file speak of. Reads the head only.
    pub fn end_height_of(path: &Path) -> Result<u32, HintsFault> {
        Ok(HintsReader::new(File::open(path)?)?.end_height())
    }

    /// Reads all of a file whose hints are of the blocks `1..end_height`, so that each has their form.
    pub fn open(path: &Path, end_height: u32) -> Result<Self, HintsFault> {
        let (offset, hasher) = (Cell::new(0), RefCell::new(Sha256::new()));
        let file = File::open(path)?;
        let source = Counted { source: BufReader::new(file.try_clone()?), offset: &offset, hasher: &hasher };
        let mut reader = HintsReader::new(source)?;
        if reader.end_height() != end_height {
            return Err(HintsFault::EndHeight { found: reader.end_height(), expected: end_height });
        }
        let mut offsets = vec![HEAD_BYTES];
        while reader.next_block()?.is_some() {
            offsets.push(offset.get());
        }
        drop(reader);
        Ok(Self { file, offsets, digest: hasher.into_inner().finalize().into() })
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> &Hash {
        &self.digest
    }

    /// The hints of a block; those of genesis are empty.
    pub fn block(&self, height: u32) -> Result<BlockHints, HintsFault> {
        let at = |height: u32| self.offsets.get(height as usize).copied();
        let Some((start, end)) = height.checked_sub(1).and_then(|before| Some((at(before)?, at(height)?)))
        else {
            return Ok(BlockHints::new());
        };
        // As it was read before: no more than a block's hints can take.
        let mut bytes = vec![0; end.saturating_sub(start) as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        HintsReader::of_block(&bytes[..], height).next_block().map(Option::unwrap_or_default)
    }
}

/// Counts and hashes what is read.
struct Counted<'a, R> {
    source: R,
    offset: &'a Cell<u64>,
    hasher: &'a RefCell<Sha256>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.offset.set(self.offset.get() + read as u64);
        self.hasher.borrow_mut().update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::hints::HintsWriter;

    #[test]
    fn blocks_are_read_in_any_order() {
        let blocks = [vec![0, 3, 900], vec![], vec![7], vec![1, 2]];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hints");
        let mut writer = HintsWriter::new(Vec::new(), 5).unwrap();
        for block in &blocks {
            writer.push_block(block).unwrap();
        }
        let bytes = writer.into_sink();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(HintsFile::end_height_of(&path).unwrap(), 5);
        let hints = HintsFile::open(&path, 5).unwrap();
        assert_eq!(hints.digest(), &<Hash>::from(Sha256::digest(&bytes)));
        for height in [4, 1, 3, 2] {
            assert_eq!(hints.block(height).unwrap(), blocks[height as usize - 1]);
        }
        assert!(hints.block(0).unwrap().is_empty() && hints.block(5).unwrap().is_empty());
        assert!(matches!(
            HintsFile::open(&path, 4).err(),
            Some(HintsFault::EndHeight { found: 5, expected: 4 })
        ));
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(HintsFile::open(&path, 5).is_err(), "cut at {cut}");
        }
    }
}
