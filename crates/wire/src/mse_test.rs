//! Both sides against each other in any portions, and each against what no honest side sends.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Agreed, Initiator, Methods, MseError, PAD_BYTES, Random, Responder, Step, torrent_name};
use crate::key_exchange::{KEY_BYTES, KeyPair};
use proptest::prelude::*;

const HASH: [u8; 20] = [7; 20];
const BOTH: Methods = Methods { plain: true, rc4: true, prefer_rc4: false };
const RC4: Methods = Methods { plain: false, rc4: true, prefer_rc4: true };
const PLAIN: Methods = Methods { plain: true, rc4: false, prefer_rc4: false };

fn random(seed: u8, pad: usize) -> Random {
    Random { exponent: [seed; 20], pad: (0..pad).map(|n| (n * 31) as u8 ^ seed).collect() }
}

fn find(name: &[u8; 20]) -> Option<[u8; 20]> {
    (*name == torrent_name(&HASH)).then_some(HASH)
}

/// One side: what it has not taken yet, and what came of its handshake.
#[derive(Default)]
struct Side {
    pending: Vec<u8>,
    agreed: Option<Agreed>,
}

impl Side {
    fn hear(
        &mut self,
        bytes: &[u8],
        advance: impl FnOnce(&mut [u8]) -> Result<Step, MseError>,
    ) -> Result<(), MseError> {
        self.pending.extend(bytes);
        if self.agreed.is_none() {
            let step = advance(&mut self.pending)?;
            self.pending.drain(..step.consumed);
            self.agreed = step.agreed;
        }
        Ok(())
    }

    fn open(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.pending);
        if let Some((cipher, left)) = &mut self.agreed.as_mut().unwrap().incoming {
            let sealed = bytes.len().min(usize::try_from(*left).unwrap());
            cipher.apply(&mut bytes[..sealed]);
            *left -= sealed as u64;
        }
        bytes
    }

    fn seal(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if let Some(cipher) = &mut self.agreed.as_mut().unwrap().outgoing {
            cipher.apply(&mut bytes);
        }
        bytes
    }
}

/// Lets two sides talk in portions of `step` bytes until both agree or one refuses.
fn talk(
    (provide, allow): (Methods, Methods),
    (pad_a, pad_b): (usize, usize),
    initial: &[u8],
    step: usize,
) -> Result<(Side, Side), MseError> {
    let (mut to_b, mut to_a) = (Vec::new(), Vec::new());
    let mut initiator = Initiator::new(HASH, provide, initial.to_vec(), random(1, pad_a), &mut to_b);
    let mut responder = Responder::new(allow, random(2, pad_b));
    let (mut a, mut b) = (Side::default(), Side::default());
    while !to_a.is_empty() || !to_b.is_empty() {
        let portion: Vec<u8> = to_b.drain(..step.min(to_b.len())).collect();
        b.hear(&portion, |input| responder.advance(input, &mut to_a, find))?;
        let portion: Vec<u8> = to_a.drain(..step.min(to_a.len())).collect();
        a.hear(&portion, |input| initiator.advance(input, &mut to_b))?;
    }
    Ok((a, b))
}

fn methods() -> impl Strategy<Value = Methods> {
    prop_oneof![Just(BOTH), Just(RC4), Just(PLAIN), Just(Methods { prefer_rc4: true, ..BOTH })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn both_sides_agree_in_any_portions_and_understand_each_other(
        provide in methods(), allow in methods(), pad_a in 0..=PAD_BYTES, pad_b in 0..=PAD_BYTES,
        initial in proptest::collection::vec(any::<u8>(), 0..200), step in prop_oneof![1usize..20, 20usize..2_000]
    ) {
        let outcome = talk((provide, allow), (pad_a, pad_b), &initial, step);
        let common = (provide.plain && allow.plain) || (provide.rc4 && allow.rc4);
        let Ok((mut a, mut b)) = outcome else {
            prop_assert_eq!(outcome.err(), Some(MseError::NoCommonMethod));
            prop_assert!(!common);
            return Ok(());
        };
        prop_assert!(common);
        let rc4 = provide.rc4 && allow.rc4 && (allow.prefer_rc4 || !provide.plain || !allow.plain);
        prop_assert_eq!(a.agreed.as_ref().unwrap().outgoing.is_some(), rc4);
        prop_assert_eq!(b.agreed.as_ref().unwrap().outgoing.is_some(), rc4);
        prop_assert_eq!(b.open(), initial);
        for text in [&b"first"[..], b"", b"and second"] {
            let sealed = a.seal(text);
            prop_assert_eq!(sealed == text, !rc4 || text.is_empty());
            b.pending.extend(sealed);
            prop_assert_eq!(b.open(), text);
            a.pending = b.seal(text);
            prop_assert_eq!(a.open(), text);
        }
    }

    #[test]
    fn garbage_is_refused_before_it_fills_memory(bytes in proptest::collection::vec(any::<u8>(), 1_300), step in 1usize..700) {
        let mut out = Vec::new();
        let mut initiator = Initiator::new(HASH, BOTH, Vec::new(), random(1, 0), &mut out);
        let mut responder = Responder::new(BOTH, random(2, 3));
        let (mut a, mut b) = (Side::default(), Side::default());
        let ends = |side: &mut Side, advance: &mut dyn FnMut(&mut [u8]) -> Result<Step, MseError>| {
            bytes.chunks(step).map(|portion| {
                let outcome = side.hear(portion, &mut *advance);
                // Key, pad, and less than what is looked for.
                assert!(outcome.is_err() || side.pending.len() < KEY_BYTES.max(20));
                outcome
            }).find(Result::is_err)
        };
        prop_assert_eq!(ends(&mut a, &mut |input| initiator.advance(input, &mut out)), Some(Err(MseError::NoSync)));
        let mut out = Vec::new();
        let advance = &mut |input: &mut [u8]| responder.advance(input, &mut out, find);
        prop_assert_eq!(ends(&mut b, advance), Some(Err(MseError::NoSync)));
        prop_assert!(out.len() == KEY_BYTES + 3, "garbage is answered once");
    }
}

#[test]
fn a_pad_may_have_512_bytes_and_not_one_more() {
    for (pad_a, pad_b) in [(PAD_BYTES + 1, 0), (0, PAD_BYTES + 1)] {
        assert!(talk((BOTH, BOTH), (PAD_BYTES, PAD_BYTES), b"", 1).is_ok());
        assert_eq!(talk((BOTH, BOTH), (pad_a, pad_b), b"", 7).err(), Some(MseError::NoSync));
    }
}

/// A handshake as the wire has it up to where the responder knows the torrent, and the responder behind it.
fn known_so_far(info_hash: [u8; 20], tail: &[u8]) -> Result<Step, MseError> {
    let mut first = Vec::new();
    let mut initiator = Initiator::new(info_hash, BOTH, Vec::new(), random(1, 9), &mut first);
    let mut responder = Responder::new(BOTH, random(2, 0));
    let mut answer = Vec::new();
    let step = responder.advance(&mut first, &mut answer, find)?;
    let mut rest = first.split_off(step.consumed);
    initiator.advance(&mut answer.clone(), &mut rest)?;
    // Behind the two hashes: check, methods, length of the pad, length of what follows.
    let secret = KeyPair::new([1; 20]).shared(answer.first_chunk().unwrap());
    let [mut cipher, _] = super::keystreams(&secret, &info_hash);
    let hashes = rest.len() - 16;
    rest.truncate(hashes);
    let mut tail = tail.to_vec();
    cipher.apply(&mut tail);
    rest.extend(tail);
    responder.advance(&mut rest, &mut answer, find)
}

#[test]
fn the_responder_refuses_what_it_must() {
    let tail = |check: u8, methods: u8, pad: u16| {
        [&[check; 8][..], &[0, 0, 0, methods], &pad.to_be_bytes(), &vec![0; usize::from(pad)], &[0, 0]]
            .concat()
    };
    assert!(known_so_far(HASH, &tail(0, 3, 512)).unwrap().agreed.is_some());
    assert_eq!(known_so_far([8; 20], &tail(0, 3, 0)).err(), Some(MseError::UnknownTorrent));
    assert_eq!(known_so_far(HASH, &tail(1, 3, 0)).err(), Some(MseError::NoSync));
    assert_eq!(known_so_far(HASH, &tail(0, 4, 0)).err(), Some(MseError::NoCommonMethod));
    assert_eq!(known_so_far(HASH, &tail(0, 3, 513)).err(), Some(MseError::LongPad));
}

#[test]
fn the_initiator_refuses_a_method_that_it_did_not_provide_and_a_long_pad() {
    for (selected, pad, error) in
        [(1, 0, MseError::NoCommonMethod), (3, 0, MseError::NoCommonMethod), (2, 513, MseError::LongPad)]
    {
        let mut out = Vec::new();
        let mut initiator = Initiator::new(HASH, RC4, Vec::new(), random(1, 0), &mut out);
        let keys = KeyPair::new([2; 20]);
        let secret = keys.shared(out.first_chunk().unwrap());
        let [_, mut cipher] = super::keystreams(&secret, &HASH);
        let mut answer = [&[0; 8][..], &u32::to_be_bytes(selected), &u16::to_be_bytes(pad)].concat();
        cipher.apply(&mut answer);
        let mut input = [&keys.public[..], &answer].concat();
        assert_eq!(initiator.advance(&mut input, &mut out).err(), Some(error));
    }
}
