//! The handshake of MSE (message stream encryption, also PE): two sides agree on keystreams before the BitTorrent
//! handshake, in bytes that look like noise. Sans-IO: bytes in, bytes out, in any portions.
//!
//! ```text
//! initiator                                             responder
//! Ya, pad                                       ->
//!                                               <-      Yb, pad
//! H(req1 S), H(req2 hash) ^ H(req3 S),          ->
//!   rc4(VC, provided, pad, IA)
//!                                               <-      rc4(VC, selected, pad)
//! ```
//!
//! S is the shared secret, VC eight zero bytes, IA the initiator's first bytes. Nobody says how long the first pads
//! are: each side looks for what must follow, within the 512 bytes that a pad may have.

use crate::key_exchange::{EXPONENT_BYTES, KEY_BYTES, KeyPair};
use crate::mse_input::{Input, Sync};
use crate::rc4::Rc4;
use blockswarm_pieces::sha::Sha1Stream;

/// A pad is no longer.
pub(crate) const PAD_BYTES: usize = 512;
const CHECK_BYTES: usize = 8;
/// `crypto_provide` and `crypto_select`.
const PLAIN: u32 = 1;
const RC4: u32 = 2;

/// What may carry the bytes behind the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Methods {
    pub(crate) plain: bool,
    pub(crate) rc4: bool,
    /// Which to select when both sides may use both.
    pub(crate) prefer_rc4: bool,
}

impl Methods {
    fn bits(self) -> u32 {
        u32::from(self.plain) * PLAIN + u32::from(self.rc4) * RC4
    }

    fn select(self, provided: u32) -> Result<u32, MseError> {
        let both = self.bits() & provided;
        let order = if self.prefer_rc4 { [RC4, PLAIN] } else { [PLAIN, RC4] };
        order.into_iter().find(|method| both & method != 0).ok_or(MseError::NoCommonMethod)
    }
}

/// What one side makes up: a secret, and how long its first pad is and of which bytes.
pub(crate) struct Random {
    pub(crate) exponent: [u8; EXPONENT_BYTES],
    pub(crate) pad: Vec<u8>,
}

impl Random {
    /// From the system.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let (mut exponent, mut length) = ([0; EXPONENT_BYTES], [0; 2]);
        getrandom::fill(&mut exponent)?;
        getrandom::fill(&mut length)?;
        let mut pad = vec![0; usize::from(u16::from_be_bytes(length)) % (PAD_BYTES + 1)];
        getrandom::fill(&mut pad)?;
        Ok(Self { exponent, pad })
    }
}

/// Why there is no agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MseError {
    /// What must follow the pad did not, or the check is wrong: another protocol, or another torrent.
    NoSync,
    /// A pad longer than 512 bytes.
    LongPad,
    /// The initiator knows none of our torrents.
    UnknownTorrent,
    /// No method that both sides may use, or one that was not provided.
    NoCommonMethod,
}

/// Keystreams of a connection after its handshake.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// For what comes, at most so many bytes of it: the rest is plain.
    pub(crate) incoming: Option<(Rc4, u64)>,
    /// For what goes.
    pub(crate) outgoing: Option<Rc4>,
}

/// What came of some bytes.
#[derive(Debug)]
pub(crate) struct Step {
    /// Bytes of the input that are done with.
    pub(crate) consumed: usize,
    /// The handshake is over.
    pub(crate) agreed: Option<Agreed>,
}

/// The side that dialled.
pub(crate) struct Initiator {
    keys: KeyPair,
    info_hash: [u8; 20],
    provide: Methods,
    initial: Vec<u8>,
    state: Dialling,
}

enum Dialling {
    /// For the other's key.
    Key,
    /// For eight zero bytes as the other seals them.
    Check {
        sync: Sync,
        incoming: Rc4,
        outgoing: Rc4,
    },
    Select {
        incoming: Rc4,
        outgoing: Rc4,
    },
    Pad {
        left: usize,
        selected: u32,
        incoming: Rc4,
        outgoing: Rc4,
    },
    Over,
}

impl Initiator {
    /// A handshake for a torrent, and its first bytes. `initial` goes out with the keys, before the other's choice
    /// is known: at most 65,535 bytes.
    pub(crate) fn new(
        info_hash: [u8; 20],
        provide: Methods,
        initial: Vec<u8>,
        random: Random,
        out: &mut Vec<u8>,
    ) -> Self {
        let keys = KeyPair::new(random.exponent);
        out.extend(keys.public);
        out.extend(random.pad);
        Self { keys, info_hash, provide, initial, state: Dialling::Key }
    }

    /// Takes what has come, opens parts of it in place, and appends what is to be sent.
    pub(crate) fn advance(&mut self, input: &mut [u8], out: &mut Vec<u8>) -> Result<Step, MseError> {
        let mut input = Input::new(input);
        loop {
            match std::mem::replace(&mut self.state, Dialling::Over) {
                Dialling::Key => {
                    let Some(theirs) = input.take::<KEY_BYTES>() else {
                        self.state = Dialling::Key;
                        return Ok(more(&input));
                    };
                    self.state = self.greet(&theirs, out);
                }
                Dialling::Check { mut sync, incoming, outgoing } => {
                    if !input.find(&mut sync)? {
                        self.state = Dialling::Check { sync, incoming, outgoing };
                        return Ok(more(&input));
                    }
                    self.state = Dialling::Select { incoming, outgoing };
                }
                Dialling::Select { mut incoming, outgoing } => {
                    let Some(mut bytes) = input.take::<6>() else {
                        self.state = Dialling::Select { incoming, outgoing };
                        return Ok(more(&input));
                    };
                    incoming.apply(&mut bytes);
                    let (selected, left) = methods_and_pad(bytes)?;
                    if ![PLAIN, RC4].contains(&selected) || selected & self.provide.bits() == 0 {
                        return Err(MseError::NoCommonMethod);
                    }
                    self.state = Dialling::Pad { left, selected, incoming, outgoing };
                }
                Dialling::Pad { mut left, selected, mut incoming, outgoing } => {
                    if !input.pass(&mut incoming, &mut left) {
                        self.state = Dialling::Pad { left, selected, incoming, outgoing };
                        return Ok(more(&input));
                    }
                    let sealed = selected == RC4;
                    let agreed = Agreed {
                        incoming: sealed.then_some((incoming, u64::MAX)),
                        outgoing: sealed.then_some(outgoing),
                    };
                    return Ok(Step { consumed: input.consumed(), agreed: Some(agreed) });
                }
                Dialling::Over => return Err(MseError::NoSync),
            }
        }
    }

    /// Who we look for, what we can, and the first bytes.
    fn greet(&mut self, theirs: &[u8; KEY_BYTES], out: &mut Vec<u8>) -> Dialling {
        let secret = self.keys.shared(theirs);
        let [mut outgoing, mut incoming] = keystreams(&secret, &self.info_hash);
        out.extend(sha1(&[b"req1", &secret]));
        out.extend(xor(sha1(&[b"req2", &self.info_hash]), sha1(&[b"req3", &secret])));
        let start = out.len();
        out.extend([0; CHECK_BYTES]);
        out.extend(self.provide.bits().to_be_bytes());
        out.extend([0; 2]);
        out.extend((self.initial.len() as u16).to_be_bytes());
        out.append(&mut self.initial);
        outgoing.apply(out.get_mut(start..).unwrap_or_default());
        let mut check = [0; CHECK_BYTES];
        incoming.apply(&mut check);
        Dialling::Check { sync: Sync::new(&check), incoming, outgoing }
    }
}

/// The side that was dialled.
pub(crate) struct Responder {
    random: Option<Random>,
    allow: Methods,
    state: Dialled,
}

enum Dialled {
    Key,
    /// For the hash that says where the pad ends.
    Request {
        sync: Sync,
        secret: [u8; KEY_BYTES],
    },
    Torrent {
        secret: [u8; KEY_BYTES],
    },
    Check {
        incoming: Rc4,
        outgoing: Rc4,
    },
    Provide {
        incoming: Rc4,
        outgoing: Rc4,
    },
    Pad {
        left: usize,
        selected: u32,
        incoming: Rc4,
        outgoing: Rc4,
    },
    Initial {
        selected: u32,
        incoming: Rc4,
        outgoing: Rc4,
    },
    Over,
}

impl Responder {
    /// A handshake that somebody else begins.
    pub(crate) fn new(allow: Methods, random: Random) -> Self {
        Self { random: Some(random), allow, state: Dialled::Key }
    }

    /// As [`Initiator::advance`]. `find` knows the info hash behind `H(req2 hash)`.
    pub(crate) fn advance(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        find: impl Fn(&[u8; 20]) -> Option<[u8; 20]>,
    ) -> Result<Step, MseError> {
        let mut input = Input::new(input);
        loop {
            match std::mem::replace(&mut self.state, Dialled::Over) {
                Dialled::Key => {
                    let Some(theirs) = input.take::<KEY_BYTES>() else {
                        self.state = Dialled::Key;
                        return Ok(more(&input));
                    };
                    let random = self.random.take().ok_or(MseError::NoSync)?;
                    let keys = KeyPair::new(random.exponent);
                    out.extend(keys.public);
                    out.extend(random.pad);
                    let secret = keys.shared(&theirs);
                    let sync = Sync::new(&sha1(&[b"req1", &secret]));
                    self.state = Dialled::Request { sync, secret };
                }
                Dialled::Request { mut sync, secret } => {
                    if !input.find(&mut sync)? {
                        self.state = Dialled::Request { sync, secret };
                        return Ok(more(&input));
                    }
                    self.state = Dialled::Torrent { secret };
                }
                Dialled::Torrent { secret } => {
                    let Some(mixed) = input.take::<20>() else {
                        self.state = Dialled::Torrent { secret };
                        return Ok(more(&input));
                    };
                    let name = xor(mixed, sha1(&[b"req3", &secret]));
                    let info_hash = find(&name).ok_or(MseError::UnknownTorrent)?;
                    let [incoming, outgoing] = keystreams(&secret, &info_hash);
                    self.state = Dialled::Check { incoming, outgoing };
                }
                Dialled::Check { mut incoming, outgoing } => {
                    let Some(mut check) = input.take::<CHECK_BYTES>() else {
                        self.state = Dialled::Check { incoming, outgoing };
                        return Ok(more(&input));
                    };
                    incoming.apply(&mut check);
                    if check != [0; CHECK_BYTES] {
                        return Err(MseError::NoSync);
                    }
                    self.state = Dialled::Provide { incoming, outgoing };
                }
                Dialled::Provide { mut incoming, outgoing } => {
                    let Some(mut bytes) = input.take::<6>() else {
                        self.state = Dialled::Provide { incoming, outgoing };
                        return Ok(more(&input));
                    };
                    incoming.apply(&mut bytes);
                    let (provided, left) = methods_and_pad(bytes)?;
                    let selected = self.allow.select(provided)?;
                    self.state = Dialled::Pad { left, selected, incoming, outgoing };
                }
                Dialled::Pad { mut left, selected, mut incoming, outgoing } => {
                    if !input.pass(&mut incoming, &mut left) {
                        self.state = Dialled::Pad { left, selected, incoming, outgoing };
                        return Ok(more(&input));
                    }
                    self.state = Dialled::Initial { selected, incoming, outgoing };
                }
                Dialled::Initial { selected, mut incoming, mut outgoing } => {
                    let Some(mut bytes) = input.take::<2>() else {
                        self.state = Dialled::Initial { selected, incoming, outgoing };
                        return Ok(more(&input));
                    };
                    incoming.apply(&mut bytes);
                    let initial = u64::from(u16::from_be_bytes(bytes));
                    let mut answer = [0; CHECK_BYTES + 6];
                    answer[CHECK_BYTES..CHECK_BYTES + 4].copy_from_slice(&selected.to_be_bytes());
                    outgoing.apply(&mut answer);
                    out.extend(answer);
                    let sealed = selected == RC4;
                    // The initiator sealed its first bytes before it knew our choice.
                    let bytes = if sealed { u64::MAX } else { initial };
                    let agreed = Agreed {
                        incoming: (bytes > 0).then_some((incoming, bytes)),
                        outgoing: sealed.then_some(outgoing),
                    };
                    return Ok(Step { consumed: input.consumed(), agreed: Some(agreed) });
                }
                Dialled::Over => return Err(MseError::NoSync),
            }
        }
    }
}

fn more(input: &Input<'_>) -> Step {
    Step { consumed: input.consumed(), agreed: None }
}

/// Methods provided or selected, and the length of the pad behind them.
fn methods_and_pad(bytes: [u8; 6]) -> Result<(u32, usize), MseError> {
    let [methods @ .., high, low] = bytes;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length <= PAD_BYTES { Ok((u32::from_be_bytes(methods), length)) } else { Err(MseError::LongPad) }
}

/// What the initiator sends with, and what the responder sends with.
fn keystreams(secret: &[u8; KEY_BYTES], info_hash: &[u8; 20]) -> [Rc4; 2] {
    [b"keyA", b"keyB"].map(|name| Rc4::new(&sha1(&[name, secret, info_hash])))
}

/// `H(req2 hash)`: how an initiator names a torrent.
pub(crate) fn torrent_name(info_hash: &[u8; 20]) -> [u8; 20] {
    sha1(&[b"req2", info_hash])
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut stream = Sha1Stream::new();
    for part in parts {
        stream.update(part);
    }
    stream.finish()
}

fn xor(left: [u8; 20], right: [u8; 20]) -> [u8; 20] {
    std::array::from_fn(|place| left[place] ^ right[place])
}

#[cfg(test)]
#[path = "mse_test.rs"]
mod tests;
