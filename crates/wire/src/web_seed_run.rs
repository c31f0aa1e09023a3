//! Blocks that lie next to each other in the torrent, as ranges of its files; and the bytes of those ranges as blocks
//! again. Pure. Padding (BEP 47) and what lies between files is never asked for: it is zeros.

use blockswarm_pieces::Geometry;
use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of blocks in one run: what one request asks for at most.
pub const RUN_BYTES: u64 = 16 * 1024 * 1024;

/// A row of blocks on their way.
#[derive(Debug, Default)]
pub struct Run {
    blocks: VecDeque<RunBlock>,
    /// Where the run ends in the torrent.
    end: u64,
    bytes: u64,
    parts: VecDeque<Part>,
    /// The beginning of the first block.
    partial: Vec<u8>,
}

#[derive(Debug)]
struct RunBlock {
    piece: u32,
    block: u32,
    bytes: usize,
    wanted: bool,
}

#[derive(Debug)]
enum Part {
    File { file: usize, range: Range<u64> },
    Zeros(u64),
}

impl Run {
    /// Adds a block; false when it does not follow the last one, or the run is long enough.
    pub fn push(&mut self, geometry: &Geometry, piece: u32, block: u32) -> bool {
        let Some(index) = geometry.piece(piece) else { return false };
        let bytes = geometry.block_bytes(index, block);
        let start =
            geometry.piece_offset(index) + u64::from(block) * u64::from(blockswarm_pieces::BLOCK_BYTES);
        let fits =
            self.blocks.is_empty() || (start == self.end && self.bytes + u64::from(bytes) <= RUN_BYTES);
        if bytes == 0 || !fits {
            return false;
        }
        // One that has come is begun anew.
        let before = if self.blocks.is_empty() { 0 } else { self.bytes };
        self.end = start + u64::from(bytes);
        self.bytes = before + u64::from(bytes);
        self.blocks.push_back(RunBlock { piece, block, bytes: bytes as usize, wanted: true });
        let mut at = start;
        for part in geometry.parts(&(start..self.end)) {
            let Some(file) = geometry.files().get(part.file) else { continue };
            let from = file.start + part.range.start;
            self.add_zeros(from - at);
            at = file.start + part.range.end;
            match self.parts.back_mut() {
                Some(Part::File { file, range }) if *file == part.file && range.end == part.range.start => {
                    range.end = part.range.end;
                }
                _ => self.parts.push_back(Part::File { file: part.file, range: part.range }),
            }
        }
        self.add_zeros(self.end - at);
        true
    }

    /// Whether nothing was added, or all of it has come.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The file, by its number in [`Geometry::files`], and the range of it that comes next. Zeros before it are filled in:
    /// blocks that they complete go to `keep`.
    pub fn next_part(&mut self, mut keep: impl FnMut(u32, u32, &[u8])) -> Option<(usize, Range<u64>)> {
        const ZEROS: &[u8] = &[0; 4096];
        loop {
            match self.parts.front_mut()? {
                Part::File { file, range } => return Some((*file, range.clone())),
                Part::Zeros(left) => {
                    let bytes = (*left).min(ZEROS.len() as u64) as usize;
                    *left -= bytes as u64;
                    if *left == 0 {
                        self.parts.pop_front();
                    }
                    self.cut(ZEROS.get(..bytes).unwrap_or_default(), &mut keep);
                }
            }
        }
    }

    /// Takes bytes of the file range that comes next; whole blocks go to `keep` as piece, block and bytes. What is more
    /// than the range is passed over.
    pub fn take(&mut self, data: &[u8], mut keep: impl FnMut(u32, u32, &[u8])) {
        let Some(Part::File { range, .. }) = self.parts.front_mut() else { return };
        let bytes = (range.end - range.start).min(data.len() as u64);
        range.start += bytes;
        if range.start == range.end {
            self.parts.pop_front();
        }
        self.cut(data.get(..bytes as usize).unwrap_or_default(), &mut keep);
    }

    /// Nobody wants these blocks any more.
    pub fn cancel(&mut self, piece: u32, blocks: &[u32]) {
        for each in self.blocks.iter_mut().filter(|each| each.piece == piece) {
            each.wanted &= !blocks.contains(&each.block);
        }
    }

    /// Whether a block is still to come that somebody wants.
    pub fn is_wanted(&self) -> bool {
        self.blocks.iter().any(|block| block.wanted)
    }

    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes as u64).sum::<u64>() - self.partial.len() as u64
    }

    /// The blocks still to come.
    pub fn blocks(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.blocks.iter().map(|block| (block.piece, block.block))
    }

    fn add_zeros(&mut self, bytes: u64) {
        match self.parts.back_mut() {
            _ if bytes == 0 => {}
            Some(Part::Zeros(more)) => *more += bytes,
            _ => self.parts.push_back(Part::Zeros(bytes)),
        }
    }

    /// Whole blocks go on as they are, without a copy.
    fn cut(&mut self, mut data: &[u8], keep: &mut impl FnMut(u32, u32, &[u8])) {
        while let Some(first) = self.blocks.front() {
            let missing = first.bytes - self.partial.len();
            let Some((now, rest)) = data.split_at_checked(missing) else {
                self.partial.extend_from_slice(data);
                return;
            };
            let (piece, block) = (first.piece, first.block);
            if self.partial.is_empty() {
                keep(piece, block, now);
            } else {
                self.partial.extend_from_slice(now);
                keep(piece, block, &self.partial);
                self.partial.clear();
            }
            self.blocks.pop_front();
            data = rest;
        }
    }
}

#[cfg(test)]
#[path = "web_seed_run_test.rs"]
mod tests;
