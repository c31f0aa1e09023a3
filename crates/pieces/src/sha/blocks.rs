//! Messages as blocks: padding, and streams of different lengths in lock step.

use super::constants::{SHA1_START, SHA256_START};
use super::{Hashing, hashing};

/// Bytes of a block of both functions.
pub(super) const BLOCK: usize = 64;
/// The most streams that any implementation compresses at once.
pub(super) const MAX_LANES: usize = 16;
/// Messages of one length that are worked on together: they fill the lanes of every implementation.
pub(super) const BATCH: usize = 48;

/// A hash function with a state of `W` words.
pub(super) struct Function<const W: usize> {
    pub(super) start: [u32; W],
    pub(super) lanes: fn(&dyn Hashing) -> usize,
    compress: Compress<W>,
}

type Compress<const W: usize> = fn(&dyn Hashing, &mut [[u32; W]], &[&[u8]]);

pub(super) const SHA1: Function<5> = Function {
    start: SHA1_START,
    lanes: |hashing| hashing.sha1_lanes(),
    compress: |hashing, states, inputs| hashing.sha1_compress(states, inputs),
};

pub(super) const SHA256: Function<8> = Function {
    start: SHA256_START,
    lanes: |hashing| hashing.sha256_lanes(),
    compress: |hashing, states, inputs| hashing.sha256_compress(states, inputs),
};

impl<const W: usize> Function<W> {
    /// Compresses whole blocks, more of some streams than of others: as many together as have some left.
    pub(super) fn compress_all(&self, states: &mut [[u32; W]], inputs: &[&[u8]]) {
        let hashing = hashing();
        if let [first, others @ ..] = inputs
            && others.iter().all(|input| input.len() == first.len())
        {
            if !first.is_empty() {
                (self.compress)(hashing, states, inputs);
            }
            return;
        }
        let lanes = (self.lanes)(hashing);
        for (states, inputs) in states.chunks_mut(lanes).zip(inputs.chunks(lanes)) {
            let mut rests = inputs.to_vec();
            while let Some(bytes) = rests.iter().map(|rest| rest.len()).filter(|length| *length > 0).min() {
                let unfinished: Vec<usize> =
                    (0..rests.len()).filter(|stream| !rests[*stream].is_empty()).collect();
                let mut moved: Vec<[u32; W]> = unfinished.iter().map(|stream| states[*stream]).collect();
                let heads: Vec<&[u8]> = unfinished.iter().map(|stream| &rests[*stream][..bytes]).collect();
                (self.compress)(hashing, &mut moved, &heads);
                for (stream, state) in unfinished.into_iter().zip(moved) {
                    states[stream] = state;
                    rests[stream] = &rests[stream][bytes..];
                }
            }
        }
    }

    /// The state after each message, with its place among them.
    pub(super) fn digest_all(&self, messages: &[&[u8]], mut digest: impl FnMut(usize, [u32; W])) {
        let hashing = hashing();
        // The longest first, and each lane takes the next message when it has done with one: all lanes are full until
        // nearly the end, and those of as many blocks begin and end together. The count of blocks above, the place below.
        let mut order: Vec<u64> =
            (0..).zip(messages).map(|(place, message)| (blocks(message) << 32) | place).collect();
        order.sort_unstable();
        let mut next = || {
            let place = order.pop()? as u32 as usize;
            messages.get(place).map(|message| Lane::new(place, message))
        };
        let mut lanes: Vec<Lane<'_>> = std::iter::from_fn(&mut next).take((self.lanes)(hashing)).collect();
        let mut states = [self.start; MAX_LANES];
        while let Some(bytes) = lanes.iter().map(|lane| lane.rest().len()).min() {
            let mut inputs: [&[u8]; MAX_LANES] = [&[]; MAX_LANES];
            for (input, lane) in inputs.iter_mut().zip(&lanes) {
                *input = &lane.rest()[..bytes];
            }
            (self.compress)(hashing, &mut states[..lanes.len()], &inputs[..lanes.len()]);
            // From behind, as the last lane takes the place of one that ends for good.
            for at in (0..lanes.len()).rev() {
                let lane = &mut lanes[at];
                if lane.pass(bytes) {
                    continue;
                }
                digest(lane.place, states[at]);
                states[at] = self.start;
                if let Some(new) = next() {
                    *lane = new;
                } else {
                    lanes.swap_remove(at);
                    states.swap(at, lanes.len());
                }
            }
        }
    }
}

/// A message on its way through one lane.
struct Lane<'a> {
    place: usize,
    /// Whole blocks of the message that are still to come.
    head: &'a [u8],
    /// What comes after them, and how much of it is done.
    tail: Tail,
    done: usize,
}

impl<'a> Lane<'a> {
    fn new(place: usize, message: &'a [u8]) -> Self {
        let (head, rest) = message.split_at(message.len() / BLOCK * BLOCK);
        Self { place, head, tail: Tail::new(rest, message.len() as u64), done: 0 }
    }

    /// What is compressed next; empty at the end.
    fn rest(&self) -> &[u8] {
        if self.head.is_empty() { &self.tail.as_slice()[self.done..] } else { self.head }
    }

    /// Passes over so much of the rest; whether any is left.
    fn pass(&mut self, bytes: usize) -> bool {
        if self.head.is_empty() {
            self.done += bytes;
        } else {
            self.head = &self.head[bytes..];
        }
        self.done < self.tail.length
    }
}

/// Blocks of a message with its padding: a bit and a length of 8 bytes at least.
fn blocks(message: &[u8]) -> u64 {
    (message.len() as u64 + 9).div_ceil(BLOCK as u64)
}

/// The end of a message: its last bytes, the bit after them and the length. One block or two.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    bytes: [u8; 2 * BLOCK],
    length: usize,
}

impl Tail {
    /// The tail of a message of `length` bytes that ends with `rest`, which is shorter than 120 bytes.
    pub(super) fn new(rest: &[u8], length: u64) -> Self {
        let mut tail =
            Self { bytes: [0; 2 * BLOCK], length: if rest.len() < BLOCK - 8 { BLOCK } else { 2 * BLOCK } };
        tail.bytes[..rest.len()].copy_from_slice(rest);
        tail.bytes[rest.len()] = 0x80;
        tail.bytes[tail.length - 8..tail.length].copy_from_slice(&(length * 8).to_be_bytes());
        tail
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// With other bytes in place of the first.
    pub(super) fn with_start(&mut self, bytes: &[u8; 32]) -> &[u8] {
        self.bytes[..32].copy_from_slice(bytes);
        self.as_slice()
    }
}

/// A state as the bytes of a hash.
pub(super) fn bytes_of<const W: usize, const N: usize>(state: [u32; W]) -> [u8; N] {
    let mut out = [0; N];
    out.as_chunks_mut().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    out
}
