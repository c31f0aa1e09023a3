//! BEP 3's frames, as far as a load needs them, and the handshake with BEP 6's bit (some peers say `have all`).
use crate::LoadError;
use std::io::{self, Read, Write};

pub const BLOCK_BYTES: u32 = 16384;
pub const CHOKE: u8 = 0;
pub const UNCHOKE: u8 = 1;
pub const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];
pub const BITFIELD: u8 = 5;
pub const REQUEST: u8 = 6;
pub const PIECE: u8 = 7;
pub const REJECT: u8 = 16;
/// Length and id of a frame, then the index and offset of a block.
pub const PIECE_HEAD_BYTES: usize = 13;
pub const REQUEST_BYTES: usize = 17;
const HANDSHAKE_BYTES: usize = 68;
/// More than any frame that a peer of ours sends: a bitfield of 16 million pieces.
const FRAME_BYTES_LIMIT: usize = 1 << 21;

/// Sends our handshake, `tag` telling connections apart, and takes the other side's for `info_hash`.
pub fn shake_hands(stream: &mut (impl Read + Write), info_hash: [u8; 20], tag: u16) -> Result<(), LoadError> {
    let mut hello = [0; HANDSHAKE_BYTES];
    hello[..20].copy_from_slice(b"\x13BitTorrent protocol");
    hello[27] = 4;
    hello[28..48].copy_from_slice(&info_hash);
    hello[48..].copy_from_slice(format!("-LD0001-{tag:012}").as_bytes());
    stream.write_all(&hello)?;
    let mut reply = [0; HANDSHAKE_BYTES];
    stream.read_exact(&mut reply)?;
    if reply[28..48] == info_hash {
        Ok(())
    } else {
        Err(LoadError::Peer("answered for another torrent".to_owned()))
    }
}

/// A number of 4 bytes in a frame.
pub fn number(frame: &[u8], at: usize) -> u32 {
    frame.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Cuts frames out of a stream through one reused buffer.
pub struct Frames {
    buffer: Vec<u8>,
    first: usize,
    end: usize,
}

impl Frames {
    pub fn new() -> Self {
        Self { buffer: vec![0; 1 << 18], first: 0, end: 0 }
    }

    /// The next whole frame that is already here, without its length.
    pub fn ready(&mut self) -> Result<Option<&[u8]>, LoadError> {
        loop {
            let here = self.end - self.first;
            if here < 4 {
                return Ok(None);
            }
            let length = number(&self.buffer, self.first) as usize;
            if length > FRAME_BYTES_LIMIT {
                return Err(LoadError::Peer(format!("sent a frame of {length} bytes")));
            }
            if here < 4 + length {
                return Ok(None);
            }
            let start = self.first + 4;
            self.first = start + length;
            if length > 0 {
                return Ok(Some(&self.buffer[start..start + length]));
            }
        }
    }

    /// Waits for more bytes.
    pub fn read(&mut self, stream: &mut impl Read) -> io::Result<()> {
        self.buffer.copy_within(self.first..self.end, 0);
        self.end -= self.first;
        self.first = 0;
        if self.end >= 4 {
            let wanted = 4 + number(&self.buffer, 0) as usize;
            if wanted > self.buffer.len() {
                self.buffer.resize(wanted, 0);
            }
        }
        match stream.read(&mut self.buffer[self.end..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }
}
