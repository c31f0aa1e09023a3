//! How far a store believes bytes in files of others, for JavaScript.
use crate::pace::HashPace;
use crate::store::{CancelFlag, Store, Verified, flag, number, refused};
use crate::task::Job;
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a piece begins in files of others.
#[napi(object, object_from_js = false)]
pub struct PiecePlace {
    /// The file.
    pub path: String,
    /// Where in it.
    pub offset_bytes: i64,
}

/// Pieces that are servable since a look at their files, and those that are not any more.
#[napi(object, object_from_js = false)]
pub struct Survey {
    pub came: u32,
    pub went: u32,
}

/// What went wrong with a store's files.
#[napi(object, object_from_js = false)]
pub struct StoreFault {
    #[napi(ts_type = "'disk-full' | 'vanished' | 'changed' | 'denied' | 'damaged' | 'io' | 'contradiction'")]
    pub kind: String,
    /// The system's words, with the file's path.
    pub message: String,
}

#[napi]
impl Store {
    /// Looks on a worker which files are there and long enough. On their word the pieces in them are servable, unless
    /// something is known against one: each is hashed before a byte of it is sent. Others are not any more.
    #[napi(catch_unwind, ts_return_type = "Promise<Survey>")]
    pub fn survey(&self) -> AsyncTask<Job<Survey>> {
        let store = Arc::clone(&self.store);
        AsyncTask::new(Job::new(move || {
            let (came, went) = store.survey();
            Ok(Survey { came, went })
        }))
    }

    /// Pieces that are servable though nobody has hashed them since their files came or were last written to.
    #[napi(catch_unwind)]
    pub fn assumed_count(&self) -> u32 {
        self.store.assumed().count()
    }

    /// Pieces that were hashed and found wrong, and are not had otherwise, as a BEP 3 bitfield.
    #[napi(catch_unwind)]
    pub fn damaged(&self) -> Buffer {
        self.store.damaged().to_bytes().into()
    }

    /// Where a piece begins; null for a piece that is none.
    #[napi(catch_unwind)]
    pub fn place_of(&self, piece: u32) -> Option<PiecePlace> {
        let place = self.store.place_of(self.store.geometry().piece(piece)?)?;
        let path = place.path.to_string_lossy().into_owned();
        Some(PiecePlace { path, offset_bytes: number(place.offset) })
    }

    /// Lets pieces that are not servable come in, each into a file of its own in `folder`; those that an earlier run left
    /// there are assumed, on a worker. How many these are. ERR_IO.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn repair_into(&self, folder: String) -> AsyncTask<Job<u32>> {
        let (store, folder) = (Arc::clone(&self.store), PathBuf::from(folder));
        AsyncTask::new(Job::new(move || store.repair_into(&folder).map_err(refused)))
    }

    /// The fault, forgotten: what fails from now on is told again. Null when there is none.
    #[napi(catch_unwind)]
    pub fn take_fault(&self) -> Option<StoreFault> {
        let fault = self.store.take_fault()?;
        Some(StoreFault { kind: fault.kind.as_str().to_owned(), message: fault.message })
    }

    /// Hashes, on a worker and at a pace, those of the pieces `[first, end)` that are servable; wrong ones are not any more.
    /// Returns how many are right.
    #[napi(catch_unwind, ts_return_type = "Promise<Verified>")]
    pub fn scrub(
        &self,
        first: u32,
        end: u32,
        pace: &HashPace,
        cancel: Option<&CancelFlag>,
    ) -> AsyncTask<Job<Verified>> {
        let (store, pace, cancelled) = (Arc::clone(&self.store), Arc::clone(&pace.pace), flag(cancel));
        AsyncTask::new(Job::new(move || {
            Ok(Verified { servable: store.scrub(first..end, &pace, &cancelled).map_err(refused)? })
        }))
    }
}
