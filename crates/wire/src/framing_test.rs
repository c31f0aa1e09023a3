//! The decoder against its own writer at any chunking, and against anything else.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Decoder, EXTENSION_BYTES, FrameError, QUIET_BYTES};
use crate::message::{HashSpan, Message, Span};
use proptest::prelude::*;

/// A message that owns its bytes.
#[derive(Debug, Clone)]
struct Owned {
    kind: u8,
    words: [u32; 4],
    bytes: Vec<u8>,
}

impl Owned {
    fn message(&self) -> Message<'_> {
        let [piece, begin, length, proof_layers] = self.words;
        let span = Span { piece, begin, length };
        let hash_span = HashSpan { root: [7; 32], base_layer: piece, index: begin, length, proof_layers };
        match self.kind {
            0 => Message::KeepAlive,
            1 => Message::Choke,
            2 => Message::Unchoke,
            3 => Message::Interested,
            4 => Message::NotInterested,
            5 => Message::Have(piece),
            6 => Message::Bitfield(&self.bytes),
            7 => Message::Request(span),
            8 => Message::Piece { piece, begin, data: &self.bytes },
            9 => Message::Cancel(span),
            10 => Message::Port(piece as u16),
            11 => Message::Suggest(piece),
            12 => Message::HaveAll,
            13 => Message::HaveNone,
            14 => Message::Reject(span),
            15 => Message::AllowedFast(piece),
            16 => Message::Extended { id: begin as u8, payload: &self.bytes },
            17 => Message::HashRequest(hash_span),
            18 => Message::Hashes { span: hash_span, hashes: &self.bytes },
            19 => Message::HashReject(hash_span),
            _ => Message::Unknown(99),
        }
    }
}

fn owned() -> impl Strategy<Value = Owned> {
    let size = prop_oneof![0usize..40, 16_000usize..=16_384];
    (0u8..21, any::<[u32; 4]>(), size, any::<u8>()).prop_map(|(kind, words, size, fill)| Owned {
        kind,
        words,
        bytes: vec![fill; if kind == 6 { size.min(1_000) } else { size }],
    })
}

/// Feeds `bytes` in the given chunks and writes again what comes out.
fn feed(bytes: &[u8], chunks: &[usize], room: usize) -> Result<Vec<u8>, FrameError> {
    let mut decoder = Decoder::new(1_000);
    decoder.set_room(room);
    let (mut rest, mut again, mut turn) = (bytes, Vec::new(), 0);
    while !rest.is_empty() {
        let spare = decoder.spare();
        assert!(!spare.is_empty(), "there is always room for the message that has begun");
        let count = chunks[turn % chunks.len()].min(spare.len()).min(rest.len());
        spare[..count].copy_from_slice(&rest[..count]);
        decoder.filled(count);
        rest = &rest[count..];
        while let Some(message) = decoder.next_message()? {
            message.write(&mut again);
        }
        assert!(decoder.buffer.len() <= 4 * 1024 * 1024);
        turn += 1;
    }
    again.extend(decoder.pending());
    Ok(again)
}

proptest! {
    #[test]
    fn decodes_what_was_written_for_any_chunking(
        messages in proptest::collection::vec(owned(), 1..30),
        chunks in proptest::collection::vec(prop_oneof![1usize..20, 1usize..40_000], 1..10),
        room in 1usize..200_000
    ) {
        let mut bytes = Vec::new();
        for message in &messages {
            message.message().write(&mut bytes);
        }
        prop_assert_eq!(feed(&bytes, &chunks, room), Ok(bytes));
    }

    #[test]
    fn random_bytes_never_panic_and_never_grow_the_buffer(
        bytes in proptest::collection::vec(any::<u8>(), 0..3_000), small in any::<bool>(), chunk in 1usize..100
    ) {
        // Lengths of random bytes are mostly huge: make half of the cases small enough to go on.
        let bytes: Vec<u8> = if small { bytes.iter().map(|byte| byte % 24).collect() } else { bytes };
        let _ = feed(&bytes, &[chunk], 1);
    }
}

fn first_error(length: u32, id: Option<u8>) -> Option<FrameError> {
    let mut decoder = Decoder::new(1_000);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(id);
    decoder.spare()[..bytes.len()].copy_from_slice(&bytes);
    decoder.filled(bytes.len());
    let error = decoder.next_message().err();
    assert!(decoder.spare().len() < 400_000);
    error
}

#[test]
fn every_kind_is_held_to_its_length_before_its_bytes_are_waited_for() {
    let exact = [(0, 1), (4, 5), (6, 13), (8, 13), (9, 3), (14, 1), (16, 13), (17, 5), (21, 49), (23, 49)];
    for (id, length) in exact {
        assert_eq!(first_error(length + 1, Some(id)), Some(FrameError::TooLong), "{id}");
        if length > 1 {
            assert_eq!(first_error(length - 1, Some(id)), Some(FrameError::BadLength), "{id}");
            assert_eq!(first_error(length, Some(id)), None, "{id}");
        }
    }
    let most =
        [(5, 1_001), (7, 9 + 16_384), (20, 2 + EXTENSION_BYTES as u32), (99, 1 + EXTENSION_BYTES as u32)];
    for (id, length) in most {
        assert_eq!(first_error(length, Some(id)), None, "{id}");
        assert_eq!(first_error(length + 1, Some(id)), Some(FrameError::TooLong), "{id}");
    }
    assert_eq!(first_error(u32::MAX, None), Some(FrameError::TooLong));
    assert_eq!(first_error(1, Some(20)), Some(FrameError::BadLength));
    assert_eq!(first_error(8, Some(7)), Some(FrameError::BadLength));
}

#[test]
fn memory_follows_the_bytes_that_came_not_the_length_that_was_promised() {
    let mut decoder = Decoder::new(1_000);
    let span = HashSpan { root: [7; 32], base_layer: 0, index: 0, length: 8_192, proof_layers: 0 };
    let mut bytes = Vec::new();
    Message::Hashes { span, hashes: &vec![1; 32 * 8_192] }.write(&mut bytes);
    let mut came = 0;
    while came < bytes.len() {
        assert!(decoder.next_message().unwrap().is_none());
        let spare = decoder.spare();
        let count = spare.len().min(bytes.len() - came).min(if came == 0 { 5 } else { usize::MAX });
        spare[..count].copy_from_slice(&bytes[came..came + count]);
        decoder.filled(count);
        assert!(decoder.buffer.len() <= (2 * came).max(QUIET_BYTES), "{} after {came}", decoder.buffer.len());
        came += count;
    }
    assert!(matches!(decoder.next_message(), Ok(Some(Message::Hashes { .. }))));
}

#[test]
fn a_quiet_link_gives_its_memory_back() {
    let mut decoder = Decoder::new(1_000);
    decoder.set_room(128 * 1024);
    assert_eq!(decoder.spare().len(), 128 * 1024);
    decoder.set_room(0);
    assert_eq!(decoder.spare().len(), QUIET_BYTES);
    assert!(decoder.next_message().unwrap().is_none());
}
