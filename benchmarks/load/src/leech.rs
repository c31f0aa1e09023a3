//! Connections that ask for every block of their share of the pieces and throw it away. Each begins when it is
//! unchoked; the clock runs from the first unchoke after all of them are connected.
use crate::LoadError;
use crate::options::Options;
use crate::wire::{self, BLOCK_BYTES, Frames};
use rustix::net::{self, AddressFamily, SocketType};
use sha1::{Digest, Sha1};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::ops::Range;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Plan {
    peer: SocketAddrV4,
    info_hash: [u8; 20],
    length: u64,
    piece_length: u32,
    /// Requests that a connection keeps waiting for their blocks.
    depth: usize,
    passes: u32,
    /// SHA-1 of each piece, when they are to be checked.
    pieces: Option<Vec<u8>>,
}

impl Plan {
    pub fn read(options: &Options) -> Result<Self, LoadError> {
        let pieces: Option<String> = options.given("pieces")?;
        Ok(Self {
            peer: options.required("peer")?,
            info_hash: options.info_hash()?,
            length: options.required("length")?,
            piece_length: options.required("piece-length")?,
            depth: options.given("depth")?.unwrap_or(256),
            passes: options.given("passes")?.unwrap_or(1),
            pieces: pieces.map(std::fs::read).transpose()?,
        })
    }

    /// A share of the pieces.
    pub fn share(&self, at: u64, of: u64) -> Range<u64> {
        self.piece_count() * at / of..self.piece_count() * (at + 1) / of
    }

    fn piece_count(&self) -> u64 {
        self.length.div_ceil(u64::from(self.piece_length))
    }

    fn piece_bytes(&self, piece: u64) -> u64 {
        u64::from(self.piece_length).min(self.length - piece * u64::from(self.piece_length))
    }

    /// Piece, offset and length of every block of some pieces, in order.
    fn blocks(&self, pieces: Range<u64>) -> impl Iterator<Item = (u32, u32, u32)> {
        pieces.flat_map(move |piece| {
            let bytes = self.piece_bytes(piece) as u32;
            let block = move |n: u32| (n * BLOCK_BYTES, BLOCK_BYTES.min(bytes - n * BLOCK_BYTES));
            (0..bytes.div_ceil(BLOCK_BYTES))
                .map(block)
                .map(move |(begin, length)| (piece as u32, begin, length))
        })
    }
}

/// Runs all connections; prints bytes and seconds.
pub fn run(options: &Options) -> Result<(), LoadError> {
    let connections: u64 = options.given("connections")?.unwrap_or(8);
    let plan = Plan::read(options)?;
    let (opened, wait_opened) = mpsc::channel();
    let (unchoked, first_unchoked) = mpsc::channel();
    let mut threads = Vec::new();
    let mut starts = Vec::new();
    for connection in 0..connections {
        let share = plan.share(connection, connections);
        let (start, started) = mpsc::channel();
        starts.push(start);
        let (plan, opened, unchoked) = (plan.clone(), opened.clone(), unchoked.clone());
        threads.push(thread::spawn(move || {
            let leech = Leech::open(&plan, connection as u16);
            let failed = leech.as_ref().err().map(ToString::to_string);
            let _ = opened.send(failed);
            let mut leech = leech?;
            if started.recv().is_err() {
                return Ok(0);
            }
            leech.until_unchoked()?;
            let _ = unchoked.send(Instant::now());
            leech.fetch(&plan, share)
        }));
    }
    for _ in 0..connections {
        if let Ok(Some(failed)) = wait_opened.recv() {
            return Err(LoadError::Peer(format!("did not shake hands: {failed}")));
        }
    }
    let asked = Instant::now();
    for start in starts {
        let _ = start.send(());
    }
    let begun = first_unchoked.recv_timeout(PATIENCE);
    let begun = begun.map_err(|_| LoadError::Peer("unchoked nobody".to_owned()))?;
    let unchoke_seconds = (begun - asked).as_secs_f64();
    let mut bytes = 0;
    for thread in threads {
        bytes += thread.join().map_err(|_| LoadError::Peer("made a connection panic".to_owned()))??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        r#"{{"lengthBytes":{bytes},"seconds":{seconds:.4},"unchokeSeconds":{unchoke_seconds:.3}}}"#
    )?;
    Ok(())
}

/// A connection.
pub struct Leech {
    stream: TcpStream,
    frames: Frames,
}

impl Leech {
    /// Connects from an address of its own (127.0.1.2, 127.0.1.3 …): peers limit connections of one address.
    pub fn open(plan: &Plan, connection: u16) -> Result<Self, LoadError> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).map_err(io::Error::from)?;
        let [high, low] = (connection + 2).to_be_bytes();
        let own = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1 + high, low), 0);
        net::bind(&socket, &own).map_err(io::Error::from)?;
        net::connect(&socket, &plan.peer).map_err(io::Error::from)?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        wire::shake_hands(&mut stream, plan.info_hash, connection)?;
        stream.write_all(&wire::INTERESTED)?;
        Ok(Self { stream, frames: Frames::new() })
    }

    /// Waits for its turn; a seeder may have fewer places than there are connections.
    pub fn until_unchoked(&mut self) -> Result<(), LoadError> {
        loop {
            while let Some(frame) = self.frames.ready()? {
                if frame[0] == wire::UNCHOKE {
                    return Ok(());
                }
            }
            self.frames.read(&mut self.stream)?;
        }
    }

    /// Asks for one block and waits for it.
    pub fn first_block(&mut self) -> Result<(), LoadError> {
        let mut request = vec![0, 0, 0, 13, wire::REQUEST];
        for field in [0, 0, BLOCK_BYTES] {
            request.extend_from_slice(&field.to_be_bytes());
        }
        self.stream.write_all(&request)?;
        loop {
            while let Some(frame) = self.frames.ready()? {
                if frame[0] == wire::PIECE {
                    return Ok(());
                }
            }
            self.frames.read(&mut self.stream)?;
        }
    }

    /// Fetches some pieces, `passes` times; returns the bytes of their blocks.
    pub fn fetch(&mut self, plan: &Plan, pieces: Range<u64>) -> Result<u64, LoadError> {
        let share: u64 = pieces.clone().map(|piece| plan.piece_bytes(piece)).sum();
        let expected = share * u64::from(plan.passes);
        let mut wanted = (0..plan.passes).flat_map(|_| plan.blocks(pieces.clone()));
        let mut check = plan.pieces.as_deref().map(|hashes| Check { hashes, open: HashMap::new() });
        let (mut received, mut choked) = (0, false);
        let mut waiting = VecDeque::new();
        let mut again = VecDeque::new();
        let mut requests = Vec::with_capacity(plan.depth * wire::REQUEST_BYTES);
        while received < expected {
            // Asked for in batches: a request of 17 bytes in a packet of its own would cost the other side a read.
            if !choked && waiting.len() <= plan.depth - plan.depth / 4 {
                requests.clear();
                while waiting.len() < plan.depth {
                    let Some(request) = again.pop_front().or_else(|| wanted.next()) else { break };
                    let (piece, begin, length) = request;
                    requests.extend_from_slice(&[0, 0, 0, 13, wire::REQUEST]);
                    for field in [piece, begin, length] {
                        requests.extend_from_slice(&field.to_be_bytes());
                    }
                    waiting.push_back(request);
                }
                self.stream.write_all(&requests)?;
            }
            self.frames.read(&mut self.stream)?;
            while let Some(frame) = self.frames.ready()? {
                match frame[0] {
                    wire::PIECE if frame.len() > 9 => {
                        let key = (wire::number(frame, 1), wire::number(frame, 5));
                        let at = waiting.iter().position(|(piece, begin, _)| (*piece, *begin) == key);
                        if at.and_then(|at| waiting.remove(at)).is_none() {
                            return Err(LoadError::Peer("sent what nobody asked for".to_owned()));
                        }
                        received += frame.len() as u64 - 9;
                        if let Some(check) = &mut check {
                            check.take(plan, wire::number(frame, 1), wire::number(frame, 5), &frame[9..])?;
                        }
                    }
                    wire::CHOKE => choked = true,
                    // What was refused when it choked us is asked for again.
                    wire::REJECT => {
                        let key = (wire::number(frame, 1), wire::number(frame, 5));
                        let at = waiting.iter().position(|(piece, begin, _)| (*piece, *begin) == key);
                        again.extend(at.and_then(|at| waiting.remove(at)));
                    }
                    wire::UNCHOKE if choked => {
                        choked = false;
                        again.extend(waiting.drain(..));
                    }
                    _ => {}
                }
            }
        }
        Ok(received)
    }
}

/// Pieces in the making, hashed when whole.
struct Check<'a> {
    hashes: &'a [u8],
    open: HashMap<u32, (Vec<u8>, usize)>,
}

impl Check<'_> {
    fn take(&mut self, plan: &Plan, piece: u32, begin: u32, block: &[u8]) -> Result<(), LoadError> {
        let wrong = || LoadError::Peer(format!("sent a wrong piece {piece}"));
        if u64::from(piece) >= plan.piece_count() {
            return Err(wrong());
        }
        let bytes = plan.piece_bytes(u64::from(piece)) as usize;
        let (data, missing) = self.open.entry(piece).or_insert_with(|| (vec![0; bytes], bytes));
        let place = data.get_mut(begin as usize..begin as usize + block.len()).ok_or_else(wrong)?;
        place.copy_from_slice(block);
        *missing = missing.checked_sub(block.len()).ok_or_else(wrong)?;
        if *missing > 0 {
            return Ok(());
        }
        let expected = self.hashes.get(piece as usize * 20..piece as usize * 20 + 20);
        let found = Sha1::digest(data.as_slice());
        self.open.remove(&piece);
        if expected == Some(found.as_slice()) { Ok(()) } else { Err(wrong()) }
    }
}
