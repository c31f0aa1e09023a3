//! Lock files for state folders.
use crate::error::coded;
use blockswarm_chain::datadir_lock::FileLock;
use napi_derive::napi;
use std::path::Path;

/// A lock that is held until it is released, garbage-collected, or the process ends.
#[napi]
pub struct LockHandle {
    lock: Option<FileLock>,
}

#[napi]
impl LockHandle {
    /// Gives the lock up; again is fine. The file stays.
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        self.lock = None;
    }
}

/// Makes the file if missing and locks it for this process; its folder must exist. Throws `ERR_STATE_LOCKED`
/// when another process, or another handle of this one, holds it; `ERR_IO`.
#[napi(catch_unwind)]
pub fn lock_file(path: String) -> napi::Result<LockHandle> {
    match FileLock::acquire(Path::new(&path)) {
        Ok(lock) => Ok(LockHandle { lock: Some(lock) }),
        Err(error) => Err(coded(error.code(), error)),
    }
}
