//! Block files of others than Core: btcd's (`*.fdb`) and a `bootstrap.dat`. Blocks only, in any order.
//!
//! btcd (`database/ffldb`, `blockio.go`): `magic | size u32 | block | CRC-32C of all that, big-endian`, in files
//! `000000000.fdb` of up to 512 MiB. A `bootstrap.dat` is one file of Core's records (`contrib/linearize`), of any
//! length. Either way the head and the block are what a segment's blocks file holds, so that they are served where
//! they lie. Which blocks those are, a catalogue's headers say: no chain is looked for here.
use super::error::{ScanError, SkipReason, Skipped};
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Records, Shape};
use super::walk::BLOCK_BYTES;
use crate::encode::Hash;
use crate::header::{HEADER_BYTES, Header, block_hash};
use crate::params::Params;
use crate::pow::meets_target;
use blockswarm_pieces::{Extents, ExtentsBuilder, FileId, Files};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Files kept open for serving.
const OPEN_FILES: usize = 256;
const CRC_BYTES: u64 = 4;

/// Where each block lies. Thread-safe and unchanging; 24 bytes a block.
pub struct BlockArchive {
    files: Arc<Files>,
    paths: Vec<(PathBuf, FileId)>,
    /// Sorted.
    places: Box<[Place]>,
    skipped: Vec<Skipped>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Start of the block's hash: what else has the same start fails at the torrent's hashes.
    prefix: u64,
    offset: u64,
    size: u32,
    file: u32,
}

impl BlockArchive {
    /// Finds the blocks of btcd's folder `blocks_ffldb`, or of the folder that holds it.
    pub fn btcd(folder: &Path, params: &Params, cancelled: &AtomicBool) -> Result<Self, ScanError> {
        let inner = folder.join("blocks_ffldb");
        let folder = if inner.is_dir() { inner.as_path() } else { folder };
        let unreadable = |error| ScanError::unreadable(folder, error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "fdb") {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(ScanError::NoArchive { path: folder.to_owned() });
        }
        paths.sort();
        Self::scan(paths, CRC_BYTES, params, cancelled)
    }

    /// Finds the blocks of a `bootstrap.dat`.
    pub fn bootstrap(file: &Path, params: &Params, cancelled: &AtomicBool) -> Result<Self, ScanError> {
        Self::scan(vec![file.to_owned()], 0, params, cancelled)
    }

    fn scan(
        paths: Vec<PathBuf>,
        trailer: u64,
        params: &Params,
        cancelled: &AtomicBool,
    ) -> Result<Self, ScanError> {
        let files = Files::new(OPEN_FILES);
        let (mut places, mut skipped) = (Vec::new(), Vec::new());
        for (file, path) in (0u32..).zip(&paths) {
            let unreadable = |error| ScanError::unreadable(path, error);
            let shape = Shape { magic: params.magic, sizes: BLOCK_BYTES, trailer };
            let reader = FileReader::open(path, [0; 8]).map_err(unreadable)?;
            let mut records = Records::from(reader, shape, 0);
            while let Some(record) = records.next().map_err(unreadable)? {
                if cancelled.load(Ordering::Relaxed) {
                    return Err(ScanError::Cancelled);
                }
                let header =
                    records.reader.array::<HEADER_BYTES>(record.offset + HEAD_BYTES).map_err(unreadable)?;
                let Some(header) = header else { break };
                let hash = block_hash(&header);
                if !meets_target(&hash, Header::parse(&header).bits, &params.pow_limit) {
                    records.reject(record, SkipReason::ProofOfWork);
                    continue;
                }
                records.accept(record);
                let (prefix, offset, size) = (prefix(&hash), record.offset, record.size);
                places.push(Place { prefix, offset, size, file });
            }
            let skips = records.skips.iter();
            skipped.extend(skips.map(|skip| Skipped {
                path: path.clone(),
                first: skip.first,
                end: skip.end,
                reason: skip.reason,
            }));
        }
        if places.is_empty() {
            let path = paths.into_iter().next().unwrap_or_default();
            return Err(ScanError::NoArchive { path });
        }
        places.sort_unstable();
        let paths = paths.into_iter().map(|path| (path.clone(), files.add(path, None))).collect();
        Ok(Self { files, paths, places: places.into(), skipped })
    }

    /// Number of blocks, copies included.
    pub fn blocks(&self) -> usize {
        self.places.len()
    }

    /// Bytes that were passed over.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Where the records of these blocks lie, in order; the number of the first that is missing else. Their bytes were
    /// not looked at.
    pub fn extents(&self, hashes: &[Hash]) -> Result<Result<Extents, usize>, ScanError> {
        let mut builder = ExtentsBuilder::new(Arc::clone(&self.files));
        for (number, hash) in hashes.iter().enumerate() {
            let key = prefix(hash);
            let at = self.places.partition_point(|place| place.prefix < key);
            let Some(place) = self.places.get(at).filter(|place| place.prefix == key) else {
                return Ok(Err(number));
            };
            let Some((_, file)) = self.paths.get(place.file as usize) else { return Ok(Err(number)) };
            builder.push(*file, place.offset, HEAD_BYTES + u64::from(place.size))?;
        }
        Ok(Ok(builder.finish()))
    }
}

fn prefix(hash: &Hash) -> u64 {
    hash.first_chunk::<8>().map_or(0, |start| u64::from_be_bytes(*start))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::testdir::{chain, records};
    use super::*;
    use std::fs;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn read(extents: &Extents) -> Vec<u8> {
        let mut bytes = vec![0; extents.length() as usize];
        extents.read_exact_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn btcds_records_are_found_without_their_checksums() {
        let blocks = chain(9);
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("blocks_ffldb");
        fs::create_dir_all(folder.join("metadata")).unwrap();
        // In another order, over two files, and one cut off while it was written.
        let framed = |block: &super::super::testdir::TestBlock| [block.record(), vec![1, 2, 3, 4]].concat();
        let first: Vec<u8> = blocks[5..].iter().flat_map(framed).collect();
        let mut second: Vec<u8> = blocks[..5].iter().flat_map(framed).collect();
        second.extend(&framed(&blocks[8])[..100]);
        fs::write(folder.join("000000000.fdb"), first).unwrap();
        fs::write(folder.join("000000001.fdb"), second).unwrap();
        let hashes: Vec<Hash> = blocks.iter().map(|block| block.hash).collect();
        for path in [dir.path(), &folder] {
            let archive = BlockArchive::btcd(path, &Params::regtest(), &NEVER).unwrap();
            assert_eq!((archive.blocks(), archive.skipped().len()), (9, 0));
            assert_eq!(read(&archive.extents(&hashes[2..8]).unwrap().unwrap()), records(&blocks[2..8]));
            let unknown = [hashes[0], [7; 32]];
            assert_eq!(archive.extents(&unknown).unwrap().err(), Some(1));
        }
    }

    #[test]
    fn a_bootstrap_file_may_have_garbage_in_it() {
        let blocks = chain(5);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bootstrap.dat");
        let bytes = [records(&blocks[..3]), vec![9; 50], records(&blocks[3..])].concat();
        fs::write(&path, bytes).unwrap();
        let archive = BlockArchive::bootstrap(&path, &Params::regtest(), &NEVER).unwrap();
        assert_eq!((archive.blocks(), archive.skipped().len()), (5, 1));
        let hashes: Vec<Hash> = blocks.iter().map(|block| block.hash).collect();
        assert_eq!(read(&archive.extents(&hashes).unwrap().unwrap()), records(&blocks));
    }

    #[test]
    fn a_place_without_blocks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let code = |result: Result<BlockArchive, ScanError>| result.err().unwrap().code();
        assert_eq!(code(BlockArchive::btcd(dir.path(), &Params::regtest(), &NEVER)), "ERR_DATADIR_EMPTY");
        fs::write(dir.path().join("000000000.fdb"), [0; 100]).unwrap();
        assert_eq!(code(BlockArchive::btcd(dir.path(), &Params::regtest(), &NEVER)), "ERR_DATADIR_EMPTY");
        let missing = dir.path().join("bootstrap.dat");
        assert_eq!(
            code(BlockArchive::bootstrap(&missing, &Params::regtest(), &NEVER)),
            "ERR_DATADIR_UNREADABLE"
        );
    }
}
