//! Hashes that were made of bytes in files of others, and what tells that the bytes are still the same.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{RecordReader, RecordWriter};
use crate::extents::FileRun;
use crate::{Extents, ExtentsBuilder, FileHashes, FileId, FileIdentity, Files, PieceHashes};

const VERSION: u8 = 1;

/// The hashes of a torrent over files of others, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeHashes {
    files: Vec<(PathBuf, FileIdentity)>,
    /// Where the bytes lie, in the torrent's order.
    runs: Vec<Run>,
    length: u64,
    hashes: PieceHashes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Number in the list of files.
    file: u32,
    offset: u64,
    length: u64,
}

/// What files were before their bytes were hashed.
pub struct Before {
    files: Vec<(FileId, PathBuf, FileIdentity)>,
}

impl Before {
    /// Looks at the files that are about to be read. `None` when one cannot be looked at.
    pub fn of(files: &Files, ids: impl IntoIterator<Item = FileId>) -> Option<Self> {
        let ids: BTreeSet<FileId> = ids.into_iter().collect();
        let look = |id: FileId| {
            let path = files.path(id)?;
            let identity = FileIdentity::at(&path).ok()??;
            Some((id, path, identity))
        };
        Some(Self { files: ids.into_iter().map(look).collect::<Option<_>>()? })
    }
}

impl MadeHashes {
    /// To be kept when the files were the same all through the hashing, and not written to so lately that a change
    /// could go unseen; else `None`. Also for padding: files of others have none.
    pub fn new(before: Before, extents: &Extents, hashes: &PieceHashes) -> Option<Self> {
        let is_quiet = |was: &FileIdentity, path: &Path| {
            !was.is_recent() && FileIdentity::at(path).is_ok_and(|now| now == Some(*was))
        };
        if !before.files.iter().all(|(_, path, was)| is_quiet(was, path)) {
            return None;
        }
        let number = |id: FileId| before.files.binary_search_by_key(&id, |(id, ..)| *id).ok();
        let run =
            |FileRun { file, offset, length }| Some(Run { file: number(file?)? as u32, offset, length });
        let runs = extents.runs().map(run).collect::<Option<_>>()?;
        let files = before.files.into_iter().map(|(_, path, identity)| (path, identity)).collect();
        Some(Self { files, runs, length: extents.length(), hashes: hashes.clone() })
    }

    /// The bytes and their hashes, when all files are as they were, or are gone: these can have been kept elsewhere, and
    /// what is left is as good as before. `files` must know them: `id` says under which number.
    pub fn restore(
        &self,
        files: &Arc<Files>,
        id: impl Fn(&Path) -> Option<FileId>,
    ) -> Option<(Extents, PieceHashes)> {
        let mut ids = Vec::with_capacity(self.files.len());
        for (path, was) in &self.files {
            let is_as_it_was = FileIdentity::at(path).is_ok_and(|now| now.is_none_or(|now| now == *was));
            ids.push(id(path).filter(|_| is_as_it_was)?);
        }
        let mut builder = ExtentsBuilder::new(Arc::clone(files));
        for run in &self.runs {
            builder.push(*ids.get(run.file as usize)?, run.offset, run.length).ok()?;
        }
        let extents = builder.finish();
        (extents.length() == self.length).then(|| (extents, self.hashes.clone()))
    }

    /// The hashes alone.
    pub fn into_hashes(self) -> PieceHashes {
        self.hashes
    }

    /// For [`Self::decode`].
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = RecordWriter::new(VERSION);
        out.u32(self.files.len() as u32);
        for (path, identity) in &self.files {
            out.list(path.as_os_str().as_bytes());
            out.identity(identity);
        }
        out.u32(self.runs.len() as u32);
        for run in &self.runs {
            out.u32(run.file);
            out.u64(run.offset);
            out.u64(run.length);
        }
        out.u64(self.length);
        out.maybe(self.hashes.v1.as_deref(), RecordWriter::list);
        let v2 = self.hashes.v2.as_deref().unwrap_or_default();
        out.u32(v2.len() as u32);
        for FileHashes { root, layer } in v2 {
            out.bytes(root);
            out.maybe(layer.as_deref(), RecordWriter::list);
        }
        out.finish()
    }

    /// `None` when the bytes are damaged, or of another version. Takes memory in proportion to the input.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = RecordReader::new(bytes, VERSION)?;
        let mut files = Vec::new();
        for _ in 0..fields.u32()? {
            let path = PathBuf::from(OsStr::from_bytes(fields.list()?));
            files.push((path, fields.identity()?));
        }
        let mut runs = Vec::new();
        for _ in 0..fields.u32()? {
            runs.push(Run { file: fields.u32()?, offset: fields.u64()?, length: fields.u64()? });
        }
        let bytes = |fields: &mut RecordReader<'_>| fields.list().map(<[u8]>::to_vec);
        let (length, v1) = (fields.u64()?, fields.maybe(bytes).ok()?);
        let mut v2 = Vec::new();
        for _ in 0..fields.u32()? {
            v2.push(FileHashes { root: fields.array()?, layer: fields.maybe(bytes).ok()? });
        }
        fields.end()?;
        let hashes = PieceHashes { v1, v2: Some(v2).filter(|v2| !v2.is_empty()) };
        Some(Self { files, runs, length, hashes })
    }
}

#[cfg(test)]
#[path = "made_test.rs"]
mod tests;
