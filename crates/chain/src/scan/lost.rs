//! Blocks that are not where they were though a file of that name is: it was cut, or written over, or is another one.
//!
//! A node that crashed goes on where it flushed last, over its newest blocks, and fetches them again: these are forgotten.
//! What a node does loses none that is deep in the chain. Such blocks stay known, as those of a file that was pruned do:
//! what is left of their segments stays served, and all of it again when the file is right.
use super::BlockIndex;
use super::file::{BlockFile, Frame};
use super::tree::{Place, Tree};
use crate::segments::SEALING_DEPTH;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Says where all blocks are: the places where they still are come before those where they were.
pub(super) fn place_all(tree: &mut Tree, files: &[Arc<BlockFile>]) {
    let places = |file: &Arc<BlockFile>| {
        let file = Arc::clone(file);
        (0..file.frames.len() as u32).filter_map(move |index| {
            let frame = file.frames.get(index as usize)?;
            Some((frame.number, Place { file: file.pair.number, index }, file.holds(index)))
        })
    };
    for (number, place, is_held) in files.iter().flat_map(places) {
        if is_held {
            tree.put(number, place);
        }
    }
    // Of two places the first counts: a block that has one is passed over.
    for (number, place, is_held) in files.iter().flat_map(places) {
        if !is_held && tree.place(number).is_none() {
            tree.put(number, place);
        }
    }
}

/// The height of a block of the chain with the most work.
fn chain_height(tree: &Tree, number: u32) -> Option<u32> {
    tree.height(number).filter(|height| tree.at_height(*height) == Some(number))
}

impl BlockIndex {
    /// Takes note of how deep the chain has become.
    pub(super) fn note_depth(&mut self) {
        let tree = &self.tree;
        let height = |number: &Option<u32>| number.and_then(|number| chain_height(tree, number));
        let now = tree.chain_length().checked_sub(1 + SEALING_DEPTH).and_then(|end| tree.at_height(end));
        if height(&now) > height(&self.deep) {
            self.deep = now;
        }
    }
}

/// What files that were read anew do not have any more.
#[derive(Default)]
pub(super) struct Lost {
    /// By number of the file.
    files: BTreeMap<u32, Fresh>,
}

/// What one file has just lost.
struct Fresh {
    /// From this index on; what was lost before stands before it.
    first: u32,
    /// It was cut or written over where it lies, or holds nothing at all: nobody has put other files in place.
    is_damage: bool,
}

impl Lost {
    /// Puts what the file had before behind what it has now.
    pub fn take(&mut self, known: &BlockFile, file: &mut BlockFile) {
        let held: BTreeSet<u32> = file.frames.iter().map(|frame| frame.number).collect();
        let is_lost = |frame: &Frame| !held.contains(&frame.number);
        let of_known = |was_held: bool| {
            let frames = (0..).zip(known.frames.iter());
            let chosen =
                frames.filter(move |(index, _)| known.lost.binary_search(index).is_err() == was_held);
            chosen.map(|(_, frame)| *frame).filter(is_lost)
        };
        let mut frames = file.frames.to_vec();
        frames.extend(of_known(false));
        let first = frames.len() as u32;
        frames.extend(of_known(true));
        let is_damage = file.frames.is_empty() || !known.is_gone && file.has_same_blocks_file(known);
        file.lost = (file.frames.len() as u32..frames.len() as u32).collect();
        file.frames = frames.into();
        self.files.insert(file.pair.number, Fresh { first, is_damage });
    }

    /// Forgets what was lost at the end of the chain, as it was before in `tree`, and what others that were put in its
    /// place never had: files of an earlier day.
    pub fn forget_shallow(&self, tree: &Tree, deep: Option<u32>, files: &mut [Arc<BlockFile>]) {
        let height = |frame: &Frame| chain_height(tree, frame.number);
        let (mut bound, mut top) = (deep.and_then(|number| chain_height(tree, number)), None);
        for file in files.iter() {
            let fresh = self.files.get(&file.pair.number);
            for (index, frame) in (0..).zip(file.frames.iter()) {
                let is_fresh = fresh.is_some_and(|fresh| index >= fresh.first);
                if is_fresh && !file.holds(index) {
                    continue;
                }
                top = top.max(height(frame));
                // What was kept once is deep, whatever was lost since.
                if file.lost.binary_search(&index).is_ok() {
                    bound = bound.max(height(frame));
                }
            }
        }
        for file in files {
            let Some(fresh) = self.files.get(&file.pair.number) else { continue };
            let is_kept = |(index, frame): &(u32, &Frame)| {
                let lies_deep = |height| Some(height) <= bound && (fresh.is_damage || Some(height) < top);
                file.holds(*index) || *index < fresh.first || height(frame).is_some_and(lies_deep)
            };
            let frames: Vec<Frame> =
                (0..).zip(file.frames.iter()).filter(is_kept).map(|(_, frame)| *frame).collect();
            let end = frames.len() as u32;
            let lost = file.lost.iter().copied().filter(|index| *index < end).collect();
            if frames.len() < file.frames.len() {
                *file = Arc::new(file.trimmed(frames, lost));
            }
        }
    }
}
