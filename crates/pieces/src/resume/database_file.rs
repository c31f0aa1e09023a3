//! One redb file that never stands in the way: what cannot be kept or read is done without.

use std::any::Any;
use std::fs;
use std::io::ErrorKind::{InvalidData, UnexpectedEof};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

/// Values are read once or in order: a larger cache would only be memory.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// What was kept between runs, in one file. Thread-safe; each call may wait for the disk.
///
/// No call fails. A file that is damaged or of somebody else is moved aside (`.damaged`) and begun anew; while there
/// is no room on the disk nothing is kept. Both are told by [`Self::warnings`], once.
pub struct DatabaseFile {
    path: PathBuf,
    /// What it means that nothing is kept.
    loss: &'static str,
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

impl DatabaseFile {
    /// The file at `path`, opened or made by the first call that needs it; its folder must exist. One process at a
    /// time. `loss` says in a warning what follows when nothing can be kept.
    pub fn new(path: &Path, loss: &'static str) -> Self {
        Self { path: path.to_owned(), loss, state: Mutex::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Adds a warning about the file.
    pub fn warn(&self, text: &str) {
        self.state.lock().warnings.push(format!("{}: {text}", self.path.display()));
    }

    /// Reads; `None` when that cannot be. `work` runs again when the file was moved aside meanwhile.
    pub fn read<T>(&self, work: impl Fn(&ReadTransaction) -> Result<T, redb::Error>) -> Option<T> {
        self.with(|database| work(&database.begin_read()?))
    }

    /// Changes all or nothing, on the medium when this returns. False when nothing was kept.
    pub fn write(&self, change: impl Fn(&WriteTransaction) -> Result<(), redb::Error>) -> bool {
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
                    state.warnings.push(format!("{}: {reason}; {}", self.path.display(), self.loss));
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
            self.warnings.push(format!("{path}: {reason}; moved to {aside}, and begun anew"));
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

impl Drop for DatabaseFile {
    fn drop(&mut self) {
        self.close();
    }
}
