//! What is kept of a run: the secret of its sums, and the tally of each segment that is done.
use super::coin_sets::digest_of;
use super::{Plan, Tally, ValidationError};
use crate::encode::Hash;
use crate::headers::HeaderChain;
use crate::hints_file::HintsFile;
use crate::sums::{SALT_BYTES, Salt, SaltedSum};
use blockswarm_pieces::{DatabaseFile, RecordReader, RecordWriter};
use redb::{ReadableTable, TableDefinition, TableError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Its one entry: the run's key and its salt.
const RUN: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("run");
/// By number of the segment.
const SEGMENTS: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("segments");

const VERSION: u8 = 2;
/// Readable by its owner only: whoever knew the salt could forge a set.
const MODE: u32 = 0o600;
/// Coinbases of a segment that a record may have; bounds the memory that a damaged one takes.
const COINBASES_LIMIT: u32 = 1 << 20;

/// What a run is known by: another network, level or hints make another run, and so does another range when sums are kept,
/// because only all of it adds up. Otherwise a segment is as good in a run over others.
pub(super) fn key(
    chain: &HeaderChain,
    plan: &Plan,
    heights: &Range<u32>,
    hints: Option<&(PathBuf, HintsFile)>,
) -> Hash {
    let mut key = Sha256::new_with_prefix(b"blockswarm validation 2 ")
        .chain_update(chain.params().genesis_hash)
        .chain_update(chain.params().magic)
        .chain_update([plan.scripts.into(), plan.set.is_some().into(), hints.is_some().into()]);
    if plan.set.is_some() {
        let Part { heights, last } = Part::of(chain, heights);
        key.update(heights.start.to_le_bytes());
        key.update(heights.end.to_le_bytes());
        key.update(last);
        key.update(digest_of(hints));
    }
    key.finalize().into()
}

/// Blocks of one chain: the hash of the last says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    heights: Range<u32>,
    last: Hash,
}

impl Part {
    pub fn of(chain: &HeaderChain, heights: &Range<u32>) -> Self {
        let last = chain.hash_at(heights.end.saturating_sub(1)).unwrap_or_default();
        Self { heights: heights.clone(), last }
    }
}

/// The part of a segment that is done.
pub(super) struct Kept {
    pub part: Part,
    pub tally: Tally,
}

/// The record of a run in a file, or nowhere.
pub(super) struct Record {
    file: Option<DatabaseFile>,
}

impl Record {
    /// Opens the record of the run with that key, or begins it with a salt of its own. What was done before, by segment.
    pub fn open(
        path: Option<&Path>,
        key: &Hash,
    ) -> Result<(Self, Salt, BTreeMap<u32, Kept>), ValidationError> {
        let fresh = |what: &str, cause| ValidationError::Io { what: what.to_owned(), cause };
        let mut bytes = [0; SALT_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| fresh("the secret of the sums", io::Error::other(error.to_string())))?;
        let Some(path) = path else {
            return Ok((Self { file: None }, Salt::new(&bytes), BTreeMap::new()));
        };
        let unkept = |cause| fresh(&path.display().to_string(), cause);
        File::options().write(true).create(true).truncate(false).mode(MODE).open(path).map_err(unkept)?;
        let file = DatabaseFile::new(path, "validation will begin anew at the next start");
        let found = file.read(|transaction| {
            let run = match transaction.open_table(RUN) {
                Ok(table) => table.get(0)?.map(|entry| entry.value().to_vec()),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let Some(salt) = run.and_then(|run| read_run(&run, key)) else { return Ok(None) };
            let mut done = BTreeMap::new();
            for entry in transaction.open_table(SEGMENTS)?.iter()? {
                let (segment, kept) = entry?;
                // One that is damaged is done again.
                if let Some(kept) = read_kept(kept.value()) {
                    done.insert(segment.value(), kept);
                }
            }
            Ok(Some((salt, done)))
        });
        if let Some((salt, done)) = found.flatten() {
            return Ok((Self { file: Some(file) }, Salt::new(&salt), done));
        }
        // It may be another file than the one above: a damaged one was moved aside.
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(unkept)?;
        file.write(|transaction| {
            transaction.delete_table(SEGMENTS)?;
            transaction.open_table(SEGMENTS)?;
            transaction.open_table(RUN)?.insert(0, write_run(key, &bytes).as_slice())?;
            Ok(())
        });
        Ok((Self { file: Some(file) }, Salt::new(&bytes), BTreeMap::new()))
    }

    /// Keeps the tally of a segment; on the medium when this returns.
    pub fn keep(&self, segment: u32, part: &Part, tally: &Tally) {
        if let Some(file) = &self.file {
            let bytes = write_kept(part, tally);
            file.write(|transaction| {
                transaction.open_table(SEGMENTS)?.insert(segment, bytes.as_slice())?;
                Ok(())
            });
        }
    }

    /// Drops it: the run has ended.
    pub fn forget(&self) {
        if let Some(file) = &self.file {
            file.close();
            // What is left would only be begun anew.
            let _ = fs::remove_file(file.path());
        }
    }

    /// What the user should know, since the last call.
    pub fn warnings(&self) -> Vec<String> {
        self.file.as_ref().map(DatabaseFile::warnings).unwrap_or_default()
    }
}

fn write_run(key: &Hash, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    let mut out = RecordWriter::new(VERSION);
    out.bytes(key);
    out.bytes(salt);
    out.finish()
}

fn read_run(bytes: &[u8], key: &Hash) -> Option<[u8; SALT_BYTES]> {
    let mut fields = RecordReader::new(bytes, VERSION)?;
    let is_this = fields.array::<32>()? == *key;
    let salt = fields.array()?;
    fields.end()?;
    is_this.then_some(salt)
}

fn write_kept(part: &Part, tally: &Tally) -> Vec<u8> {
    let mut out = RecordWriter::new(VERSION);
    out.u32(part.heights.start);
    out.u32(part.heights.end);
    out.bytes(&part.last);
    out.bytes(&tally.balance.to_bytes());
    out.u64(tally.blocks);
    out.u64(tally.transactions);
    out.u64(tally.inputs);
    out.u32(tally.coinbases.len() as u32);
    for (height, txid) in &tally.coinbases {
        out.u32(*height);
        out.bytes(txid);
    }
    out.finish()
}

fn read_kept(bytes: &[u8]) -> Option<Kept> {
    let mut fields = RecordReader::new(bytes, VERSION)?;
    let part = Part { heights: fields.u32()?..fields.u32()?, last: fields.array()? };
    let balance = SaltedSum::from_bytes(&fields.array()?);
    let (blocks, transactions, inputs) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let count = fields.u32().filter(|count| *count <= COINBASES_LIMIT)?;
    let coinbases = (0..count).map(|_| Some((fields.u32()?, fields.array()?))).collect::<Option<_>>()?;
    fields.end()?;
    Some(Kept { part, tally: Tally { balance, blocks, transactions, inputs, coinbases } })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let balance = SaltedSum::from_bytes(&[9; 32]);
        Tally { balance, blocks: 3, transactions: 5, inputs: 7, coinbases: vec![(1, [2; 32]), (4, [5; 32])] }
    }

    fn part() -> Part {
        Part { heights: 8..11, last: [6; 32] }
    }

    fn done(path: &Path, key: u8) -> Vec<u32> {
        let (_, _, done) = Record::open(Some(path), &[key; 32]).unwrap();
        done.into_keys().collect()
    }

    #[test]
    fn a_run_goes_on_under_its_key_and_another_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.redb");
        let (record, _, none) = Record::open(Some(&path), &[1; 32]).unwrap();
        assert!(none.is_empty());
        record.keep(4, &part(), &tally());
        record.keep(2, &part(), &tally());
        drop(record);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let (record, _, kept) = Record::open(Some(&path), &[1; 32]).unwrap();
        assert_eq!(kept.keys().copied().collect::<Vec<_>>(), [2, 4]);
        let Kept { part: of, tally: found } = &kept[&4];
        assert_eq!((of, write_kept(of, found)), (&part(), write_kept(&part(), &tally())));
        drop(record);
        assert_eq!(done(&path, 2), Vec::<u32>::new());
        assert_eq!(done(&path, 1), Vec::<u32>::new(), "it was dropped");
        let (record, _, _) = Record::open(Some(&path), &[1; 32]).unwrap();
        record.forget();
        assert!(!path.exists() && record.warnings().is_empty());
    }

    #[test]
    fn a_damaged_file_is_begun_anew_and_only_the_user_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.redb");
        fs::write(&path, [7; 9000]).unwrap();
        let (record, _, none) = Record::open(Some(&path), &[1; 32]).unwrap();
        record.keep(4, &part(), &tally());
        assert!(none.is_empty());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(record.warnings().len(), 1);
        drop(record);
        assert_eq!(done(&path, 1), [4]);
        let bytes = write_kept(&part(), &tally());
        assert!((0..bytes.len()).all(|at| read_kept(&bytes[..at]).is_none()));
    }
}
