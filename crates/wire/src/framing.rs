//! Bytes as they come, cut into messages: a sans-IO decoder that bounds every length before it waits for the bytes.

use crate::message::{BLOCK_BYTES, Message, id};

/// Bytes of an extension message (BEP 10) behind its two ids. A piece of metadata with its header is 16.1 KiB.
pub const EXTENSION_BYTES: usize = 64 * 1024;
/// A v2 `hashes` message: 8,192 hashes at most (libtorrent's bound), and a proof no deeper than a tree can be.
const HASHES_BYTES: usize = 48 + 32 * (8_192 + 64);
/// A message that we do not know is skipped when it is no longer than an extension message.
const UNKNOWN_BYTES: usize = EXTENSION_BYTES;
/// Where a quiet link's buffer starts: requests are 17 bytes.
const QUIET_BYTES: usize = 4 * 1024;

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than its kind may be.
    TooLong,
    /// A length that its kind cannot have.
    BadLength,
}

/// Holds what was received and not yet understood.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// What is not consumed lies in `head..tail`.
    head: usize,
    tail: usize,
    /// A bitfield's bytes: as many as the torrent needs, or a bound while that is not known.
    bitfield_bytes: usize,
    /// Room wished for.
    roomy: usize,
    /// Bytes of the message that has begun, its length found right; 0 when none has.
    begun: usize,
}

impl Decoder {
    /// An empty decoder that takes bitfields of up to `bitfield_bytes`.
    pub fn new(bitfield_bytes: usize) -> Self {
        Self { buffer: vec![0; QUIET_BYTES], head: 0, tail: 0, bitfield_bytes, roomy: QUIET_BYTES, begun: 0 }
    }

    /// The torrent is known now.
    pub fn set_bitfield_bytes(&mut self, bytes: usize) {
        self.bitfield_bytes = bytes;
    }

    /// How much one read should be able to take: little for a link that only serves, much for one that fetches.
    pub fn set_room(&mut self, bytes: usize) {
        self.roomy = bytes.max(QUIET_BYTES);
    }

    /// Where the next bytes go; never empty. Call [`Decoder::filled`] with how many came.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
            if self.buffer.len() > self.roomy {
                self.buffer.truncate(self.roomy);
                self.buffer.shrink_to_fit();
            }
        }
        // Twice what has come, not what a length promises: five bytes must not cost us a quarter of a megabyte.
        let wanted = self.begun.min(2 * (self.tail - self.head)).max(self.roomy);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        // Move when what is left of the buffer is small: one short move for each long read.
        if self.head > 0 && self.buffer.len() - self.tail < self.buffer.len() / 4 {
            self.buffer.copy_within(self.head..self.tail, 0);
            self.tail -= self.head;
            self.head = 0;
        }
        self.buffer.get_mut(self.tail..).unwrap_or_default()
    }

    /// `bytes` of the spare room have been filled.
    pub fn filled(&mut self, bytes: usize) {
        self.tail = self.tail.saturating_add(bytes).min(self.buffer.len());
    }

    /// What was received and not yet understood.
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.head..self.tail).unwrap_or_default()
    }

    /// The same, for who opens what is sealed.
    pub fn pending_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.head..self.tail).unwrap_or_default()
    }

    /// Takes `bytes` off the front (the handshake, which is no message).
    pub fn skip(&mut self, bytes: usize) {
        self.head = self.head.saturating_add(bytes).min(self.tail);
    }

    fn peek_length(&self) -> Option<usize> {
        let length = self.pending().first_chunk::<4>()?;
        Some(u32::from_be_bytes(*length) as usize)
    }

    /// The next whole message, or `None` until more bytes come. After an error the connection is over.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, FrameError> {
        let Some(length) = self.peek_length() else { return Ok(None) };
        if length == 0 {
            self.skip(4);
            return Ok(Some(Message::KeepAlive));
        }
        let start = self.head + 4;
        let Some(&message) = self.buffer.get(start).filter(|_| start < self.tail) else {
            // Not even the id has come: no message at all may be as long as this.
            let longest = self.bitfield_bytes.max(HASHES_BYTES);
            return if length > longest + 1 { Err(FrameError::TooLong) } else { Ok(None) };
        };
        self.check_length(message, length - 1)?;
        let end = start + length;
        if end > self.tail {
            self.begun = length + 4;
            return Ok(None);
        }
        (self.head, self.begun) = (end, 0);
        let payload = self.buffer.get(start + 1..end).unwrap_or_default();
        Message::parse(message, payload).map(Some).ok_or(FrameError::BadLength)
    }

    /// Holds a payload's length against what its id allows.
    fn check_length(&self, message: u8, bytes: usize) -> Result<(), FrameError> {
        let (least, most) = match message {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => {
                (0, 0)
            }
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => (4, 4),
            id::BITFIELD => (0, self.bitfield_bytes),
            id::REQUEST | id::CANCEL | id::REJECT => (12, 12),
            id::PIECE => (8, 8 + BLOCK_BYTES as usize),
            id::PORT => (2, 2),
            id::EXTENDED => (1, 1 + EXTENSION_BYTES),
            id::HASH_REQUEST | id::HASH_REJECT => (48, 48),
            id::HASHES => (48, HASHES_BYTES),
            _ => (0, UNKNOWN_BYTES),
        };
        match bytes {
            bytes if bytes > most => Err(FrameError::TooLong),
            bytes if bytes < least => Err(FrameError::BadLength),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "framing_test.rs"]
mod tests;
