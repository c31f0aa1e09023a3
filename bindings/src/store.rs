//! A torrent's bytes for JavaScript: hashing, extents, and the piece store. No block becomes a value here.
use crate::error::coded;
use crate::hash::{ContentHashes, Layout, TorrentLayout};
use crate::task::Job;
use blockswarm_pieces::{
    Allocation, Extents, FolderLayout, PieceHashes, PiecesError, Store as PieceStore, StoreOptions,
    SyncPolicy, hash_extents as hash,
};
use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi_derive::napi;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The error for JavaScript.
pub fn refused(error: PiecesError) -> napi::Error {
    coded(error.code(), error)
}

/// The error for a number that is none of ours.
pub fn out_of_range(name: &str, value: i64) -> napi::Error {
    coded("ERR_METAINFO", format!("{name} out of range: {value}"))
}

/// A JavaScript number; torrents and files stay far below 2^53.
pub fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Stops a running task at its next step; raise it when a signal aborts.
#[napi]
#[derive(Default)]
pub struct CancelFlag {
    raised: Arc<AtomicBool>,
}

#[napi]
impl CancelFlag {
    /// A flag that is down.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The task that was given this flag ends with ERR_INTERRUPTED.
    #[napi(catch_unwind)]
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }
}

/// The flag's shared part, or one that nobody raises.
pub fn flag(cancel: Option<&CancelFlag>) -> Arc<AtomicBool> {
    cancel.map(|cancel| Arc::clone(&cancel.raised)).unwrap_or_default()
}

/// A piece length that fits; what it may be the geometry says.
pub fn piece_length(value: i64) -> napi::Result<u32> {
    u32::try_from(value).map_err(|_| out_of_range("pieceLengthBytes", value))
}

/// Where a torrent's bytes lie in files; opaque to JavaScript.
#[napi]
pub struct ExtentsHandle {
    pub(crate) extents: Extents,
}

#[napi]
impl ExtentsHandle {
    /// The first `lengthBytes` of one plain file.
    #[napi(factory, catch_unwind)]
    pub fn of_file(path: String, length_bytes: i64) -> napi::Result<Self> {
        let length = u64::try_from(length_bytes).map_err(|_| out_of_range("lengthBytes", length_bytes))?;
        Ok(Self { extents: Extents::file_prefix(Path::new(&path), length).map_err(refused)? })
    }

    /// Bytes covered.
    #[napi(getter, catch_unwind)]
    pub fn length_bytes(&self) -> i64 {
        number(self.extents.length())
    }

    /// Number of runs.
    #[napi(catch_unwind)]
    pub fn runs(&self) -> i64 {
        number(self.extents.run_count() as u64)
    }
}

/// The hashes of a hybrid torrent over some bytes.
#[napi(object, object_from_js = false)]
pub struct TorrentHashes {
    /// Bytes hashed.
    pub length_bytes: i64,
    /// SHA-1: pieces × 20 bytes.
    pub pieces: Buffer,
    /// 32 bytes.
    pub pieces_root: Buffer,
    /// pieces × 32 bytes; empty when there is one piece.
    pub piece_layer: Buffer,
}

/// Hashes all bytes under the extents on a worker. ERR_IO, ERR_METAINFO (empty, or a piece length out of range).
#[napi(catch_unwind, ts_return_type = "Promise<TorrentHashes>")]
pub fn hash_extents(
    extents: &ExtentsHandle,
    piece_length_bytes: i64,
    cancel: Option<&CancelFlag>,
) -> napi::Result<AsyncTask<Job<TorrentHashes>>> {
    let piece_length = piece_length(piece_length_bytes)?;
    let (extents, cancelled) = (extents.extents.clone(), flag(cancel));
    Ok(AsyncTask::new(Job::new(move || {
        let length_bytes = number(extents.length());
        let PieceHashes { v1, v2 } = hash(&extents, piece_length, &cancelled).map_err(refused)?;
        let file = v2.and_then(|files| files.into_iter().next());
        let (root, layer) = file.map(|file| (file.root.to_vec(), file.layer)).unwrap_or_default();
        Ok(TorrentHashes {
            length_bytes,
            pieces: v1.unwrap_or_default().into(),
            pieces_root: root.into(),
            piece_layer: layer.unwrap_or_default().into(),
        })
    })))
}

/// How a folder's files are treated.
#[napi(object, object_to_js = false)]
pub struct FolderOptions {
    /// Nothing is made and nothing written.
    pub read_only: bool,
    /// Take all of the place on the disk at once; else files are sparse.
    pub preallocate: bool,
    /// Good pieces that may wait in memory for their neighbours; 0: none does.
    pub write_behind_bytes: f64,
    /// Let every `flush` wait until the data are on the medium.
    pub sync: bool,
    /// Files kept open at a time.
    pub open_files: u32,
    /// Numbers in the layout of files that are not made when they are missing.
    pub absent: Vec<u32>,
}

impl FolderOptions {
    fn read(&self) -> StoreOptions {
        // Saturates: a negative or absurd size is 0 or everything.
        #[expect(clippy::cast_sign_loss, reason = "a negative size is none")]
        let write_behind = self.write_behind_bytes as u64;
        StoreOptions {
            read_only: self.read_only,
            allocation: if self.preallocate { Allocation::Full } else { Allocation::Sparse },
            write_behind,
            sync: if self.sync { SyncPolicy::OnFlush } else { SyncPolicy::Never },
            open_files: self.open_files as usize,
            ..StoreOptions::default()
        }
    }
}

/// What `verify` or `recheck` found.
#[napi(object, object_from_js = false)]
pub struct Verified {
    /// Pieces that are right.
    pub servable: u32,
}

/// One torrent's bytes on disk; hand it to the reactor to serve and fetch.
#[napi]
pub struct Store {
    pub(crate) store: Arc<PieceStore>,
}

#[napi]
impl Store {
    /// A read-write file at `path` for the whole torrent, made (sparse) when missing; nothing is servable before
    /// `verify`. ERR_METAINFO, ERR_DISK_FULL, ERR_IO (also when a longer file is in the way).
    #[napi(factory, catch_unwind)]
    pub fn open_scratch(layout: TorrentLayout, hashes: ContentHashes, path: String) -> napi::Result<Self> {
        let geometry = layout.read()?.geometry;
        let hashes = hashes.read(&geometry)?;
        let store = PieceStore::open_scratch(geometry, hashes, Path::new(&path)).map_err(refused)?;
        Ok(Self { store })
    }

    /// The torrent's own files below the folder `root`, where the layout's paths lead (components parted by slashes);
    /// made when missing, on a worker. Nothing is servable before `verify`. ERR_METAINFO (also for a path that leads out),
    /// ERR_DISK_FULL, ERR_IO (also when a longer file, a link, a pipe or a folder is in the way).
    #[napi(catch_unwind, ts_return_type = "Promise<Store>")]
    pub fn open_folder(
        layout: TorrentLayout,
        hashes: ContentHashes,
        root: String,
        options: FolderOptions,
    ) -> napi::Result<AsyncTask<Job<Self>>> {
        let Layout { geometry, paths, .. } = layout.read()?;
        let absent = options.absent.iter().map(|n| *n as usize).collect();
        let (hashes, options) = (hashes.read(&geometry)?, options.read());
        Ok(AsyncTask::new(Job::new(move || {
            let layout =
                FolderLayout::of_entries(&geometry, &paths).map_err(refused)?.without(&geometry, &absent);
            let store = PieceStore::open_folder(geometry, hashes, Path::new(&root), layout, &options);
            Ok(Self { store: store.map_err(refused)? })
        })))
    }

    /// Read-only, over extents of the torrent's length. Nothing is servable before `verify` or
    /// `setServableAll`.
    #[napi(factory, catch_unwind)]
    pub fn over_extents(
        layout: TorrentLayout,
        hashes: ContentHashes,
        extents: &ExtentsHandle,
    ) -> napi::Result<Self> {
        let geometry = layout.read()?.geometry;
        let hashes = hashes.read(&geometry)?;
        let store = PieceStore::over_extents(geometry, hashes, extents.extents.clone()).map_err(refused)?;
        Ok(Self { store })
    }

    /// Number of pieces.
    #[napi(getter, catch_unwind)]
    pub fn piece_count(&self) -> u32 {
        self.store.geometry().piece_count()
    }

    /// The pieces whose v2 hash is not known, as a BEP 3 bitfield; null when there are none.
    #[napi(catch_unwind)]
    pub fn missing_hashes(&self) -> Option<Buffer> {
        self.store.missing_hashes().map(Buffer::from)
    }

    /// Whether v1 judges pieces whose v2 hash is not known.
    #[napi(catch_unwind)]
    pub fn has_v1(&self) -> bool {
        self.store.hashes().v1.is_some()
    }

    /// The piece layers of all files that have bytes, in order and end to end: what a `.torrent` needs. Null while one is
    /// not known.
    #[napi(catch_unwind)]
    pub fn piece_layers(&self) -> Option<Buffer> {
        let files = 0..self.store.geometry().files().len();
        let layers: Option<Vec<Vec<u8>>> = files.map(|file| self.store.piece_layer(file)).collect();
        layers.map(|layers| layers.concat().into())
    }

    /// Hashes the pieces `[first, end)` where they lie, on a worker; right ones become servable.
    #[napi(catch_unwind, ts_return_type = "Promise<Verified>")]
    pub fn verify(&self, first: u32, end: u32, cancel: Option<&CancelFlag>) -> AsyncTask<Job<Verified>> {
        let (store, cancelled) = (Arc::clone(&self.store), flag(cancel));
        AsyncTask::new(Job::new(move || {
            let servable = store.verify_pieces(first..end, &cancelled).map_err(refused)?;
            Ok(Verified { servable })
        }))
    }

    /// Forgets the fault and hashes, on a worker, the pieces that are not servable; returns how many are now. What still
    /// fails is a fault again.
    #[napi(catch_unwind, ts_return_type = "Promise<Verified>")]
    pub fn recheck(&self, cancel: Option<&CancelFlag>) -> AsyncTask<Job<Verified>> {
        let (store, cancelled) = (Arc::clone(&self.store), flag(cancel));
        AsyncTask::new(Job::new(move || {
            Ok(Verified { servable: store.recheck(&cancelled).map_err(refused)? })
        }))
    }

    /// Whether its files failed since the last `recheck`.
    #[napi(catch_unwind)]
    pub fn is_faulty(&self) -> bool {
        self.store.fault().is_some()
    }

    /// On a worker: writes the good pieces that wait in memory. ERR_DISK_FULL, ERR_IO.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn flush(&self) -> AsyncTask<Job<()>> {
        let store = Arc::clone(&self.store);
        AsyncTask::new(Job::new(move || store.flush().map_err(refused)))
    }

    /// On a worker: writes the good pieces that wait in memory, waits until all is on the medium, and says which pieces
    /// are (a BEP 3 bitfield): what may be remembered over a crash. ERR_DISK_FULL, ERR_IO.
    #[napi(catch_unwind, ts_return_type = "Promise<Buffer>")]
    pub fn checkpoint(&self) -> AsyncTask<Job<Buffer>> {
        let store = Arc::clone(&self.store);
        AsyncTask::new(Job::new(move || Ok(store.checkpoint().map_err(refused)?.into())))
    }

    /// On a worker: whether all pieces together have the pieces root. True at once where the piece layer is
    /// known. All pieces must be servable.
    #[napi(catch_unwind, ts_return_type = "Promise<boolean>")]
    pub fn verify_root(&self, cancel: Option<&CancelFlag>) -> AsyncTask<Job<bool>> {
        let (store, cancelled) = (Arc::clone(&self.store), flag(cancel));
        AsyncTask::new(Job::new(move || store.verify_root(&cancelled).map_err(refused)))
    }

    /// Marks all pieces servable: their bytes have just been hashed to this torrent.
    #[napi(catch_unwind)]
    pub fn set_servable_all(&self) {
        self.store.set_servable_all();
    }

    /// The servable pieces as a BEP 3 bitfield.
    #[napi(catch_unwind)]
    pub fn servable(&self) -> Buffer {
        self.store.servable().to_bytes().into()
    }

    /// Number of servable pieces.
    #[napi(catch_unwind)]
    pub fn servable_count(&self) -> u32 {
        self.store.servable().count()
    }

    /// Serves from `extents` from now on (they hold the same bytes) and fetches no more; the scratch file is
    /// let go, not deleted.
    #[napi(catch_unwind)]
    pub fn move_to(&self, extents: &ExtentsHandle) -> napi::Result<()> {
        self.store.move_to(extents.extents.clone()).map_err(refused)
    }

    /// Writes the whole contents to a new file on a worker; it appears only when whole. ERR_IO when the path
    /// is taken or a piece is missing, ERR_DISK_FULL.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn copy_to(&self, path: String, cancel: Option<&CancelFlag>) -> AsyncTask<Job<()>> {
        let (store, cancelled, path) = (Arc::clone(&self.store), flag(cancel), PathBuf::from(path));
        AsyncTask::new(Job::new(move || store.copy_to(&path, &cancelled).map_err(refused)))
    }
}
