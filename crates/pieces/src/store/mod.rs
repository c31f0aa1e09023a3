//! One torrent's bytes: what is servable, where it lies, and what is on its way in.

mod fetch;
mod fill;
mod hashes;
mod overlay;
mod read;
mod resume;
mod trust;
mod verify;
mod write;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::assembly::Assembly;
use crate::error::{FileError, at_path};
use crate::fault::Fault;
use crate::files::open_scratch;
use crate::folder;
use crate::hot::HotStore;
use crate::late_layers::LateLayers;
use crate::merkle::Hash;
use crate::overlay::Overlay;
use crate::readahead::ReadAhead;
use crate::sha::Sha1Stream;
use crate::smart_ban::Suspects;
use crate::write_behind::WriteBehind;
use crate::{
    Bitmap, Budget, Extents, ExtentsBuilder, Files, FolderLayout, Geometry, HotCache, PieceHashes,
    PieceIndex, PiecesError,
};

pub use hashes::HashesTaken;
use hashes::LayerRow;
pub use trust::PiecePlace;
use trust::Trust;

/// Bytes of pieces in assembly for a store that was given no budget of its own.
const DEFAULT_BUDGET_BYTES: u64 = 64 * 1024 * 1024;

/// How the files of a folder get their place on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Holes, filled as pieces come.
    Sparse,
    /// All of it at once, where the file system can.
    Full,
}

/// Peers that read ahead at a time.
const READERS: usize = 64;

/// When what was written is made to survive a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the system likes. After a crash pieces are to be verified again.
    Never,
    /// With every [`Store::flush`].
    OnFlush,
}

/// How a store treats its folder.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Nothing is made and nothing written: what is there is served.
    pub read_only: bool,
    /// How files get their place.
    pub allocation: Allocation,
    /// Bytes of good pieces that may wait to be written with their neighbours; 0: a piece is in its file before it
    /// counts as good.
    pub write_behind: u64,
    /// When files are synced.
    pub sync: SyncPolicy,
    /// Files kept open at a time.
    pub open_files: usize,
    /// Hand long runs of pieces to the disk as they are, past the page cache, while the disk is fast enough. Copying
    /// them into it costs as much as receiving and hashing them, and drives out what others have there.
    pub past_page_cache: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            allocation: Allocation::Sparse,
            write_behind: 32 * 1024 * 1024,
            sync: SyncPolicy::Never,
            open_files: 64,
            past_page_cache: true,
        }
    }
}

/// One torrent's bytes. Thread-safe; shared by all links of the torrent.
///
/// Blocks come in by [`Self::wanted_blocks`] and [`Self::write_block`] (memory only, any thread), are hashed by
/// [`Self::hash_arrived`] while others come, pieces are judged by [`Self::finish_piece`] (workers), and served by
/// the two reads. A byte is read out only when its piece was held against the torrent's hashes; from memory while
/// it is not in its file yet.
///
/// A file that cannot be read or written takes its pieces' servable bits with it and is a [`Fault`]; everything
/// else goes on.
pub struct Store {
    geometry: Geometry,
    hashes: PieceHashes,
    servable: Bitmap,
    trust: Trust,
    backing: RwLock<Arc<Backing>>,
    /// Locked before an assembly's own lock and before `backing`, for look-ups only.
    assemblies: Mutex<HashMap<PieceIndex, Arc<Assembly>>>,
    unwritten: WriteBehind,
    sync: SyncPolicy,
    budget: RwLock<Arc<Budget>>,
    suspects: Mutex<Suspects>,
    /// Of readers that wait for the disk.
    ahead: Mutex<ReadAhead>,
    /// Where the torrent came without its piece layer.
    late: Option<LateLayers>,
    /// Of long piece layers, to prove parts of them.
    rows: Mutex<Vec<Arc<LayerRow>>>,
    /// Numbers of files in the order of their roots.
    by_root: OnceLock<Box<[u32]>>,
    /// Of a store whose bytes cost more to read than to copy.
    hot: RwLock<Option<Arc<HotStore>>>,
    fault: Mutex<Option<Fault>>,
    on_fault: RwLock<Option<Box<dyn Fn() + Send + Sync>>>,
}

/// Where the bytes are: files of the store's own, or of others. A reader keeps its own, whole through a move.
struct Backing {
    extents: Extents,
    writable: bool,
    /// Where pieces go that are fetched in place of damaged ones.
    overlay: Option<Arc<Overlay>>,
}

impl Backing {
    fn new(extents: Extents, writable: bool) -> Self {
        Self { extents, writable, overlay: None }
    }

    /// Whether pieces may come in.
    fn takes_pieces(&self) -> bool {
        self.writable || self.overlay.is_some()
    }
}

impl Store {
    /// A store over a flat read-write file, made sparse when missing and lengthened when shorter. A longer
    /// file is somebody's data ([`PiecesError::Scratch`]). Nothing is servable before [`Self::verify_piece`].
    /// A good piece is in the file at once; nothing is synced.
    pub fn open_scratch(
        geometry: Geometry,
        hashes: PieceHashes,
        path: &Path,
    ) -> Result<Arc<Self>, PiecesError> {
        let hashes = hashes.checked(&geometry)?;
        let file = open_scratch(path, true).map_err(|error| at_path(path, &error))?;
        let (found, length) = (file.metadata()?, geometry.length());
        if !found.is_file() || found.len() > length {
            return Err(PiecesError::Scratch { path: path.to_owned(), expected: length, got: found.len() });
        }
        let allocated = folder::allocate(&file, found.len(), length, Allocation::Sparse);
        allocated.map_err(|error| at_path(path, &error))?;
        let files = Files::new(1);
        let mut builder = ExtentsBuilder::new(Arc::clone(&files));
        builder.push(files.add_scratch(path), 0, length)?;
        let backing = Backing::new(builder.finish(), true);
        let options = StoreOptions { write_behind: 0, ..StoreOptions::default() };
        Ok(Self::new(geometry, hashes, backing, &options))
    }

    /// A store over a torrent's own files below `root`, which are made when missing and lengthened when shorter. A
    /// longer file, a link, a pipe or a folder in the way is left alone and is an error. Nothing is servable before
    /// [`Self::verify_piece`]. Blocks: call on a worker.
    pub fn open_folder(
        geometry: Geometry,
        hashes: PieceHashes,
        root: &Path,
        layout: FolderLayout,
        options: &StoreOptions,
    ) -> Result<Arc<Self>, PiecesError> {
        let hashes = hashes.checked(&geometry)?;
        let extents = layout.open(&geometry, root, options)?;
        Ok(Self::new(geometry, hashes, Backing::new(extents, !options.read_only), options))
    }

    /// A read-only store over extents as long as the torrent. Nothing is servable
    /// before [`Self::verify_piece`] or [`Self::set_servable_all`].
    pub fn over_extents(
        geometry: Geometry,
        hashes: PieceHashes,
        extents: Extents,
    ) -> Result<Arc<Self>, PiecesError> {
        let hashes = hashes.checked(&geometry)?;
        check_length(&geometry, &extents)?;
        Ok(Self::new(geometry, hashes, Backing::new(extents, false), &StoreOptions::default()))
    }

    fn new(geometry: Geometry, hashes: PieceHashes, backing: Backing, options: &StoreOptions) -> Arc<Self> {
        let servable = Bitmap::new(geometry.piece_count());
        let trust = Trust::new(geometry.piece_count(), &backing.extents);
        let unwritten = WriteBehind::new(options.write_behind, geometry.piece_length());
        let late = LateLayers::new(&geometry, &hashes);
        let ahead = Mutex::new(ReadAhead::new(geometry.piece_length(), READERS));
        let store = Self {
            geometry,
            hashes,
            servable,
            trust,
            backing: RwLock::new(Arc::new(backing)),
            assemblies: Mutex::default(),
            unwritten,
            sync: options.sync,
            budget: RwLock::new(Budget::new(DEFAULT_BUDGET_BYTES)),
            suspects: Mutex::default(),
            ahead,
            late,
            rows: Mutex::default(),
            by_root: OnceLock::new(),
            hot: RwLock::default(),
            fault: Mutex::default(),
            on_fault: RwLock::default(),
        };
        store.have_padding();
        Arc::new(store)
    }

    /// How the torrent is cut.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The torrent's hashes.
    pub fn hashes(&self) -> &PieceHashes {
        &self.hashes
    }

    /// The pieces that may be served.
    pub fn servable(&self) -> &Bitmap {
        &self.servable
    }

    /// The files under the store now.
    pub fn extents(&self) -> Extents {
        self.backing().extents.clone()
    }

    /// Charges pieces that enter assembly from now on to `budget`, which many stores may share.
    pub fn set_budget(&self, budget: Arc<Budget>) {
        *self.budget.write() = budget;
    }

    /// Keeps bytes that several peers ask for in `cache`, shared with other stores; only where an XOR has to be undone:
    /// else the page cache does as well.
    pub fn set_hot_cache(&self, cache: &Arc<HotCache>) {
        *self.hot.write() = Some(Arc::new(HotStore::new(cache)));
    }

    /// Serves from `extents` from now on, and lets go of the store's own files (which are not deleted). Reads on
    /// the way see the old bytes or the new, whole. The caller has made sure that they are the same.
    /// Pieces in assembly are abandoned and none enters it any more.
    pub fn move_to(&self, extents: Extents) -> Result<(), PiecesError> {
        check_length(&self.geometry, &extents)?;
        *self.backing.write() = Arc::new(Backing::new(extents, false));
        self.forget_hot();
        self.unwritten.clear();
        self.assemblies.lock().retain(|_, assembly| !assembly.abandon());
        Ok(())
    }

    /// The first thing that went wrong since the last [`Self::clear_fault`].
    pub fn fault(&self) -> Option<Fault> {
        self.fault.lock().clone()
    }

    /// Forgets the fault, and what the files looked like: verify the pieces that are not servable again.
    pub fn clear_fault(&self) {
        *self.fault.lock() = None;
        self.backing().extents.files().forget_identities();
    }

    /// Calls `listener`, on whatever thread it happens, for each fault that finds none before it; at once when there
    /// is one. In place of an earlier listener.
    pub fn on_fault(&self, listener: impl Fn() + Send + Sync + 'static) {
        *self.on_fault.write() = Some(Box::new(listener));
        let is_faulty = self.fault.lock().is_some();
        if is_faulty {
            self.tell_fault();
        }
    }

    fn tell_fault(&self) {
        if let Some(listener) = &*self.on_fault.read() {
            listener();
        }
    }

    /// The fault, forgotten: what is noted from now on is told again.
    pub fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().take()
    }

    /// Notes what went wrong, unless something did before.
    fn note_fault(&self, error: &io::Error) {
        self.note(Fault::of(error));
    }

    fn note(&self, found: Fault) {
        let mut fault = self.fault.lock();
        let is_first = fault.is_none();
        fault.get_or_insert(found);
        drop(fault);
        if is_first {
            self.tell_fault();
        }
    }

    /// A file under `backing` failed: its pieces are not had any more. False when the store has left that backing
    /// meanwhile, and then nothing is wrong.
    fn lose_file(&self, backing: &Arc<Backing>, error: &io::Error) -> bool {
        let Some(FileError { file, .. }) = FileError::of(error) else { return true };
        let current = self.backing.read();
        if !Arc::ptr_eq(&current, backing) {
            return false;
        }
        self.forget_hot();
        for range in backing.extents.ranges_of(*file) {
            for piece in self.geometry.pieces_in(&range) {
                // What is in memory is as good as before.
                if self.unwritten.get(piece).is_none() {
                    self.withdraw(piece);
                }
            }
        }
        drop(current);
        self.note_fault(error);
        true
    }

    fn forget_hot(&self) {
        if let Some(hot) = &*self.hot.read() {
            hot.clear();
        }
    }

    fn backing(&self) -> Arc<Backing> {
        Arc::clone(&self.backing.read())
    }

    /// Pieces that are padding from the first byte to the last (BEP 47) are had without asking anybody. All of them
    /// but the torrent's last are alike: a torrent that is nearly all padding costs two pieces' hashing.
    fn have_padding(&self) {
        let Some(v1) = &self.hashes.v1 else { return };
        let mut hashes: HashMap<u32, [u8; 20]> = HashMap::new();
        for (piece, promised) in self.geometry.pieces().zip(v1.as_chunks().0) {
            let (start, bytes) = (self.geometry.piece_offset(piece), self.geometry.piece_bytes(piece));
            let is_padding = self.geometry.parts(&(start..start + u64::from(bytes))).next().is_none();
            if is_padding && hashes.entry(bytes).or_insert_with(|| hash_of_zeros(bytes)) == promised {
                self.servable.set(piece.get());
            }
        }
    }

    /// Notes the root of a piece in place; false when another one was proven meanwhile.
    fn keep_root(&self, piece: PieceIndex, root: Option<Hash>) -> bool {
        self.late.as_ref().zip(root).is_none_or(|(late, root)| late.keep(&self.geometry, piece, root))
    }
}

fn check_length(geometry: &Geometry, extents: &Extents) -> Result<(), PiecesError> {
    if extents.length() == geometry.length() {
        Ok(())
    } else {
        Err(PiecesError::ExtentsLength { expected: geometry.length(), got: extents.length() })
    }
}

fn hash_of_zeros(bytes: u32) -> [u8; 20] {
    let (zeros, mut missing) = ([0; 4096], bytes as usize);
    let mut sha1 = Sha1Stream::new();
    while missing > 0 {
        let step = zeros.split_at(missing.min(zeros.len())).0;
        sha1.update(step);
        missing -= step.len();
    }
    sha1.finish()
}
