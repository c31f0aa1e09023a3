//! Messages that come in portions.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::blocks::{BLOCK, SHA1, Tail, bytes_of};

/// One SHA-1 fed in portions.
#[derive(Default)]
pub struct Sha1Stream(Sha1);

impl Sha1Stream {
    /// A stream of no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all that was added; the stream starts anew.
    pub fn finish(&mut self) -> [u8; 20] {
        self.0.finalize_reset().into()
    }
}

/// One SHA-256 fed in portions.
#[derive(Default)]
pub struct Sha256Stream(Sha256);

impl Sha256Stream {
    /// A stream of no bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all that was added; the stream starts anew.
    pub fn finish(&mut self) -> [u8; 32] {
        self.0.finalize_reset().into()
    }
}

/// Several SHA-1 streams in lock step.
#[derive(Default)]
pub struct Sha1Streams {
    states: Vec<[u32; 5]>,
    begun: Vec<Begun>,
}

/// What a stream has had, and the block that it does not fill yet.
#[derive(Clone, Copy)]
struct Begun {
    length: u64,
    block: [u8; BLOCK],
    filled: usize,
}

impl Begun {
    const NOTHING: Self = Self { length: 0, block: [0; BLOCK], filled: 0 };

    /// Takes what the block still holds; the rest is left for later.
    fn fill<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let (head, rest) = input.split_at(input.len().min(BLOCK - self.filled));
        self.block[self.filled..][..head.len()].copy_from_slice(head);
        self.filled += head.len();
        rest
    }
}

impl Sha1Streams {
    /// `count` streams of no bytes yet.
    pub fn new(count: usize) -> Self {
        Self { states: vec![SHA1.start; count], begun: vec![Begun::NOTHING; count] }
    }

    /// Takes the streams of others behind its own, as far as they have come.
    pub fn join(&mut self, others: &mut Self) {
        self.states.append(&mut others.states);
        self.begun.append(&mut others.begun);
    }

    /// Each stream for itself again.
    pub fn split(self) -> impl Iterator<Item = Self> {
        let streams = self.states.into_iter().zip(self.begun);
        streams.map(|(state, begun)| Self { states: vec![state], begun: vec![begun] })
    }

    /// Adds the next bytes to each stream; equally many for all is the fast way. Streams without an input get
    /// nothing.
    pub fn update(&mut self, inputs: &[&[u8]]) {
        let mut rests = inputs.to_vec();
        for (begun, rest) in self.begun.iter_mut().zip(&mut rests) {
            begun.length += rest.len() as u64;
            if begun.filled > 0 {
                *rest = begun.fill(rest);
            }
        }
        let full: Vec<&[u8]> = self
            .begun
            .iter()
            .map(|begun| if begun.filled == BLOCK { &begun.block[..] } else { &[] })
            .collect();
        SHA1.compress_all(&mut self.states, &full);
        let blocks: Vec<&[u8]> =
            rests.iter().map(|rest| rest.as_chunks::<BLOCK>().0.as_flattened()).collect();
        SHA1.compress_all(&mut self.states, &blocks);
        for (begun, rest) in self.begun.iter_mut().zip(rests) {
            begun.filled %= BLOCK;
            begun.fill(rest.as_chunks::<BLOCK>().1);
        }
    }

    /// The hashes of all that was added, stream by stream; the streams start anew.
    pub fn finish(&mut self) -> Vec<[u8; 20]> {
        let tails: Vec<Tail> =
            self.begun.iter().map(|begun| Tail::new(&begun.block[..begun.filled], begun.length)).collect();
        let tails: Vec<&[u8]> = tails.iter().map(Tail::as_slice).collect();
        SHA1.compress_all(&mut self.states, &tails);
        let hashes = self.states.iter().map(|state| bytes_of(*state)).collect();
        *self = Self::new(self.states.len());
        hashes
    }
}
