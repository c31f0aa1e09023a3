//! Messages as blocks: padding, and streams of different lengths in lock step.

use super::constants::{SHA1_START, SHA256_START};
use super::{Hashing, hashing};

/// Bytes of a block of both functions.
pub(super) const BLOCK: usize = 64;
/// The most streams that any implementation compresses at once.
pub(super) const MAX_LANES: usize = 16;

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
        for (states, inputs) in states.chunks_mut(MAX_LANES).zip(inputs.chunks(MAX_LANES)) {
            let mut done = 0;
            loop {
                let mut bytes = usize::MAX;
                let mut streams = 0;
                let mut lanes = [0; MAX_LANES];
                for (stream, input) in inputs.iter().enumerate().filter(|(_, input)| input.len() > done) {
                    bytes = bytes.min(input.len() - done);
                    lanes[streams] = stream;
                    streams += 1;
                }
                let lanes = &lanes[..streams];
                if lanes.is_empty() {
                    break;
                }
                let mut heads = [&[][..]; MAX_LANES];
                let mut moved = [self.start; MAX_LANES];
                for (lane, stream) in lanes.iter().enumerate() {
                    heads[lane] = &inputs[*stream][done..done + bytes];
                    moved[lane] = states[*stream];
                }
                (self.compress)(hashing(), &mut moved[..streams], &heads[..streams]);
                for (stream, state) in lanes.iter().zip(moved) {
                    states[*stream] = state;
                }
                done += bytes;
            }
        }
    }

    /// The state after each message, with its place among them.
    pub(super) fn digest_all(&self, messages: &[&[u8]], mut digest: impl FnMut(usize, [u32; W])) {
        // Neighbours in this order have as many blocks as each other, or nearly.
        let mut order: Vec<usize> = (0..messages.len()).collect();
        order.sort_by_key(|place| messages[*place].len().div_ceil(BLOCK));
        for places in order.chunks((self.lanes)(hashing()).min(MAX_LANES)) {
            let mut states = [self.start; MAX_LANES];
            let mut tails = [Tail::default(); MAX_LANES];
            let mut heads = [&[][..]; MAX_LANES];
            for (lane, place) in places.iter().enumerate() {
                let message = messages[*place];
                let (blocks, rest) = message.as_chunks::<BLOCK>();
                heads[lane] = blocks.as_flattened();
                tails[lane] = Tail::new(rest, message.len() as u64);
            }
            let streams = places.len();
            self.compress_all(&mut states[..streams], &heads[..streams]);
            let tails = tails.each_ref().map(Tail::as_slice);
            self.compress_all(&mut states[..streams], &tails[..streams]);
            places.iter().zip(states).for_each(|(place, state)| digest(*place, state));
        }
    }
}

/// The end of a message: what does not fill a block, the bit after it and the length. One block or two.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    bytes: [u8; 2 * BLOCK],
    length: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self { bytes: [0; 2 * BLOCK], length: 0 }
    }
}

impl Tail {
    /// The tail of a message of `length` bytes that ends with `rest`, less than a block.
    pub(super) fn new(rest: &[u8], length: u64) -> Self {
        let mut tail =
            Self { length: if rest.len() < BLOCK - 8 { BLOCK } else { 2 * BLOCK }, ..Self::default() };
        tail.bytes[..rest.len()].copy_from_slice(rest);
        tail.bytes[rest.len()] = 0x80;
        tail.bytes[tail.length - 8..tail.length].copy_from_slice(&(length * 8).to_be_bytes());
        tail
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A state as the bytes of a hash.
pub(super) fn bytes_of<const W: usize, const N: usize>(state: [u32; W]) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())).for_each(|(out, byte)| *out = byte);
    out
}
