//! The tree that the headers of all blocks make, and the chain with the most work in it.
use super::file::{BlockFile, Frame};
use crate::encode::Hash;
use crate::header::Header;
use crate::params::Params;
use crate::pow::work;
use crate::u256::U256;
use std::sync::Arc;

/// Height of a block whose line to genesis is not held, and of a later copy of a block.
const DETACHED: u32 = u32::MAX;
/// Not computed yet.
const OPEN: u32 = u32::MAX - 1;

/// All blocks of all files, numbered in the order (file, offset).
pub(super) struct Tree {
    files: Vec<Arc<BlockFile>>,
    /// Number of each file's first block; one more entry than files.
    firsts: Vec<u32>,
    /// Start of the hash and number, sorted: 8 bytes a block, a third of what a hash map takes.
    by_hash: Vec<(u32, u32)>,
    heights: Vec<u32>,
    /// Numbers of the blocks of the chain with the most work, genesis first.
    pub chain: Vec<u32>,
    /// Work of that chain.
    pub work: U256,
    /// Blocks that hang on genesis and are not in that chain.
    pub stale: u32,
    /// Blocks without a line to genesis.
    pub orphans: u32,
}

/// A block found by number.
pub(super) struct Found<'a> {
    pub file: &'a Arc<BlockFile>,
    /// Its place among the file's blocks.
    pub index: usize,
    pub frame: &'a Frame,
}

impl Tree {
    /// Links the blocks of `files`, which are in the order of their numbers.
    ///
    /// When a block occurs twice the copy at the lowest (file, offset) counts. After a crash Core goes on at the
    /// position it flushed last and fetches again what it forgot, so the copies that lie behind its new end are
    /// remains that it will write over.
    pub fn build(files: Vec<Arc<BlockFile>>, params: &Params) -> Self {
        let mut firsts = Vec::with_capacity(files.len() + 1);
        let mut count = 0u32;
        for file in &files {
            firsts.push(count);
            count = count.saturating_add(file.frames.len() as u32);
        }
        firsts.push(count);
        let numbers = 0..count;
        let frames = files.iter().flat_map(|file| file.frames.iter());
        let mut by_hash: Vec<(u32, u32)> = frames.zip(numbers).map(|(f, n)| (prefix(&f.hash), n)).collect();
        by_hash.sort_unstable();
        let heights = vec![OPEN; count as usize];
        let mut tree = Self {
            files,
            firsts,
            by_hash,
            heights,
            chain: Vec::new(),
            work: U256::ZERO,
            stale: 0,
            orphans: 0,
        };
        tree.link(params);
        tree
    }

    /// All files, in the order of their numbers.
    pub fn files(&self) -> &[Arc<BlockFile>] {
        &self.files
    }

    /// Whether `file`, of another picture, still is the same file on disk, however changed.
    pub fn has_same(&self, file: &BlockFile) -> bool {
        let at = self.files.binary_search_by_key(&file.place.number, |other| other.place.number);
        at.is_ok_and(|at| self.files.get(at).is_some_and(|other| other.is_same_file(file)))
    }

    /// The block of that number.
    pub fn get(&self, number: u32) -> Option<Found<'_>> {
        let at = self.firsts.partition_point(|first| *first <= number).checked_sub(1)?;
        let file = self.files.get(at)?;
        let index = (number - *self.firsts.get(at)?) as usize;
        Some(Found { file, index, frame: file.frames.get(index)? })
    }

    /// The block at a height of the chain with the most work.
    pub fn at_height(&self, height: u32) -> Option<Found<'_>> {
        self.get(*self.chain.get(height as usize)?)
    }

    /// The heights of a file's blocks, in the file's order; the largest number when there is none.
    pub fn heights_in(&self, file: &Arc<BlockFile>) -> &[u32] {
        let at = self.files.partition_point(|other| other.place.number < file.place.number);
        let (Some(first), Some(end)) = (self.firsts.get(at), self.firsts.get(at + 1)) else { return &[] };
        self.heights.get(*first as usize..*end as usize).unwrap_or_default()
    }

    /// Number of the first copy of a block.
    fn find(&self, hash: &Hash) -> Option<u32> {
        let key = prefix(hash);
        let from = self.by_hash.partition_point(|(other, _)| *other < key);
        let run = self.by_hash.get(from..).unwrap_or_default().iter().take_while(|(other, _)| *other == key);
        run.map(|(_, number)| *number)
            .find(|number| self.get(*number).is_some_and(|found| found.frame.hash == *hash))
    }

    fn link(&mut self, params: &Params) {
        let parents = self.parents(&params.genesis_hash);
        let mut works = vec![U256::ZERO; parents.len()];
        let mut work_of = WorkOfBits::default();
        let mut best: Option<u32> = None;
        let mut path = Vec::new();
        for start in 0..parents.len() as u32 {
            let mut at = Some(start);
            while let Some(open) = at.filter(|at| self.height(*at) == OPEN) {
                path.push(open);
                at = match parent_of(&parents, open) {
                    Parent::Block(parent) => Some(parent),
                    Parent::Genesis | Parent::None => None,
                };
            }
            while let Some(number) = path.pop() {
                let base = match parent_of(&parents, number) {
                    Parent::Block(parent) => Some((self.height(parent), works.get(parent as usize))),
                    Parent::Genesis => None,
                    Parent::None => Some((DETACHED, None)),
                };
                let bits = self.get(number).map_or(0, |found| Header::parse(&found.frame.header).bits);
                let (height, total) = match base {
                    None => (0, work_of.bits(bits)),
                    Some((DETACHED, _)) => (DETACHED, U256::ZERO),
                    Some((height, total)) => {
                        (height + 1, total.copied().unwrap_or_default().wrapping_add(work_of.bits(bits)))
                    }
                };
                if let Some(slot) = self.heights.get_mut(number as usize) {
                    *slot = height;
                }
                if let Some(slot) = works.get_mut(number as usize) {
                    *slot = total;
                }
            }
            // Equal work: the first seen stays, as in Core; the order in the files is the order of arrival.
            if works.get(start as usize).is_some_and(|total| *total > self.work) {
                self.work = works.get(start as usize).copied().unwrap_or_default();
                best = Some(start);
            }
        }
        let mut at = best;
        while let Some(number) = at {
            self.chain.push(number);
            at = match parent_of(&parents, number) {
                Parent::Block(parent) => Some(parent),
                Parent::Genesis | Parent::None => None,
            };
        }
        self.chain.reverse();
        let attached = self.heights.iter().filter(|height| **height != DETACHED).count();
        let originals = parents.iter().filter(|parent| **parent != COPY).count();
        self.stale = (attached - self.chain.len()) as u32;
        self.orphans = (originals - attached) as u32;
    }

    /// For each block the number of its parent, or one of the marks below.
    fn parents(&self, genesis: &Hash) -> Vec<u32> {
        let mut parents = Vec::with_capacity(self.heights.len());
        let mut before: Option<Hash> = None;
        for (frame, number) in self.files.iter().flat_map(|file| file.frames.iter()).zip(0u32..) {
            let parent = if self.find(&frame.hash) != Some(number) {
                COPY
            } else if frame.hash == *genesis {
                GENESIS
            } else {
                let prev = frame.prev();
                // Mostly the block just before; not if that one is itself a later copy.
                let near = number.checked_sub(1).filter(|near| {
                    before == Some(prev) && parents.get(*near as usize).is_some_and(|parent| *parent != COPY)
                });
                near.or_else(|| self.find(&prev)).unwrap_or(NO_PARENT)
            };
            parents.push(parent);
            before = Some(frame.hash);
        }
        parents
    }

    fn height(&self, number: u32) -> u32 {
        self.heights.get(number as usize).copied().unwrap_or(DETACHED)
    }
}

const NO_PARENT: u32 = u32::MAX;
const GENESIS: u32 = u32::MAX - 1;
const COPY: u32 = u32::MAX - 2;

enum Parent {
    Block(u32),
    Genesis,
    None,
}

fn parent_of(parents: &[u32], number: u32) -> Parent {
    match parents.get(number as usize).copied().unwrap_or(NO_PARENT) {
        NO_PARENT | COPY => Parent::None,
        GENESIS => Parent::Genesis,
        parent => Parent::Block(parent),
    }
}

/// The hash's first bytes: its last ones are zeros.
fn prefix(hash: &Hash) -> u32 {
    let [a, b, c, d, ..] = *hash;
    u32::from_be_bytes([a, b, c, d])
}

/// Work by bits, remembered: thousands of blocks in a row have the same.
#[derive(Default)]
struct WorkOfBits {
    last: Option<(u32, U256)>,
}

impl WorkOfBits {
    fn bits(&mut self, bits: u32) -> U256 {
        match self.last {
            Some((known, total)) if known == bits => total,
            _ => {
                let total = work(bits);
                self.last = Some((bits, total));
                total
            }
        }
    }
}
