//! How many coins a set has, what they are worth, and its two hashes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;

use crate::coins::{Coin, OutPoint};
use crate::compressor::CoinFault;
use crate::encode::Hash;
use crate::money::MAX_MONEY;
use crate::snapshot::{SnapshotFault, SnapshotHash, SnapshotHead, SnapshotReader};
use crate::sums::{MuHash, push_preimage};

use super::CoinSetError;

/// Bytes of coins that go to another thread at once.
const BATCH_BYTES: usize = 1 << 20;

/// A set of coins, as `gettxoutsetinfo` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetTotals {
    /// How many.
    pub coins: u64,
    /// Satoshi of all.
    pub value: u64,
    /// `hash_serialized_3`, internal order.
    pub hash_serialized: Hash,
    /// `muhash`, internal order.
    pub muhash: Hash,
}

/// A set that grows; a coin goes to both `add`, in any order, and `add_ordered`.
#[derive(Debug, Clone, Default)]
pub(super) struct CoinTotals {
    coins: u64,
    value: u64,
    muhash: MuHash,
    ordered: SnapshotHash,
    scratch: Vec<u8>,
}

impl CoinTotals {
    pub fn coins(&self) -> u64 {
        self.coins
    }

    /// All but the hash that needs an order.
    pub fn add(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.coins += 1;
        self.value = self.value.saturating_add(coin.value);
        self.muhash.insert_coin(point, coin, &mut self.scratch);
    }

    /// The hash that needs the order of a snapshot.
    pub fn add_ordered(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.ordered.push(point, coin);
    }

    /// What another one has added without an order.
    pub fn combine(&mut self, other: &Self) {
        self.coins += other.coins;
        self.value = self.value.saturating_add(other.value);
        self.muhash.combine(&other.muhash);
    }

    pub fn finish(self) -> SetTotals {
        let Self { coins, value, muhash, ordered, .. } = self;
        SetTotals { coins, value, hash_serialized: ordered.finish(), muhash: muhash.finish() }
    }
}

/// Reads a snapshot file from end to end, checks its form, and adds up its coins; the MuHash on `threads` more threads.
/// `progress` counts bytes.
pub fn read_totals(
    path: &Path,
    threads: usize,
    progress: &AtomicU64,
    cancelled: &AtomicBool,
) -> Result<(SnapshotHead, SetTotals), CoinSetError> {
    let failed = CoinSetError::snapshot(path);
    let file = File::open(path).map_err(CoinSetError::io(path))?;
    let mut reader = SnapshotReader::new(Counted { file, progress }).map_err(&failed)?;
    let head = *reader.head();
    let (send, receive) = sync_channel(2 * threads.max(1));
    let (receive, muhash) = (Mutex::new(receive), Mutex::new(MuHash::default()));
    let mut totals = CoinTotals::default();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| muhash.lock().combine(&product(&receive)));
        }
        // Ends when this thread does: the others see it.
        let send = send;
        let mut batch = Batch::default();
        while let Some((point, coin)) = reader.next_coin().map_err(&failed)? {
            if cancelled.load(Ordering::Relaxed) {
                return Err(CoinSetError::Cancelled);
            }
            totals.value = totals.value.saturating_add(coin.value);
            if totals.value > MAX_MONEY {
                return Err(failed(SnapshotFault::Coin { number: totals.coins, fault: CoinFault::Amount }));
            }
            totals.coins += 1;
            totals.add_ordered(point, &coin);
            batch.push(point, &coin);
            if batch.bytes.len() >= BATCH_BYTES {
                hand_over(&send, &mut batch);
            }
        }
        hand_over(&send, &mut batch);
        Ok(())
    })?;
    totals.muhash = muhash.into_inner();
    Ok((head, totals.finish()))
}

/// Counts what is read.
struct Counted<'a> {
    file: File,
    progress: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Coins as hashes take them, end to end.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    fn push(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        push_preimage(point, coin, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }
}

fn hand_over(send: &SyncSender<Batch>, batch: &mut Batch) {
    // Nobody receives only after a panic, which the scope hands on.
    let _ = send.send(std::mem::take(batch));
}

/// The product of all batches that this thread gets.
fn product(receive: &Mutex<Receiver<Batch>>) -> MuHash {
    let mut product = MuHash::default();
    loop {
        let Ok(batch) = receive.lock().recv() else { return product };
        let mut start = 0;
        for end in batch.ends {
            product.insert(batch.bytes.get(start..end).unwrap_or_default());
            start = end;
        }
    }
}
