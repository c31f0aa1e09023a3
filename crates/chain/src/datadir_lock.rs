//! Exclusive locks on files: Core's `.lock` on a datadir (`util/fs.cpp` `FileLock`, `init.cpp`
//! `LockDirectories`) and our own on a state folder. Advisory, released when the process ends however it ends.
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, fcntl_lock};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Paths that this process holds. POSIX record locks belong to the process: a second lock by the same process
/// would succeed, and closing any other handle of the file would drop the first. So a path is looked up here
/// before it is opened.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, holds the lock.
    #[error("`{}` is locked: another program is using this folder", .path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file could not be made, opened or locked.
    #[error("cannot lock `{}`: {source}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LockError {
    /// The error's code in TypeScript, for a lock on a state folder. (The engine has its own for a datadir.)
    pub fn code(&self) -> &'static str {
        match self {
            Self::Held { .. } => "ERR_STATE_LOCKED",
            Self::Io { .. } => "ERR_IO",
        }
    }
}

/// An exclusive lock on one file, held until it is dropped. The file stays, as Core's does.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    // `None` only while it is dropped.
    file: Option<File>,
}

impl FileLock {
    /// Makes the file if missing and locks it (`F_SETLK`, write lock on the whole file, no waiting). Its
    /// folder must exist.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_path_buf(), source };
        let path = real_path(path).map_err(failed)?;
        // Held across the system calls: two threads must not both open the file.
        let mut held = HELD.lock();
        if held.contains(&path) {
            return Err(LockError::Held { path });
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                held.insert(path.clone());
                Ok(Self { path, file: Some(file) })
            }
            // POSIX leaves the choice between the two to the system.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(LockError::Held { path }),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// The lock file, its folder's links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing releases. It must happen before the path is free again: the close of one handle would drop the
        // lock that a second `acquire` of this process took on another.
        let mut held = HELD.lock();
        drop(self.file.take());
        held.remove(&self.path);
    }
}

/// The two locks that Core takes before it writes: on the network's folder, then on its blocks folder.
#[derive(Debug)]
pub struct DatadirLock {
    _net: FileLock,
    _blocks: FileLock,
}

impl DatadirLock {
    /// Locks `net_dir/.lock` and `blocks_dir/.lock`; both folders must exist.
    pub fn acquire(net_dir: &Path, blocks_dir: &Path) -> Result<Self, LockError> {
        let net = FileLock::acquire(&net_dir.join(".lock"))?;
        let blocks = FileLock::acquire(&blocks_dir.join(".lock"))?;
        Ok(Self { _net: net, _blocks: blocks })
    }
}

fn real_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize()?.join(name))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::process::Command;

    /// Tries the lock from a process of its own, as a node would.
    fn locked_for_others(path: &Path) -> bool {
        let script = "import fcntl,sys\nf=open(sys.argv[1],'a')\n\
            try: fcntl.lockf(f, fcntl.LOCK_EX|fcntl.LOCK_NB)\nexcept OSError: sys.exit(9)";
        Command::new("python3").arg("-c").arg(script).arg(path).status().unwrap().code() == Some(9)
    }

    #[test]
    fn holds_against_other_processes_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = FileLock::acquire(&path).unwrap();
        assert!(locked_for_others(&path));
        drop(lock);
        assert!(!locked_for_others(&path));
        assert!(path.exists());
    }

    #[test]
    fn refuses_a_second_lock_in_this_process_and_keeps_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = FileLock::acquire(&path).unwrap();
        let again = folder.path().join(".").join(".lock");
        assert!(matches!(FileLock::acquire(&again), Err(LockError::Held { .. })));
        assert!(locked_for_others(&path));
        drop(lock);
        drop(FileLock::acquire(&again).unwrap());
    }

    #[test]
    fn names_a_folder_that_is_missing() {
        let error = FileLock::acquire(Path::new("/nonexistent/folder/.lock")).unwrap_err();
        assert_eq!(error.code(), "ERR_IO");
    }

    #[test]
    fn a_datadir_is_locked_twice_and_freed_when_the_second_lock_fails() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = folder.path().join("blocks");
        std::fs::create_dir(&blocks).unwrap();
        let held = FileLock::acquire(&blocks.join(".lock")).unwrap();
        assert!(DatadirLock::acquire(folder.path(), &blocks).is_err());
        drop(held);
        let lock = DatadirLock::acquire(folder.path(), &blocks).unwrap();
        assert!(locked_for_others(&folder.path().join(".lock")) && locked_for_others(&blocks.join(".lock")));
        drop(lock);
    }
}
