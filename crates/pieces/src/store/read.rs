//! Bytes out: for peers, and whole for another file.

use std::fs::{self, File};
use std::io::{self, IoSliceMut, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Backing, Store};
use crate::error::at_path;
use crate::hot::{self, CHUNK_BYTES, Lookup};
use crate::nowait::NowRead;
use crate::scatter::Scatter;
use crate::{PieceIndex, PiecesError};

/// Bytes copied at a time: enough to hide a system call, small enough to cancel.
const STEP_BYTES: usize = 1024 * 1024;
/// Times that a range is read and hashed when its files are written to meanwhile.
const MOST_READINGS: usize = 4;

impl Store {
    /// Fills `buffer` from `offset`, waiting for the disk. A range beyond the end is `InvalidInput`, one
    /// that touches a piece not servable `NotFound`; a file that fails is an error too, and a [`crate::Fault`]. A piece
    /// that is only assumed is hashed first.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        for _ in 0..MOST_READINGS {
            self.check_servable(offset, buffer.len() as u64)?;
            self.check_assumed(&range)?;
            self.read_believed(offset, buffer)?;
            if !self.is_assumed(&range) {
                return Ok(());
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "a file that is being written to all the time"))
    }

    fn read_believed(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let backing = self.backing();
        self.read_ahead(&backing, &(offset..offset + buffer.len() as u64));
        match self.read_from(&backing, offset, buffer) {
            Err(error) if self.lose_file(&backing, &error) => return Err(error),
            // Moved meanwhile.
            Err(_) => self.read_from(&self.backing(), offset, buffer)?,
            Ok(()) => {}
        }
        // A piece that was lost meanwhile is not what was read.
        self.check_servable(offset, buffer.len() as u64)
    }

    /// Who reads here waits for the disk: what it reads next may be asked for meanwhile. What is not servable is not.
    fn read_ahead(&self, backing: &Backing, range: &Range<u64>) {
        let Some(Range { start, end }) = self.ahead.lock().waited(range) else { return };
        let missing = self.geometry.pieces_in(&(start..end)).find(|piece| !self.servable.get(*piece));
        let first_missing = |piece| u64::from(piece) * u64::from(self.geometry.piece_length());
        backing.extents.advise(&(start..missing.map_or(end.min(self.geometry.length()), first_missing)));
    }

    /// Fills `buffers` from `offset` if that needs no waiting for the disk; errors as in
    /// [`Self::read_exact_at`].
    pub fn read_now(&self, offset: u64, buffers: &mut [IoSliceMut<'_>]) -> io::Result<NowRead> {
        let length = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        self.check_servable(offset, length)?;
        let range = offset..offset + length;
        if self.is_assumed(&range) {
            return Ok(NowRead::WouldBlock);
        }
        let backing = self.backing();
        let read = if backing.extents.is_encoded() {
            self.read_hot_now(&backing, offset..offset + length, buffers)
        } else if self.unwritten.is_empty() {
            backing.extents.read_now(offset, buffers)
        } else {
            self.read_pieces_now(&backing, offset..offset + length, &mut Scatter::new(buffers))
        };
        match read {
            Err(error) if self.lose_file(&backing, &error) => return Err(error),
            // Moved meanwhile: a worker sorts it out.
            Ok(NowRead::WouldBlock) | Err(_) => return Ok(NowRead::WouldBlock),
            Ok(NowRead::Done) => {}
        }
        self.check_servable(offset, length)?;
        Ok(if self.is_assumed(&range) { NowRead::WouldBlock } else { NowRead::Done })
    }

    /// Out of the hot cache, or the files; what is asked for again goes into the cache.
    fn read_hot_now(
        &self,
        backing: &Backing,
        range: Range<u64>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<NowRead> {
        let Some(hot) = self.hot.read().clone() else {
            return backing.extents.read_now(range.start, buffers);
        };
        let (wanted, generation) = match hot.find(&range) {
            Lookup::Hit(chunks) => {
                hot::copy(&chunks, &range, &mut Scatter::new(buffers));
                return Ok(NowRead::Done);
            }
            Lookup::Miss(wanted, generation) => (wanted, generation),
        };
        for n in wanted {
            let start = n * CHUNK_BYTES;
            let end = (start + CHUNK_BYTES).min(self.geometry.length());
            let mut chunk = vec![0; (end - start) as usize];
            let is_whole = self.check_servable(start, end - start).is_ok() && !self.is_assumed(&(start..end));
            if is_whole
                && backing.extents.read_now(start, &mut [IoSliceMut::new(&mut chunk)])? == NowRead::Done
            {
                hot.insert(n, chunk.into(), generation);
            }
        }
        backing.extents.read_now(range.start, buffers)
    }

    fn read_from(&self, backing: &Backing, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return backing.extents.read_exact_at(offset, buffer);
        }
        let mut rest = buffer;
        for (piece, range) in self.by_piece(offset..offset + rest.len() as u64) {
            let (head, tail) = rest.split_at_mut((range.end - range.start) as usize);
            match self.unwritten.get(piece.get()) {
                Some(bytes) => {
                    bytes.copy_to((range.start - self.geometry.piece_offset(piece)) as usize, head);
                }
                None => backing.extents.read_exact_at(range.start, head)?,
            }
            rest = tail;
        }
        Ok(())
    }

    fn read_pieces_now(
        &self,
        backing: &Backing,
        range: Range<u64>,
        buffers: &mut Scatter<'_, '_>,
    ) -> io::Result<NowRead> {
        let mut parts = Vec::new();
        for (piece, range) in self.by_piece(range) {
            let length = range.end - range.start;
            let Some(bytes) = self.unwritten.get(piece.get()) else {
                match backing.extents.scatter_now(range.start, length, buffers)? {
                    NowRead::Done => continue,
                    NowRead::WouldBlock => return Ok(NowRead::WouldBlock),
                }
            };
            let mut begin = (range.start - self.geometry.piece_offset(piece)) as usize;
            buffers.take(length, &mut parts);
            for part in &mut parts {
                bytes.copy_to(begin, part);
                begin += part.len();
            }
        }
        Ok(NowRead::Done)
    }

    /// A range of the torrent, piece by piece.
    fn by_piece(&self, range: Range<u64>) -> impl Iterator<Item = (PieceIndex, Range<u64>)> + '_ {
        let pieces = self.geometry.pieces_in(&range).filter_map(|n| self.geometry.piece(n));
        pieces.map(move |piece| {
            let start = self.geometry.piece_offset(piece);
            let end = start + u64::from(self.geometry.piece_length());
            (piece, start.max(range.start)..end.min(range.end))
        })
    }

    pub(super) fn check_servable(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= self.geometry.length());
        let beyond = || io::Error::new(io::ErrorKind::InvalidInput, "a range beyond the torrent");
        let end = end.ok_or_else(beyond)?;
        let mut pieces = self.geometry.pieces_in(&(offset..end));
        let servable = pieces.all(|piece| self.servable.get(piece));
        let missing = || io::Error::new(io::ErrorKind::NotFound, "a piece that is not servable");
        if servable { Ok(()) } else { Err(missing()) }
    }

    /// Writes the whole contents to a new file, which appears at `path` only when it is whole and on disk.
    /// An existing file is `AlreadyExists`; a piece that is not servable `NotFound`. Blocks: call on a worker.
    pub fn copy_to(&self, path: &Path, cancelled: &AtomicBool) -> Result<(), PiecesError> {
        if path.try_exists()? {
            return Err(at_path(path, &io::ErrorKind::AlreadyExists.into()).into());
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = Path::new(&name);
        let copied = self.copy_into(part, cancelled).and_then(|()| Ok(fs::rename(part, path)?));
        if copied.is_err() {
            // Best effort: the reason that matters is the first one.
            let _ = fs::remove_file(part);
        }
        copied
    }

    fn copy_into(&self, part: &Path, cancelled: &AtomicBool) -> Result<(), PiecesError> {
        let mut file = File::create(part).map_err(|error| at_path(part, &error))?;
        let mut buffer = vec![0; STEP_BYTES];
        let mut offset = 0;
        while offset < self.geometry.length() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(PiecesError::Cancelled);
            }
            let bytes = (self.geometry.length() - offset).min(STEP_BYTES as u64);
            let step = buffer.split_at_mut(bytes as usize).0;
            self.read_exact_at(offset, step)?;
            file.write_all(step).map_err(|error| at_path(part, &error))?;
            offset += bytes;
        }
        Ok(file.sync_all().map_err(|error| at_path(part, &error))?)
    }
}
