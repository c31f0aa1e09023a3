//! Files that their owner deletes, kept for their bytes within a budget of disk: linked, cloned, copied, or held open.
//!
//! Before a file goes it is held open, and linked into a folder of ours where the system lets us: a link costs nothing
//! while the owner has the file, and survives a restart. Where it cannot be linked it is cloned (`FICLONE`) or copied out
//! of its descriptor once it is gone. Copies and links lie under the files' own names; what is no longer wanted makes room
//! in the order of names, which for a node's files is the order of their age.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
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
/// Files held open at a time, before their owner deletes them.
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
    state: Mutex<BTreeMap<OsString, Entry>>,
}

struct Entry {
    id: FileId,
    path: PathBuf,
    /// Open, unless it came from an earlier run.
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
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).map_err(|error| at_path(&path, &error))?;
            }
        }
        Ok(Self { files, folder: folder.to_owned(), budget, state: Mutex::default() })
    }

    /// Takes note of the owner's files, in the order in which they will be deleted. Those that are there are held until
    /// they make up twice the budget; in the place of one that is gone what an earlier run kept of it is read.
    /// Blocks: call on a worker.
    pub fn hold(&self, owned: impl IntoIterator<Item = FileId>) {
        let mut state = self.state.lock();
        let mut ahead = 0;
        let mut held = state.values().filter(|entry| entry.file.is_some()).count();
        for id in owned {
            let Some((path, name)) = self.name_of(id) else { continue };
            if let Some(entry) = state.get(&name) {
                ahead += if entry.is_gone { 0 } else { entry.bytes };
                continue;
            }
            let kept = self.folder.join(&name);
            match fs::metadata(&path) {
                Ok(_) if ahead < self.budget.saturating_mul(2) && held < MOST_HELD => {
                    let Ok(file) = self.files.hold(id) else { continue };
                    let bytes = bytes_of(&file);
                    let survives = link(&path, &kept, &file);
                    ahead += bytes;
                    held += 1;
                    state.insert(name, Entry { id, path, file: Some(file), survives, is_gone: false, bytes });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let Ok(metadata) = fs::metadata(&kept) else { continue };
                    self.files.relocate(id, &kept);
                    let bytes = metadata.blocks() * 512;
                    state.insert(name, Entry { id, path, file: None, survives: true, is_gone: true, bytes });
                }
                _ => {}
            }
        }
    }

    /// Sees which held files were deleted, and keeps them as far as the budget goes. Copies at the rate of `pace`.
    /// Blocks: call on a worker.
    pub fn collect(&self, pace: &HashPace, cancelled: &AtomicBool) -> Collected {
        let mut state = self.state.lock();
        let mut collected = Collected::default();
        let gone: Vec<OsString> = state
            .iter_mut()
            .filter(|(_, entry)| !entry.is_gone && !is_same(&entry.path, entry.file.as_deref()))
            .map(|(name, entry)| {
                entry.is_gone = true;
                entry.bytes = entry.file.as_deref().map_or(0, bytes_of);
                name.clone()
            })
            .collect();
        // The oldest first, also those that are gone just now.
        while Self::kept_bytes(&state) > self.budget
            && let Some(name) = state.iter().find(|(_, entry)| entry.is_gone).map(|(name, _)| name.clone())
            && let Some(entry) = state.remove(&name)
        {
            if entry.survives {
                let _ = fs::remove_file(self.folder.join(&name));
            }
            // Where it was there is nothing: its pieces are missed at the next read.
            self.files.relocate(entry.id, &entry.path);
            collected.dropped.push(entry.path);
        }
        for name in gone {
            let Some(entry) = state.get_mut(&name) else { continue };
            let kept = self.folder.join(&name);
            if let (false, Some(file)) = (entry.survives, &entry.file) {
                match copy(file, &kept, pace, cancelled) {
                    Ok(()) => entry.survives = true,
                    Err(error) => collected.errors.push(error.to_string()),
                }
            }
            if entry.survives {
                self.files.relocate(entry.id, &kept);
                entry.file = None;
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

    fn kept_bytes(state: &BTreeMap<OsString, Entry>) -> u64 {
        state.values().filter(|entry| entry.is_gone).map(|entry| entry.bytes).sum()
    }

    fn name_of(&self, id: FileId) -> Option<(PathBuf, OsString)> {
        let path = self.files.path(id)?;
        let name = path.file_name()?.to_owned();
        Some((path, name))
    }
}

impl Drop for KeptFiles {
    /// A link to a file that its owner still has is of use only while somebody sees it go.
    fn drop(&mut self) {
        for (name, entry) in self.state.get_mut().iter().filter(|(_, entry)| !entry.is_gone && entry.survives)
        {
            if is_same(&entry.path, entry.file.as_deref()) {
                let _ = fs::remove_file(self.folder.join(name));
            }
        }
    }
}

/// Bytes on disk.
fn bytes_of(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.blocks() * 512)
}

/// Whether the path still leads to the open file.
fn is_same(path: &Path, file: Option<&File>) -> bool {
    let Some(Ok(open)) = file.map(File::metadata) else { return false };
    fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

/// Gives a file a second name; false where the system does not let us.
fn link(path: &Path, kept: &Path, file: &File) -> bool {
    if is_same(kept, Some(file)) {
        return true;
    }
    // What is there is of another file.
    let _ = fs::remove_file(kept);
    let linked = fs::hard_link(path, kept).is_ok();
    let right = linked && is_same(kept, Some(file));
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
