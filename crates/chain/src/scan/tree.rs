//! The tree that the headers of all blocks make, and the chain with the most work in it.
use super::by_hash::ByHash;
use super::chunks::Chunks;
use crate::encode::Hash;
use crate::header::Header;
use crate::pow::work;
use crate::u256::U256;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Height of a block whose line to genesis is not held.
const DETACHED: u32 = u32::MAX;
/// Not computed yet.
const OPEN: u32 = u32::MAX - 1;
/// No block is the parent.
const NONE: u32 = u32::MAX;
/// Genesis has no parent.
const GENESIS: u32 = u32::MAX - 1;

/// Where a block is: the number of its file, and which of the file's records it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: u32,
    pub index: u32,
}

impl Place {
    const NOWHERE: Self = Self { file: u32::MAX, index: u32::MAX };
}

/// A block by its header: 52 bytes, and a mainnet index has a million of them.
#[derive(Clone)]
struct Node {
    hash: Hash,
    parent: u32,
    height: u32,
    bits: u32,
    place: Place,
}

/// Blocks whose parents nobody has seen.
#[derive(Clone, Default)]
struct Roots {
    by_parent: BTreeMap<Hash, Vec<u32>>,
    parents: BTreeMap<u32, Hash>,
}

/// All headers seen, numbered as they came; numbers never change. A clone costs nothing and stays as it is.
#[derive(Clone)]
pub(super) struct Tree {
    genesis: Hash,
    nodes: Chunks<Node>,
    by_hash: ByHash,
    roots: Arc<Roots>,
    /// Numbers of the blocks of the chain with the most work, genesis first.
    chain: Chunks<u32>,
    /// Work of that chain.
    pub work: U256,
    /// Blocks with a place, and those of them with a height.
    placed: u32,
    attached: u32,
    /// From this number on nothing is linked yet.
    linked: u32,
    /// Something has changed other than by new blocks at the end.
    stale_links: bool,
}

impl Tree {
    pub fn new(genesis: Hash) -> Self {
        Self {
            genesis,
            nodes: Chunks::default(),
            by_hash: ByHash::default(),
            roots: Arc::default(),
            chain: Chunks::default(),
            work: U256::ZERO,
            placed: 0,
            attached: 0,
            linked: 0,
            stale_links: false,
        }
    }

    /// Headers seen.
    pub fn len(&self) -> u32 {
        self.nodes.len()
    }

    /// Blocks in the chain with the most work.
    pub fn chain_length(&self) -> u32 {
        self.chain.len()
    }

    /// The block at a height of that chain.
    pub fn at_height(&self, height: u32) -> Option<u32> {
        self.chain.get(height).copied()
    }

    pub fn hash(&self, number: u32) -> Option<Hash> {
        self.nodes.get(number).map(|node| node.hash)
    }

    pub fn bits(&self, number: u32) -> Option<u32> {
        self.nodes.get(number).map(|node| node.bits)
    }

    /// `None` without a line to genesis.
    pub fn height(&self, number: u32) -> Option<u32> {
        self.nodes.get(number).map(|node| node.height).filter(|height| *height < OPEN)
    }

    /// Where it is; `None` when no file has it any more.
    pub fn place(&self, number: u32) -> Option<Place> {
        self.nodes.get(number).map(|node| node.place).filter(|place| *place != Place::NOWHERE)
    }

    /// Hash of the block before.
    pub fn parent_hash(&self, number: u32) -> Option<Hash> {
        match self.nodes.get(number)?.parent {
            NONE => self.roots.parents.get(&number).copied(),
            GENESIS => Some([0; 32]),
            parent => self.hash(parent),
        }
    }

    /// Whether that hash was seen.
    pub fn knows_parent(&self, number: u32) -> bool {
        self.nodes.get(number).is_some_and(|node| node.parent != NONE)
    }

    /// The number of a header.
    pub fn find(&self, hash: &Hash) -> Option<u32> {
        self.by_hash.find(hash, |number| self.nodes.get(number).is_some_and(|node| node.hash == *hash))
    }

    /// Blocks that hang on genesis and are not in the chain.
    pub fn stale(&self) -> u32 {
        self.attached.saturating_sub(self.chain.len())
    }

    /// Blocks without a line to genesis.
    pub fn orphans(&self) -> u32 {
        self.placed - self.attached
    }

    /// The height of the last block that this chain shares with another picture's.
    pub fn fork_height(&self, other: &Self) -> Option<u32> {
        let (mut low, mut high) = (0, self.chain.len().min(other.chain.len()));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at_height(middle) == other.at_height(middle) { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }

    /// Takes a header in; its number. [`Self::link`] is to follow.
    pub fn add(&mut self, hash: Hash, header: &Header) -> u32 {
        if let Some(number) = self.find(&hash) {
            return number;
        }
        let number = self.nodes.len();
        let parent = if hash == self.genesis {
            GENESIS
        } else {
            // Mostly the block that came just before.
            let near = number.checked_sub(1).filter(|near| self.hash(*near) == Some(header.prev));
            near.or_else(|| self.find(&header.prev)).unwrap_or(NONE)
        };
        if parent == NONE {
            let roots = Arc::make_mut(&mut self.roots);
            roots.by_parent.entry(header.prev).or_default().push(number);
            roots.parents.insert(number, header.prev);
        }
        self.nodes.push(Node { hash, parent, height: DETACHED, bits: header.bits, place: Place::NOWHERE });
        let nodes = &self.nodes;
        self.by_hash.insert(&hash, number, |number| nodes.get(number).map_or([0; 32], |node| node.hash));
        if self.roots.by_parent.contains_key(&hash) {
            let roots = Arc::make_mut(&mut self.roots);
            for child in roots.by_parent.remove(&hash).unwrap_or_default() {
                roots.parents.remove(&child);
                if let Some(node) = self.nodes.get_mut(child) {
                    node.parent = number;
                }
                self.stale_links |= child < self.linked;
            }
        }
        number
    }

    /// Says where a block is. Of two places the first (file, index) counts: after a crash Core goes on at the position
    /// it flushed last and fetches again what it forgot, so the copies behind its new end are remains that it will
    /// write over.
    pub fn put(&mut self, number: u32, place: Place) {
        let linked = self.linked;
        let Some(node) = self.nodes.get_mut(number).filter(|node| place < node.place) else { return };
        let was = std::mem::replace(&mut node.place, place);
        if was == Place::NOWHERE {
            self.placed += 1;
            self.stale_links |= number < linked;
        }
    }

    /// Forgets all places, to be said anew.
    pub fn lift(&mut self) {
        for number in 0..self.nodes.len() {
            if let Some(node) = self.nodes.get_mut(number) {
                node.place = Place::NOWHERE;
            }
        }
        self.placed = 0;
        self.stale_links = true;
    }

    /// Gives what is new its height, and finds the chain with the most work.
    ///
    /// Equal work: the first seen stays, as in Core; the order in the files is the order of arrival.
    pub fn link(&mut self) {
        if self.stale_links {
            self.link_all();
        } else {
            for number in self.linked..self.nodes.len() {
                let height = match self.nodes.get(number).map(|node| (node.parent, node.place)) {
                    None | Some((NONE, _) | (_, Place::NOWHERE)) => DETACHED,
                    Some((GENESIS, _)) => 0,
                    // Of two that came at once the parent may be the later one.
                    Some((parent, _)) if parent > number => return self.link_all(),
                    Some((parent, _)) => self.height(parent).map_or(DETACHED, |height| height + 1),
                };
                if height != DETACHED
                    && let Some(node) = self.nodes.get_mut(number)
                {
                    node.height = height;
                    self.attached += 1;
                    self.consider(number, height);
                }
            }
        }
        self.linked = self.nodes.len();
    }

    /// Makes an attached block the chain's end when there is more work behind it.
    fn consider(&mut self, number: u32, height: u32) {
        let (fork, branch) = self.branch(number, height);
        let replaced = self.chain.len() - fork;
        let (mut lost, mut won) = (U256::ZERO, U256::ZERO);
        let mut work_of = WorkOfBits::default();
        for bits in branch.iter().filter_map(|number| self.bits(*number)) {
            won = won.wrapping_add(work_of.bits(bits));
        }
        for height in fork..fork + replaced {
            let bits = self.at_height(height).and_then(|number| self.bits(number)).unwrap_or_default();
            lost = lost.wrapping_add(work_of.bits(bits));
        }
        if won > lost {
            self.work = self.work.wrapping_sub(lost).wrapping_add(won);
            self.chain.truncate(fork);
            branch.into_iter().rev().for_each(|number| self.chain.push(number));
        }
    }

    /// The blocks from an attached one down to the chain, and the height where they leave it.
    fn branch(&self, number: u32, height: u32) -> (u32, Vec<u32>) {
        let (mut branch, mut at, mut fork) = (Vec::new(), number, height + 1);
        while self.at_height(fork.saturating_sub(1)) != Some(at) && fork > 0 {
            branch.push(at);
            fork -= 1;
            at = self.nodes.get(at).map_or(NONE, |node| node.parent);
        }
        (fork, branch)
    }

    fn link_all(&mut self) {
        let count = self.nodes.len();
        let mut heights = vec![OPEN; count as usize];
        let mut works = vec![U256::ZERO; count as usize];
        let mut work_of = WorkOfBits::default();
        let mut path = Vec::new();
        let (mut best, mut most) = (None, U256::ZERO);
        self.attached = 0;
        for start in 0..count {
            let mut at = start;
            while heights.get(at as usize) == Some(&OPEN) {
                path.push(at);
                at = self.nodes.get(at).map_or(NONE, |node| node.parent);
            }
            while let Some(number) = path.pop() {
                let Some(node) = self.nodes.get(number) else { continue };
                let base = match node.parent {
                    _ if node.place == Place::NOWHERE => None,
                    NONE => None,
                    GENESIS => Some((0, U256::ZERO)),
                    parent => match heights.get(parent as usize) {
                        None | Some(&DETACHED) => None,
                        Some(height) => {
                            Some((height + 1, works.get(parent as usize).copied().unwrap_or_default()))
                        }
                    },
                };
                let bits = node.bits;
                let (height, total) = match base {
                    None => (DETACHED, U256::ZERO),
                    Some((height, total)) => (height, total.wrapping_add(work_of.bits(bits))),
                };
                self.attached += u32::from(base.is_some());
                if let (Some(slot), Some(sum)) =
                    (heights.get_mut(number as usize), works.get_mut(number as usize))
                {
                    (*slot, *sum) = (height, total);
                }
            }
            if let Some(total) = works.get(start as usize).filter(|total| **total > most) {
                (best, most) = (Some(start), *total);
            }
        }
        for (number, height) in (0..count).zip(&heights) {
            if self.nodes.get(number).is_some_and(|node| node.height != *height)
                && let Some(node) = self.nodes.get_mut(number)
            {
                node.height = *height;
            }
        }
        self.work = most;
        match best.and_then(|number| Some((number, self.height(number)?))) {
            Some((number, height)) => {
                let (fork, branch) = self.branch(number, height);
                self.chain.truncate(fork);
                branch.into_iter().rev().for_each(|number| self.chain.push(number));
            }
            None => self.chain.truncate(0),
        }
        (self.linked, self.stale_links) = (count, false);
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes() + self.by_hash.memory_bytes() + self.chain.memory_bytes()
    }
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
