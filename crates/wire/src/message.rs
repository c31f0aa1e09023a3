//! The messages of BEP 3, 6, 10 and 52, and their bytes: `length (4, big-endian) | id | payload`.

pub use blockswarm_pieces::HashSpan;

/// Bytes in a block: nobody may ask for more at once, and most clients refuse to give more.
pub const BLOCK_BYTES: u32 = 16_384;
/// Bytes in front of a block: length, id, piece, begin.
pub const PIECE_HEADER_BYTES: usize = 13;

pub(crate) mod id {
    pub const CHOKE: u8 = 0;
    pub const UNCHOKE: u8 = 1;
    pub const INTERESTED: u8 = 2;
    pub const NOT_INTERESTED: u8 = 3;
    pub const HAVE: u8 = 4;
    pub const BITFIELD: u8 = 5;
    pub const REQUEST: u8 = 6;
    pub const PIECE: u8 = 7;
    pub const CANCEL: u8 = 8;
    pub const PORT: u8 = 9;
    pub const SUGGEST: u8 = 13;
    pub const HAVE_ALL: u8 = 14;
    pub const HAVE_NONE: u8 = 15;
    pub const REJECT: u8 = 16;
    pub const ALLOWED_FAST: u8 = 17;
    pub const EXTENDED: u8 = 20;
    pub const HASH_REQUEST: u8 = 21;
    pub const HASHES: u8 = 22;
    pub const HASH_REJECT: u8 = 23;
}

/// A part of a piece, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Piece number, unchecked.
    pub piece: u32,
    /// First byte in the piece.
    pub begin: u32,
    /// Bytes.
    pub length: u32,
}

/// One message, borrowing its bytes from the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the BEPs")]
pub enum Message<'a> {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(&'a [u8]),
    Request(Span),
    Piece {
        piece: u32,
        begin: u32,
        data: &'a [u8],
    },
    Cancel(Span),
    Port(u16),
    Suggest(u32),
    HaveAll,
    HaveNone,
    Reject(Span),
    AllowedFast(u32),
    Extended {
        id: u8,
        payload: &'a [u8],
    },
    HashRequest(HashSpan),
    Hashes {
        span: HashSpan,
        hashes: &'a [u8],
    },
    HashReject(HashSpan),
    /// A message of some extension that we do not speak: ignored.
    Unknown(u8),
}

impl<'a> Message<'a> {
    /// Reads the payload of a message whose length was found right for its id; `None` when it is not.
    pub(crate) fn parse(message: u8, payload: &'a [u8]) -> Option<Self> {
        let mut rest = payload;
        let parsed = match message {
            id::CHOKE => Self::Choke,
            id::UNCHOKE => Self::Unchoke,
            id::INTERESTED => Self::Interested,
            id::NOT_INTERESTED => Self::NotInterested,
            id::HAVE => Self::Have(take_u32(&mut rest)?),
            id::BITFIELD => Self::Bitfield(std::mem::take(&mut rest)),
            id::REQUEST => Self::Request(take_span(&mut rest)?),
            id::PIECE => {
                let (piece, begin) = (take_u32(&mut rest)?, take_u32(&mut rest)?);
                Self::Piece { piece, begin, data: std::mem::take(&mut rest) }
            }
            id::CANCEL => Self::Cancel(take_span(&mut rest)?),
            id::PORT => Self::Port(u16::from_be_bytes(*rest.split_off(..2)?.first_chunk()?)),
            id::SUGGEST => Self::Suggest(take_u32(&mut rest)?),
            id::HAVE_ALL => Self::HaveAll,
            id::HAVE_NONE => Self::HaveNone,
            id::REJECT => Self::Reject(take_span(&mut rest)?),
            id::ALLOWED_FAST => Self::AllowedFast(take_u32(&mut rest)?),
            id::EXTENDED => {
                let (&extension, payload) = rest.split_first()?;
                rest = &[];
                Self::Extended { id: extension, payload }
            }
            id::HASH_REQUEST => Self::HashRequest(take_hash_span(&mut rest)?),
            id::HASHES => {
                Self::Hashes { span: take_hash_span(&mut rest)?, hashes: std::mem::take(&mut rest) }
            }
            id::HASH_REJECT => Self::HashReject(take_hash_span(&mut rest)?),
            _ => {
                rest = &[];
                Self::Unknown(message)
            }
        };
        rest.is_empty().then_some(parsed)
    }

    /// Appends the message's bytes. An unknown message has an id only.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::KeepAlive => out.extend([0; 4]),
            Self::Choke => head(out, id::CHOKE, 0),
            Self::Unchoke => head(out, id::UNCHOKE, 0),
            Self::Interested => head(out, id::INTERESTED, 0),
            Self::NotInterested => head(out, id::NOT_INTERESTED, 0),
            Self::Have(piece) => words(out, id::HAVE, [piece]),
            Self::Bitfield(bits) => {
                head(out, id::BITFIELD, bits.len());
                out.extend_from_slice(bits);
            }
            Self::Request(span) => write_span(out, id::REQUEST, span),
            Self::Piece { piece, begin, data } => {
                out.extend_from_slice(&piece_header(piece, begin, data.len() as u32));
                out.extend_from_slice(data);
            }
            Self::Cancel(span) => write_span(out, id::CANCEL, span),
            Self::Port(port) => {
                head(out, id::PORT, 2);
                out.extend(port.to_be_bytes());
            }
            Self::Suggest(piece) => words(out, id::SUGGEST, [piece]),
            Self::HaveAll => head(out, id::HAVE_ALL, 0),
            Self::HaveNone => head(out, id::HAVE_NONE, 0),
            Self::Reject(span) => write_span(out, id::REJECT, span),
            Self::AllowedFast(piece) => words(out, id::ALLOWED_FAST, [piece]),
            Self::Extended { id: extension, payload } => {
                head(out, id::EXTENDED, payload.len() + 1);
                out.push(extension);
                out.extend_from_slice(payload);
            }
            Self::HashRequest(span) => write_hash_span(out, id::HASH_REQUEST, &span, &[]),
            Self::Hashes { span, hashes } => write_hash_span(out, id::HASHES, &span, hashes),
            Self::HashReject(span) => write_hash_span(out, id::HASH_REJECT, &span, &[]),
            Self::Unknown(message) => head(out, message, 0),
        }
    }
}

/// What stands in front of a block of `length` bytes.
pub fn piece_header(piece: u32, begin: u32, length: u32) -> [u8; PIECE_HEADER_BYTES] {
    let mut header = [0; PIECE_HEADER_BYTES];
    header[..4].copy_from_slice(&(length + 9).to_be_bytes());
    header[4] = id::PIECE;
    header[5..9].copy_from_slice(&piece.to_be_bytes());
    header[9..].copy_from_slice(&begin.to_be_bytes());
    header
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (word, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*word))
}

fn take_span(rest: &mut &[u8]) -> Option<Span> {
    Some(Span { piece: take_u32(rest)?, begin: take_u32(rest)?, length: take_u32(rest)? })
}

fn take_hash_span(rest: &mut &[u8]) -> Option<HashSpan> {
    let (root, after) = rest.split_first_chunk::<32>()?;
    *rest = after;
    Some(HashSpan {
        root: *root,
        base_layer: take_u32(rest)?,
        index: take_u32(rest)?,
        length: take_u32(rest)?,
        proof_layers: take_u32(rest)?,
    })
}

fn head(out: &mut Vec<u8>, message: u8, payload_bytes: usize) {
    // No message of ours comes near 4 GiB: the largest is a bitfield of 256 KiB.
    out.extend((payload_bytes as u32 + 1).to_be_bytes());
    out.push(message);
}

fn words<const N: usize>(out: &mut Vec<u8>, message: u8, words: [u32; N]) {
    head(out, message, N * 4);
    for word in words {
        out.extend(word.to_be_bytes());
    }
}

fn write_span(out: &mut Vec<u8>, message: u8, span: Span) {
    words(out, message, [span.piece, span.begin, span.length]);
}

fn write_hash_span(out: &mut Vec<u8>, message: u8, span: &HashSpan, hashes: &[u8]) {
    head(out, message, 48 + hashes.len());
    out.extend(span.root);
    for word in [span.base_layer, span.index, span.length, span.proof_layers] {
        out.extend(word.to_be_bytes());
    }
    out.extend_from_slice(hashes);
}
