//! A seeder of one file: a thread for each connection, a batch of requests answered by one write, a `pread` for each
//! block. It checks nothing: about what the machine can do.
use crate::LoadError;
use crate::options::Options;
use crate::wire::{self, BLOCK_BYTES, Frames};
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::thread;

/// Bytes answered by one write: small enough to stay in the cache between the read and the write.
const BATCH_BYTES: usize = 1 << 18;

struct Served {
    file: File,
    length: u64,
    piece_length: u64,
    info_hash: [u8; 20],
}

/// Listens, prints the port, serves until it is killed.
pub fn run(options: &Options) -> Result<(), LoadError> {
    let file = File::open(options.required::<String>("file")?)?;
    let length = file.metadata()?.len();
    let piece_length = options.required("piece-length")?;
    let served = Arc::new(Served { file, length, piece_length, info_hash: options.info_hash()? });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    writeln!(io::stdout(), r#"{{"port":{port}}}"#)?;
    for stream in listener.incoming() {
        let served = Arc::clone(&served);
        let stream = stream?;
        thread::spawn(move || {
            let _ = serve(stream, &served, port);
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, served: &Served, port: u16) -> Result<(), LoadError> {
    stream.set_nodelay(true)?;
    // A seeder of its own for each port: peers keep one connection to each peer id.
    wire::shake_hands(&mut stream, served.info_hash, port)?;
    let pieces = served.length.div_ceil(served.piece_length) as usize;
    let mut bitfield = vec![0xff; pieces.div_ceil(8)];
    if let Some(last) = bitfield.last_mut().filter(|_| !pieces.is_multiple_of(8)) {
        *last <<= 8 - pieces % 8;
    }
    stream.write_all(&(bitfield.len() as u32 + 1).to_be_bytes())?;
    stream.write_all(&[wire::BITFIELD])?;
    stream.write_all(&bitfield)?;
    stream.write_all(&[0, 0, 0, 1, wire::UNCHOKE])?;

    let mut frames = Frames::new();
    let mut reply = vec![0; BATCH_BYTES + BLOCK_BYTES as usize + wire::PIECE_HEAD_BYTES];
    let mut filled = 0;
    loop {
        while let Some(frame) = frames.ready()? {
            if frame[0] != wire::REQUEST {
                continue;
            }
            let (piece, begin, length) =
                (wire::number(frame, 1), wire::number(frame, 5), wire::number(frame, 9));
            if length > BLOCK_BYTES {
                return Err(LoadError::Peer(format!("asked for {length} bytes at once")));
            }
            let (head, block) = reply[filled..].split_at_mut(wire::PIECE_HEAD_BYTES);
            head[..4].copy_from_slice(&(length + 9).to_be_bytes());
            head[4] = wire::PIECE;
            head[5..].copy_from_slice(&frame[1..9]);
            let offset = u64::from(piece) * served.piece_length + u64::from(begin);
            served.file.read_exact_at(&mut block[..length as usize], offset)?;
            filled += wire::PIECE_HEAD_BYTES + length as usize;
            if filled >= BATCH_BYTES {
                stream.write_all(&reply[..filled])?;
                filled = 0;
            }
        }
        stream.write_all(&reply[..filled])?;
        filled = 0;
        frames.read(&mut stream)?;
    }
}
