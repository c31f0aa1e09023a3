//! The next picture from the one before: what was appended is read, what has changed otherwise is read again.
use super::BlockIndex;
use super::Tip;
use super::error::ScanError;
use super::file::{BlockFile, Frame, Look, Pair, Stamps, look_at_all};
use super::folder::Folder;
use super::lost::{Lost, place_all};
use super::tree::{Place, Tree};
use super::walk::{Seen, Walk};
use crate::header::Header;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this only fight for the disk.
const THREADS_LIMIT: usize = 8;
/// Files read between two entries of what was found.
const BATCH_FILES: usize = 64;
/// Of many files so many of the newest are looked at each time, and of the others so many in turn: a node writes to the
/// newest, and the change of an older one may show some minutes later.
const SWEEP_FILES: usize = 128;

/// What a rescan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Blocks that were never seen before.
    pub appended: u32,
    /// Files that the node has deleted.
    pub gone: u32,
    /// Files whose earlier blocks are not where they were: replaced, cut, or written over.
    pub replaced: u32,
    /// The end of the chain with the most work before.
    pub tip_before: Option<Tip>,
    /// And now.
    pub tip: Option<Tip>,
    /// Height of the last block that both chains share.
    pub fork_height: Option<u32>,
    /// Bytes read of block files.
    pub read_bytes: u64,
}

impl BlockIndex {
    /// The picture of now, and what is new in it: what was appended to files is read, and files that have changed
    /// otherwise (written over, replaced, cut) are read again. Costs some system calls when nothing has changed.
    pub fn rescan(&self) -> Result<(Self, Changes), ScanError> {
        let folder = self.folder.look()?;
        // Another key is another folder.
        let is_same = folder.key() == self.folder.key();
        let mut next = Next::of(if is_same { self.clone() } else { self.emptied() }, folder);
        let due = next.due();
        if due.is_empty() && is_same && !next.lists_others() {
            let tip = self.tip();
            let changes = Changes {
                tip_before: tip,
                tip,
                fork_height: tip.map(|tip| tip.height),
                ..Changes::default()
            };
            next.index.is_restored = false;
            return Ok((next.index, changes));
        }
        next.read(&due)?;
        next.read_doubtful()?;
        next.let_go();
        let Next { mut index, changes, .. } = next.link();
        index.folder.refuse_wrong_key(&index.block_files)?;
        // A handle of a file that is gone keeps its space taken; one of a file that was replaced reads old bytes.
        if self.block_files.iter().any(|file| !index.has_same(file)) {
            self.files.forget_identities();
        }
        let changes = Changes {
            appended: index.tree.len() - if is_same { self.tree.len() } else { 0 },
            tip_before: self.tip(),
            tip: index.tip(),
            fork_height: if is_same { index.tree.fork_height(&self.tree) } else { None },
            ..changes
        };
        index.keep();
        Ok((index, changes))
    }

    fn emptied(&self) -> Self {
        self.forget_kept();
        let tree = Tree::new(self.params.genesis_hash);
        let rests = super::rests::Rests::default();
        let (block_files, recent_inputs) = (Arc::default(), Arc::default());
        Self { tree, block_files, rests, deep: None, recent_inputs, ..self.clone() }
    }

    fn has_same(&self, file: &BlockFile) -> bool {
        self.block_file(file.pair.number).is_some_and(|other| other.is_same_file(file))
    }
}

/// A picture in the making.
struct Next {
    index: BlockIndex,
    changes: Changes,
    /// Places have changed other than by new blocks at the end.
    is_moved: bool,
    /// Files that go on with a block whose parent nobody has seen, or that was there already: were they written over?
    doubtful: Vec<u32>,
    /// Blocks that files do not have any more.
    lost: Lost,
}

impl Next {
    fn of(mut index: BlockIndex, folder: Folder) -> Self {
        index.folder = folder;
        Self {
            index,
            changes: Changes::default(),
            is_moved: false,
            doubtful: Vec::new(),
            lost: Lost::default(),
        }
    }

    fn newest(&self) -> Option<u32> {
        self.index.folder.numbers().last().copied()
    }

    /// Whether other files are there than are known.
    fn lists_others(&self) -> bool {
        let present = self.index.block_files.iter().filter(|file| !file.is_gone);
        !present.map(|file| file.pair.number).eq(self.index.folder.numbers().iter().copied())
    }

    /// The numbers of files that are to be looked at.
    fn due(&self) -> Vec<u32> {
        let numbers = self.index.folder.numbers();
        let is_due = |number: &u32| {
            let file = self.index.block_file(*number);
            // What cannot be looked at is looked at again, and gives its error then.
            file.is_none_or(|file| !file.is_current().unwrap_or(false))
        };
        if numbers.len() <= 2 * SWEEP_FILES || self.lists_others() || self.index.is_restored {
            return numbers.iter().copied().filter(is_due).collect();
        }
        let (older, newest) = numbers.split_at(numbers.len() - SWEEP_FILES);
        let turn = self.index.sweep.fetch_add(1, Ordering::Relaxed) % older.len().div_ceil(SWEEP_FILES);
        let turn = older.chunks(SWEEP_FILES).nth(turn).unwrap_or_default();
        turn.iter().chain(newest).copied().filter(is_due).collect()
    }

    /// Reads files on several threads and enters what they hold, in the order of their numbers.
    fn read(&mut self, due: &[u32]) -> Result<(), ScanError> {
        for batch in due.chunks(BATCH_FILES) {
            for (pair, look) in self.look(batch)? {
                self.enter(pair, look);
            }
            if due.len() > BATCH_FILES {
                self.index.keep();
            }
        }
        Ok(())
    }

    fn look(&self, batch: &[u32]) -> Result<Vec<(Pair, Look)>, ScanError> {
        let newest = self.newest();
        let index = &self.index;
        let (key, params) = (index.folder.key(), &index.params);
        let pairs: Vec<Pair> = batch
            .iter()
            .map(|number| match index.block_file(*number) {
                Some(file) => file.pair.clone(),
                None => index.folder.pair(*number, &index.files),
            })
            .collect();
        let look = |pair: &Pair| {
            let is_newest = newest == Some(pair.number);
            match index.block_file(pair.number) {
                Some(file) => file.look(key, params, is_newest),
                None => look_at_all(pair, key, params, is_newest),
            }
        };
        let at = AtomicUsize::new(0);
        let looks = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some(pair) = pairs.get(at.fetch_add(1, Ordering::Relaxed)) {
                let look = look(pair);
                if look.is_err() {
                    // The others need not be read for an error.
                    at.store(pairs.len(), Ordering::Relaxed);
                }
                looks.lock().insert(pair.number, look.map(|look| (pair.clone(), look)));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_LIMIT);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(pairs.len()) {
                scope.spawn(work);
            }
            work();
        });
        looks.into_inner().into_values().collect()
    }

    fn enter(&mut self, pair: Pair, look: Look) {
        let known = self.index.block_file(pair.number).map(Arc::clone);
        match (look, known) {
            (Look::Gone, Some(known)) => self.lose(&known),
            (Look::Touched(stamps), Some(known)) => {
                self.set(known.grown(stamps, known.scanned_to, &[]));
            }
            (Look::Grown(stamps, walk), Some(known)) => self.append(&known, stamps, &walk),
            (Look::Read(stamps, walk), known) => self.replace(pair, known.as_deref(), stamps, walk),
            // Pruned since the folder was listed; and only what is known can be touched, and grow.
            (Look::Gone | Look::Touched(_) | Look::Grown(..), None) => {}
        }
    }

    fn append(&mut self, known: &BlockFile, stamps: Stamps, walk: &Walk) {
        self.changes.read_bytes += walk.read_bytes;
        let more = self.add(&walk.seen);
        let number = known.pair.number;
        // A node stores no block twice, unless it forgot it.
        let is_odd = |frame: &Frame| {
            let tree = &self.index.tree;
            !tree.knows_parent(frame.number)
                || tree.place(frame.number).is_some_and(|place| self.is_held(place))
        };
        if more.iter().any(is_odd) {
            self.doubtful.push(number);
        }
        self.put(number, known.frames.len() as u32, &more);
        self.set(known.grown(stamps, walk.end, &more));
    }

    fn replace(&mut self, pair: Pair, known: Option<&BlockFile>, stamps: Stamps, walk: Walk) {
        self.changes.read_bytes += walk.read_bytes;
        let frames = self.add(&walk.seen);
        let number = pair.number;
        let mut file = BlockFile::new(pair, stamps, walk, frames, RandomState::new().hash_one(number));
        match known {
            Some(known)
                if file.is_same_file(known)
                    && known.lost.is_empty()
                    && file.frames.starts_with(&known.frames) =>
            {
                // Nothing but more of it; and what was passed over may be other bytes now.
                let more = file.frames.get(known.frames.len()..).unwrap_or_default();
                self.put(number, known.frames.len() as u32, more);
                let mut grown = known.grown(stamps, file.scanned_to, more);
                grown.skipped = file.skipped;
                file = grown;
            }
            Some(known) => {
                self.is_moved = true;
                self.changes.replaced += u32::from(!known.is_gone);
                self.lost.take(known, &mut file);
            }
            None => self.put(number, 0, &file.frames),
        }
        self.set(file);
    }

    /// Takes headers in; the frames of their blocks.
    fn add(&mut self, seen: &[Seen]) -> Vec<Frame> {
        let BlockIndex { tree, rests, .. } = &mut self.index;
        let mut add = |seen: &Seen| {
            let number = tree.add(seen.hash, &Header::parse(&seen.header));
            rests.push(number, &seen.header);
            Frame { number, offset: seen.offset, size: seen.size, transactions: seen.transactions }
        };
        seen.iter().map(&mut add).collect()
    }

    /// Says where blocks are: from `first` on in the file.
    fn put(&mut self, file: u32, first: u32, frames: &[Frame]) {
        for (index, frame) in (first..).zip(frames) {
            let was = self.index.tree.place(frame.number);
            // A copy of a block that was pruned, or lost.
            self.is_moved |= was.is_some_and(|was| !self.is_held(was));
            self.index.tree.put(frame.number, Place { file, index });
        }
    }

    /// Whether a block is still where it was found.
    fn is_held(&self, place: Place) -> bool {
        self.index.block_file(place.file).is_none_or(|file| file.holds(place.index))
    }

    /// A file that is not there any more. A node prunes older files only: without one behind it, it was lost, and so
    /// were its blocks.
    fn lose(&mut self, file: &BlockFile) {
        self.is_moved = true;
        self.changes.gone += u32::from(!file.is_gone);
        if self.newest().is_some_and(|newest| file.pair.number < newest) {
            self.set(file.gone());
        } else {
            let files = Arc::make_mut(&mut self.index.block_files);
            files.retain(|other| other.pair.number != file.pair.number);
        }
    }

    fn set(&mut self, file: BlockFile) {
        let files = Arc::make_mut(&mut self.index.block_files);
        match files.binary_search_by_key(&file.pair.number, |other| other.pair.number) {
            Ok(at) => files.splice(at..=at, [Arc::new(file)]).for_each(drop),
            Err(at) => files.insert(at, Arc::new(file)),
        }
    }

    /// Reads files again that went on in an odd way: in a download that is common, but they may have been written over
    /// from some earlier block on.
    fn read_doubtful(&mut self) -> Result<(), ScanError> {
        for number in std::mem::take(&mut self.doubtful) {
            let Some(file) = self.index.block_file(number).map(Arc::clone) else { continue };
            let newest = self.newest() == Some(number);
            let look = look_at_all(&file.pair, self.index.folder.key(), &self.index.params, newest)?;
            self.enter(file.pair.clone(), look);
        }
        self.doubtful.clear();
        Ok(())
    }

    /// Lets go of the files that are known and not listed.
    fn let_go(&mut self) {
        let numbers = self.index.folder.numbers();
        let lost = self.index.block_files.iter().filter(|file| {
            !file.is_gone && numbers.binary_search(&file.pair.number).is_err()
                || file.is_gone && self.newest().is_none_or(|newest| newest < file.pair.number)
        });
        for file in lost.map(Arc::clone).collect::<Vec<_>>() {
            self.lose(&file);
        }
    }

    /// Finds the chain.
    fn link(mut self) -> Self {
        let BlockIndex { tree, block_files, deep, .. } = &mut self.index;
        if self.is_moved {
            self.lost.forget_shallow(tree, *deep, Arc::make_mut(block_files).as_mut_slice());
            tree.lift();
            place_all(tree, block_files);
        }
        tree.link();
        self.index.note_depth();
        self.index.is_restored = false;
        self
    }
}
