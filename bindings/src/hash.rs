//! Making and checking torrents for JavaScript: all files of a torrent in one task, progress to be polled.
use crate::error::coded;
use crate::store::{CancelFlag, flag, number, out_of_range, piece_length, refused};
use crate::task::Job;
use blockswarm_pieces::{
    CheckReport, ContentPaths, DamageReason, FileEntry, FileFault, FileHashes, Geometry, PassOptions,
    PieceHashes, TorrentKind, check_files, hash_files, sha,
};
use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi_derive::napi;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Why hashing is slower than it was asked or expected to be, for a person to read; null when all is well.
#[napi(catch_unwind)]
pub fn hashing_warning() -> Option<String> {
    sha::warning().map(str::to_owned)
}

/// How far a task is; read it whenever it is to be shown.
#[napi]
#[derive(Default)]
pub struct Progress {
    bytes: Arc<AtomicU64>,
}

impl Progress {
    /// What a task counts with.
    pub fn shared(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }
}

#[napi]
impl Progress {
    /// Nothing done yet.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of files done; all of them in the end.
    #[napi(catch_unwind)]
    pub fn done_bytes(&self) -> i64 {
        number(self.bytes.load(Ordering::Relaxed))
    }
}

/// The files of a torrent in its order, and where they are.
#[napi(object, object_to_js = false)]
pub struct TorrentLayout {
    /// `v1`, `v2` or `hybrid`.
    pub kind: String,
    /// A power of two from 16 KiB to 512 MiB; for v1 any from 1.
    pub piece_length_bytes: i64,
    /// Of each file.
    pub lengths_bytes: Vec<i64>,
    /// The path of each file in UTF-8, ended by a zero byte; padding has an empty one.
    pub paths: Uint8Array,
}

/// How a task runs.
#[napi(object, object_to_js = false)]
pub struct HashOptions {
    /// 0 stands for one a core.
    pub threads: u32,
    /// Leave the page cache as it was found.
    pub uncached: bool,
}

pub struct Layout {
    kind: TorrentKind,
    pub geometry: Geometry,
    pub paths: ContentPaths,
}

impl TorrentLayout {
    pub fn read(&self) -> napi::Result<Layout> {
        let paths: ContentPaths = self.paths.split_inclusive(|byte| *byte == 0).map(without_end).collect();
        if paths.count() != self.lengths_bytes.len() {
            let text = format!("{} paths for {} lengths", paths.count(), self.lengths_bytes.len());
            return Err(coded("ERR_METAINFO", text));
        }
        let named = self.paths.split_inclusive(|byte| *byte == 0).map(|path| path.len() > 1);
        let entry = |(length, named): (&i64, bool)| {
            let length = u64::try_from(*length).map_err(|_| out_of_range("lengthsBytes", *length))?;
            Ok(FileEntry { length, padding: !named })
        };
        let entries: Vec<FileEntry> =
            self.lengths_bytes.iter().zip(named).map(entry).collect::<napi::Result<_>>()?;
        let piece_length = piece_length(self.piece_length_bytes)?;
        let (kind, geometry) = match self.kind.as_str() {
            "v1" => (TorrentKind::V1, Geometry::v1(&entries, piece_length)),
            "hybrid" => (TorrentKind::Hybrid, Geometry::hybrid(&entries, piece_length)),
            "v2" => {
                let lengths: Vec<u64> = entries.iter().map(|entry| entry.length).collect();
                (TorrentKind::V2, Geometry::v2(&lengths, piece_length))
            }
            other => return Err(coded("ERR_METAINFO", format!("a torrent of kind `{other}`"))),
        };
        Ok(Layout { kind, geometry: geometry.map_err(refused)?, paths })
    }
}

fn without_end(path: &[u8]) -> &[u8] {
    path.strip_suffix(&[0]).unwrap_or(path)
}

/// The hashes of a torrent's files. Files without bytes and padding have none.
#[napi(object, use_nullable = true)]
pub struct ContentHashes {
    /// v1: pieces × 20 bytes.
    pub pieces: Option<Uint8Array>,
    /// v2: files × 32 bytes.
    pub roots: Option<Uint8Array>,
    /// v2: for each file that is longer than a piece, its pieces × 32 bytes, end to end. Null in a hybrid that came
    /// without.
    pub layers: Option<Uint8Array>,
}

impl ContentHashes {
    fn made(hashes: PieceHashes) -> Self {
        let layers = |files: &Vec<FileHashes>| {
            files.iter().filter_map(|file| file.layer.as_deref()).collect::<Vec<_>>().concat()
        };
        let roots = |files: &Vec<FileHashes>| files.iter().flat_map(|file| file.root).collect::<Vec<_>>();
        Self {
            layers: hashes.v2.as_ref().map(layers).map(Uint8Array::from),
            roots: hashes.v2.as_ref().map(roots).map(Uint8Array::from),
            pieces: hashes.v1.map(Uint8Array::from),
        }
    }

    pub fn read(&self, geometry: &Geometry) -> napi::Result<PieceHashes> {
        let mut layers = self.layers.as_deref();
        let mut file = |(n, root): (usize, &[u8; 32])| {
            let pieces = geometry.pieces_of(n).len();
            let layer = match layers {
                Some(rest) if pieces > 1 => {
                    let (layer, rest) = rest
                        .split_at_checked(pieces * 32)
                        .ok_or_else(|| coded("ERR_METAINFO", format!("piece layers end before file {n}")))?;
                    layers = Some(rest);
                    Some(layer.to_vec())
                }
                _ => None,
            };
            Ok(FileHashes { root: *root, layer })
        };
        let v2 = match self.roots.as_deref() {
            Some(roots) => {
                Some(roots.as_chunks().0.iter().enumerate().map(&mut file).collect::<napi::Result<_>>()?)
            }
            None => None,
        };
        Ok(PieceHashes { v1: self.pieces.as_ref().map(|pieces| pieces.to_vec()), v2 })
    }
}

/// What of a task outlives the call.
struct Running {
    threads: usize,
    uncached: bool,
    progress: Arc<AtomicU64>,
    cancelled: Arc<AtomicBool>,
}

impl Running {
    fn new(options: &HashOptions, progress: &Progress, cancel: Option<&CancelFlag>) -> Self {
        Self {
            threads: options.threads as usize,
            uncached: options.uncached,
            progress: Arc::clone(&progress.bytes),
            cancelled: flag(cancel),
        }
    }

    fn pass(&self) -> PassOptions<'_> {
        let (progress, cancelled) = (&self.progress, &self.cancelled);
        PassOptions { threads: self.threads, progress, cancelled, pace: None }
    }
}

/// Hashes files for a torrent on a worker that has threads of its own. ERR_IO names a file that cannot be read, is
/// not as long as listed, or changes meanwhile; ERR_METAINFO, ERR_INTERRUPTED.
#[napi(catch_unwind, ts_return_type = "Promise<ContentHashes>")]
pub fn hash_torrent(
    layout: TorrentLayout,
    options: HashOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> napi::Result<AsyncTask<Job<ContentHashes>>> {
    let (layout, running) = (layout.read()?, Running::new(&options, progress, cancel));
    Ok(AsyncTask::new(Job::new(move || {
        let Layout { kind, geometry, paths } = layout;
        let hashes = hash_files(&geometry, kind, &paths, running.uncached, running.pass());
        Ok(ContentHashes::made(hashes.map_err(refused)?))
    })))
}

/// A file that is not as the torrent says, whatever its bytes are.
#[napi(object, object_from_js = false)]
pub struct FaultyFile {
    /// The file's number in the layout.
    pub file: u32,
    /// `missing`, `not-a-file`, `short`, `long`, `unreadable` or `changed`.
    pub fault: String,
    /// The same in words.
    pub message: String,
}

/// Bytes of a file that are not known to be right.
#[napi(object, object_from_js = false)]
pub struct Damage {
    /// The file's number in the layout.
    pub file: u32,
    /// Offset in the file.
    pub start_bytes: i64,
    /// Offset in the file, half open.
    pub end_bytes: i64,
    /// `wrong`, `missing`, `unreadable`, `unproven` or `contradiction`.
    pub reason: String,
    /// Those that were never written (holes of a sparse file).
    pub hole_bytes: i64,
}

/// What a check found.
#[napi(object, object_from_js = false)]
pub struct CheckedTorrent {
    /// Pieces in the torrent.
    pub piece_count: u32,
    /// Those that have the torrent's hashes.
    pub good_pieces: u32,
    /// By file.
    pub faults: Vec<FaultyFile>,
    /// In the torrent's order.
    pub damage: Vec<Damage>,
}

/// Hashes files on a worker that has threads of its own, and compares with a torrent. ERR_METAINFO when the hashes do
/// not fit the layout or each other; ERR_INTERRUPTED.
#[napi(catch_unwind, ts_return_type = "Promise<CheckedTorrent>")]
pub fn check_torrent(
    layout: TorrentLayout,
    hashes: ContentHashes,
    options: HashOptions,
    progress: &Progress,
    cancel: Option<&CancelFlag>,
) -> napi::Result<AsyncTask<Job<CheckedTorrent>>> {
    let layout = layout.read()?;
    let hashes = hashes.read(&layout.geometry)?;
    let running = Running::new(&options, progress, cancel);
    Ok(AsyncTask::new(Job::new(move || {
        let Layout { geometry, paths, .. } = layout;
        let report = check_files(&geometry, hashes, &paths, running.uncached, running.pass());
        Ok(checked(&geometry, report.map_err(refused)?))
    })))
}

fn checked(geometry: &Geometry, report: CheckReport) -> CheckedTorrent {
    let entry = |file: usize| geometry.files().get(file).map_or(0, |span| span.entry as u32);
    CheckedTorrent {
        piece_count: geometry.piece_count(),
        good_pieces: report.good_pieces,
        faults: report
            .faults
            .into_iter()
            .map(|(file, fault)| FaultyFile {
                file: entry(file),
                message: fault.to_string(),
                fault: match fault {
                    FileFault::Missing => "missing",
                    FileFault::NotAFile => "not-a-file",
                    FileFault::Short(_) => "short",
                    FileFault::Long(_) => "long",
                    FileFault::Unreadable(_) => "unreadable",
                    FileFault::Changed(_) => "changed",
                }
                .into(),
            })
            .collect(),
        damage: report
            .damage
            .into_iter()
            .map(|damage| Damage {
                file: entry(damage.file),
                start_bytes: number(damage.range.start),
                end_bytes: number(damage.range.end),
                reason: match damage.reason {
                    DamageReason::Wrong => "wrong",
                    DamageReason::Missing => "missing",
                    DamageReason::Unreadable => "unreadable",
                    DamageReason::Unproven => "unproven",
                    DamageReason::Contradiction => "contradiction",
                }
                .into(),
                hole_bytes: number(damage.hole_bytes),
            })
            .collect(),
    }
}
