//! The database file of a state folder, which never stands in the way: what cannot be read is hashed again.

use std::any::Any;
use std::fs;
use std::io::ErrorKind::{InvalidData, UnexpectedEof};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};

use super::{MadeHashes, ResumeRecord};

type Table = TableDefinition<'static, [u8; 32], &'static [u8]>;

const TORRENTS: Table = TableDefinition::new("torrents");
const MADE: Table = TableDefinition::new("made hashes");

/// The records of a mainnet's segments are some ten MB, each of them read once.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Records by key, in one file. Thread-safe; each call may wait for the disk.
///
/// No call fails. A file that is damaged or of somebody else is moved aside (`.damaged`) and begun anew; while there
/// is no room on the disk nothing is kept. Both are told by [`Self::warnings`], once.
pub struct ResumeDb {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Closed after an error: it works again only when it is opened anew.
    database: Option<Database>,
    warnings: Vec<String>,
    /// Since the last call that worked, one warning was given.
    failing: bool,
}

enum Failure {
    /// The file is no good.
    Damaged(String),
    /// The disk, or the system, says no; the file may be sound.
    Unavailable(String),
}

impl ResumeDb {
    /// Opens the file, or makes it; its folder must exist. One process at a time.
    pub fn open(path: &Path) -> Self {
        let db = Self { path: path.to_owned(), state: Mutex::default() };
        db.write(|transaction| {
            // A table that is read must be there.
            transaction.open_table(TORRENTS)?;
            transaction.open_table(MADE)?;
            Ok(())
        });
        db
    }

    /// Lets go of the file; a later call opens it again.
    pub fn close(&self) {
        let database = self.state.lock().database.take();
        // As in `attempt`.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }

    /// What a person should know, since the last call.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().warnings)
    }

    /// The record under a key; `None` when there is none, or none that can be read.
    pub fn load(&self, key: &[u8; 32]) -> Option<ResumeRecord> {
        self.get(TORRENTS, key, ResumeRecord::decode)
    }

    /// Keeps a record in the place of an earlier one; on the medium when this returns. False when it is not kept.
    pub fn save(&self, key: &[u8; 32], record: &ResumeRecord) -> bool {
        self.put(TORRENTS, key, &record.encode())
    }

    /// Drops the record under a key.
    pub fn forget(&self, key: &[u8; 32]) {
        self.remove(TORRENTS, key);
    }

    /// The hashes that were made of something under a key; as [`Self::load`].
    pub fn made(&self, key: &[u8; 32]) -> Option<MadeHashes> {
        self.get(MADE, key, MadeHashes::decode)
    }

    /// Keeps hashes; as [`Self::save`].
    pub fn keep_made(&self, key: &[u8; 32], made: &MadeHashes) -> bool {
        self.put(MADE, key, &made.encode())
    }

    /// Drops hashes: their bytes are not what they were.
    pub fn forget_made(&self, key: &[u8; 32]) {
        self.remove(MADE, key);
    }

    fn get<T>(&self, table: Table, key: &[u8; 32], decode: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let found = self.with(|database| {
            let value = database.begin_read()?.open_table(table)?.get(key)?;
            Ok(value.map(|value| decode(value.value())))
        })??;
        if found.is_none() {
            let text = format!("{}: a record is damaged or of another version", self.path.display());
            self.state.lock().warnings.push(text);
        }
        found
    }

    fn put(&self, table: Table, key: &[u8; 32], value: &[u8]) -> bool {
        self.write(|transaction| Ok(transaction.open_table(table)?.insert(key, value).map(drop)?))
    }

    fn remove(&self, table: Table, key: &[u8; 32]) {
        self.write(|transaction| Ok(transaction.open_table(table)?.remove(key).map(drop)?));
    }

    fn write(&self, change: impl Fn(&WriteTransaction) -> Result<(), redb::Error>) -> bool {
        let written = self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        });
        written.is_some()
    }

    /// Runs `work`, once more when the file turned out to be no good and was moved aside.
    fn with<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Option<T> {
        let mut state = self.state.lock();
        let mut outcome = state.attempt(&self.path, &work);
        if let Err(Failure::Damaged(reason)) = &outcome
            && state.move_aside(&self.path, reason)
        {
            outcome = state.attempt(&self.path, &work);
        }
        match outcome {
            Ok(value) => {
                state.failing = false;
                Some(value)
            }
            Err(Failure::Damaged(reason) | Failure::Unavailable(reason)) => {
                if !std::mem::replace(&mut state.failing, true) {
                    let text = format!(
                        "{}: {reason}; what is on disk will be hashed again at the next start",
                        self.path.display()
                    );
                    state.warnings.push(text);
                }
                None
            }
        }
    }
}

impl State {
    fn attempt<T>(
        &mut self,
        path: &Path,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, Failure> {
        let database = self.database.take();
        // redb asserts on what it has written itself; a file that another hand has changed must not end the process.
        let done = catch_unwind(AssertUnwindSafe(|| {
            let database = database.map_or_else(|| open(path), Ok)?;
            let value = work(&database)?;
            Ok((database, value))
        }));
        let (database, value) = done.unwrap_or_else(|panic| Err(Failure::Damaged(text(&*panic))))?;
        self.database = Some(database);
        Ok(value)
    }

    fn move_aside(&mut self, path: &Path, reason: &str) -> bool {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        let aside = Path::new(&aside);
        let moved = fs::rename(path, aside).is_ok();
        if moved {
            let (path, aside) = (path.display(), aside.display());
            self.warnings.push(format!("{path}: {reason}; moved to {aside}, and all is hashed again"));
        }
        moved
    }
}

fn open(path: &Path) -> Result<Database, Failure> {
    let mut builder = Builder::new();
    // Without the check a damaged tree is found when it is walked, by an assertion.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    Ok(builder.create(path).map_err(redb::Error::from)?)
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        use redb::Error::{
            Corrupted, Io, LockPoisoned, RepairAborted, TableIsMultimap, TableTypeMismatch,
            TypeDefinitionChanged, UpgradeRequired,
        };
        let damaged = match &error {
            Io(error) => matches!(error.kind(), InvalidData | UnexpectedEof),
            Corrupted(_)
            | UpgradeRequired(_)
            | RepairAborted
            | LockPoisoned(_)
            | TableIsMultimap(_)
            | TableTypeMismatch { .. }
            | TypeDefinitionChanged { .. } => true,
            _ => false,
        };
        if damaged { Self::Damaged(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

impl Drop for ResumeDb {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
#[path = "database_test.rs"]
mod tests;
