//! Files that their owner deletes, kept for their bytes within a budget of disk: linked, cloned, copied, or held open.
//!
//! Before a file goes it is linked into a folder of ours, and read there, where the system lets us: a link costs nothing
//! while the owner has the file, and survives a restart. Where it cannot be linked it is held open, and cloned (`FICLONE`)
//! or copied out of its descriptor once it is gone. Copies and links lie under the files' own names. The oldest makes room, after what an
//! earlier run kept and nobody knows any more.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::at_path;
use crate::{FileId, Files, HashPace};

/// Bytes copied at a time.
const STEP_BYTES: u64 = 1024 * 1024;
/// Files held open at a time that could not be linked, before their owner deletes them.
const MOST_HELD: usize = 256;

/// A file that its owner has deleted or will delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Where it was.
    pub path: PathBuf,
    /// Its bytes on disk.
    pub bytes: u64,
    /// It survives a restart: it is linked or copied, not only held open.
    pub survives: bool,
}

/// What a round has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Their owner deleted them; they are kept.
    pub kept: Vec<KeptFile>,
    /// Kept until now, or just deleted by their owner, and let go: the budget is used up.
    pub dropped: Vec<PathBuf>,
    /// Why a file could not be copied; it is only held open.
    pub errors: Vec<String>,
}

/// The keeper of one table's files. Thread-safe; one round at a time.
pub struct KeptFiles {
    files: Arc<Files>,
    folder: PathBuf,
    budget: u64,
    state: Mutex<BTreeMap<Key, Entry>>,
}

/// Age and name. What an earlier run kept has no age before its file is known.
type Key = (Option<u32>, OsString);

/// Device and number.
type Identity = (u64, u64);

struct Entry {
    id: Option<FileId>,
    /// Where it was.
    path: PathBuf,
    /// Which file it is.
    identity: Identity,
    /// Open, while there is no link or copy.
    file: Option<Arc<File>>,
    /// In our folder.
    survives: bool,
    is_gone: bool,
    bytes: u64,
}

impl KeptFiles {
    /// Keeps at most `budget` bytes of deleted files. The folder is made; what a run that was killed left half copied there
    /// is removed.
    pub fn open(files: Arc<Files>, folder: &Path, budget: u64) -> io::Result<Self> {
        fs::create_dir_all(folder).map_err(|error| at_path(folder, &error))?;
        let mut state = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).map_err(|error| at_path(&path, &error))?;
                continue;
            }
            let metadata = entry.metadata()?;
            let (identity, bytes) = (identity_of(&metadata), bytes_of(&metadata));
            let kept = Entry { id: None, path, identity, file: None, survives: true, is_gone: true, bytes };
            state.insert((None, entry.file_name()), kept);
        }
        Ok(Self { files, folder: folder.to_owned(), budget, state: Mutex::new(state) })
    }

    /// Takes note of the owner's files and their ages, 0 the oldest, in the order in which they will be deleted. Those that
    /// are there are held until they make up twice the budget; in the place of one that is gone what an earlier run kept
    /// of it is read. Blocks: call on a worker.
    pub fn hold(&self, owned: impl IntoIterator<Item = (u32, FileId)>) {
        let mut state = self.state.lock();
        let mut ahead = 0;
        let mut held = state.values().filter(|entry| entry.file.is_some()).count();
        for (age, id) in owned {
            let Some((path, name)) = self.name_of(id) else { continue };
            if let Some(entry) = state.get(&(Some(age), name.clone())) {
                ahead += if entry.is_gone { 0 } else { entry.bytes };
                continue;
            }
            let kept = self.folder.join(&name);
            let earlier = state.remove(&(None, name.clone()));
            let entry = match fs::metadata(&path) {
                Ok(metadata) if ahead < self.budget.saturating_mul(2) => {
                    let (identity, bytes) = (identity_of(&metadata), bytes_of(&metadata));
                    let survives = link(&path, &kept, identity);
                    let file = if survives {
                        self.files.relocate(id, &kept);
                        None
                    } else if held < MOST_HELD
                        && let Ok(file) = self.files.hold(id)
                    {
                        held += 1;
                        Some(file)
                    } else {
                        continue;
                    };
                    ahead += bytes;
                    Entry { id: Some(id), path, identity, file, survives, is_gone: false, bytes }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let Some(earlier) = earlier else { continue };
                    self.files.relocate(id, &kept);
                    Entry { id: Some(id), path, ..earlier }
                }
                _ => {
                    // The owner has it, and not for us to keep now.
                    let _ = earlier.map(|_| fs::remove_file(&kept));
                    continue;
                }
            };
            state.insert((Some(age), name), entry);
        }
    }

    /// Sees which held files were deleted, and keeps them as far as the budget goes. Copies at the rate of `pace`.
    /// Blocks: call on a worker.
    pub fn collect(&self, pace: &HashPace, cancelled: &AtomicBool) -> Collected {
        let mut state = self.state.lock();
        let mut collected = Collected::default();
        let gone: Vec<Key> = state
            .iter_mut()
            .filter(|(_, entry)| !entry.is_gone && !is_same(&entry.path, entry.identity))
            .map(|(key, entry)| {
                entry.is_gone = true;
                // It may have grown since.
                let metadata = match &entry.file {
                    Some(file) => file.metadata(),
                    None => fs::metadata(self.folder.join(&key.1)),
                };
                entry.bytes = metadata.as_ref().map_or(0, bytes_of);
                key.clone()
            })
            .collect();
        // The oldest first, also those that are gone just now.
        while Self::kept_bytes(&state) > self.budget
            && let Some(key) = state.iter().find(|(_, entry)| entry.is_gone).map(|(key, _)| key.clone())
            && let Some(entry) = state.remove(&key)
        {
            if entry.survives {
                let _ = fs::remove_file(self.folder.join(&key.1));
            }
            if let Some(id) = entry.id {
                // Where it was there is nothing: its pieces are missed at the next read.
                self.files.relocate(id, &entry.path);
            }
            collected.dropped.push(entry.path);
        }
        for key in gone {
            let Some(entry) = state.get_mut(&key) else { continue };
            let kept = self.folder.join(&key.1);
            if let Some(file) = &entry.file {
                match copy(file, &kept, pace, cancelled) {
                    Ok(()) => {
                        entry.id.iter().for_each(|id| self.files.relocate(*id, &kept));
                        (entry.survives, entry.file) = (true, None);
                    }
                    Err(error) => collected.errors.push(error.to_string()),
                }
            }
            let Entry { path, bytes, survives, .. } = entry;
            collected.kept.push(KeptFile { path: path.clone(), bytes: *bytes, survives: *survives });
        }
        collected
    }

    /// What is kept now though its owner deleted it.
    pub fn kept(&self) -> Vec<KeptFile> {
        let state = self.state.lock();
        let gone = state.values().filter(|entry| entry.is_gone);
        gone.map(|Entry { path, bytes, survives, .. }| KeptFile {
            path: path.clone(),
            bytes: *bytes,
            survives: *survives,
        })
        .collect()
    }

    /// Lets go of the links to files that their owner still has: they are of use only while somebody sees these go.
    pub fn release(&self) {
        self.state.lock().retain(|(_, name), entry| {
            let is_spare = !entry.is_gone && entry.survives && is_same(&entry.path, entry.identity);
            if is_spare {
                entry.id.iter().for_each(|id| self.files.relocate(*id, &entry.path));
                let _ = fs::remove_file(self.folder.join(name));
            }
            !is_spare
        });
    }

    fn kept_bytes(state: &BTreeMap<Key, Entry>) -> u64 {
        state.values().filter(|entry| entry.is_gone).map(|entry| entry.bytes).sum()
    }

    fn name_of(&self, id: FileId) -> Option<(PathBuf, OsString)> {
        let path = self.files.path(id)?;
        let name = path.file_name()?.to_owned();
        Some((path, name))
    }
}

fn identity_of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Bytes on disk.
fn bytes_of(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// Whether the path leads to this file.
fn is_same(path: &Path, identity: Identity) -> bool {
    fs::metadata(path).is_ok_and(|there| identity_of(&there) == identity)
}

/// Gives a file a second name; false where the system does not let us.
fn link(path: &Path, kept: &Path, identity: Identity) -> bool {
    if is_same(kept, identity) {
        return true;
    }
    // What is there is of another file.
    let _ = fs::remove_file(kept);
    let linked = fs::hard_link(path, kept).is_ok();
    let right = linked && is_same(kept, identity);
    if linked && !right {
        let _ = fs::remove_file(kept);
    }
    right
}

/// Makes a file of an open one's bytes; it appears only when it is whole and on disk.
fn copy(file: &File, kept: &Path, pace: &HashPace, cancelled: &AtomicBool) -> io::Result<()> {
    let part = kept.with_extension("part");
    let copied = copy_into(file, &part, pace, cancelled).and_then(|()| fs::rename(&part, kept));
    if copied.is_err() {
        // Best effort: the reason that matters is the first one.
        let _ = fs::remove_file(&part);
    }
    copied.map_err(|error| at_path(&part, &error))
}

fn copy_into(file: &File, part: &Path, pace: &HashPace, cancelled: &AtomicBool) -> io::Result<()> {
    let out = File::create(part)?;
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(&out, file).is_ok() {
        return out.sync_data();
    }
    let _idle = pace.step_back();
    let (length, mut at) = (file.metadata()?.len(), 0);
    let mut buffer = vec![0; STEP_BYTES as usize];
    while at < length {
        if cancelled.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let step = buffer.split_at_mut(STEP_BYTES.min(length - at) as usize).0;
        pace.take(step.len() as u64, cancelled);
        file.read_exact_at(step, at)?;
        out.write_all_at(step, at)?;
        at += step.len() as u64;
    }
    out.sync_data()
}

#[cfg(test)]
#[path = "kept_test.rs"]
mod tests;
