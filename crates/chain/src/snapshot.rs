//! A set of coins in the format of Core's `dumptxoutset` (version 2) and its hash.
//!
//! `"utxo" 0xff | version u16 | magic | block hash | coins u64`, then for each transaction that has coins, by rising txid:
//! `txid | CompactSize coins | (CompactSize index | coin)…` (Core, `node/utxo_snapshot.h`,
//! `rpc/blockchain.cpp`, `WriteUTXOSnapshot`). The order is the chain state's: of the bytes of
//! the key, `txid | VARINT(index)`.
use crate::block::MAX_BLOCK_BYTES;
use crate::coins::{Coin, OutPoint};
use crate::compressor::{CoinFault, push_coin, read_coin};
use crate::encode::{EncodingFault, Hash, Reader, fill, push_compact_size, push_varint};
use crate::sums::push_preimage;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

const MAGIC: [u8; 5] = *b"utxo\xff";
const VERSION: u16 = 2;
const HEAD_BYTES: usize = 5 + 2 + 4 + 32 + 8;
/// More than any coin with its index takes, or a txid with its count.
const ITEM_BYTES: usize = 10_100;
const CHUNK_BYTES: usize = 256 << 10;

/// Why bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFault {
    /// The file cannot be read or written.
    #[error("the snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("not a UTXO snapshot of version 2")]
    Foreign,
    /// A coin that cannot be.
    #[error("coin {number}: {fault}")]
    Coin {
        /// Which, from 0 on.
        number: u64,
        /// What is wrong with it.
        fault: CoinFault,
    },
    /// Coins out of order, twice, or another number of them than announced.
    #[error("coin {number} is out of place")]
    Order {
        /// Which, from 0 on.
        number: u64,
    },
}

/// What stands before the coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The network's magic.
    pub magic: [u8; 4],
    /// Hash of the block after which these are the coins, internal order.
    pub block_hash: Hash,
    /// How many they are.
    pub coins: u64,
}

/// Reads a snapshot coin by coin, in bounded memory.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    source: R,
    head: SnapshotHead,
    buffer: Vec<u8>,
    position: usize,
    ended: bool,
    number: u64,
    /// The transaction whose coins come, how many of them, and where the last one stands in the order.
    txid: Hash,
    left: u64,
    last_index: Option<u64>,
    /// Bytes of scripts of the transaction so far.
    script_bytes: usize,
    script: Vec<u8>,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the head.
    pub fn new(mut source: R) -> Result<Self, SnapshotFault> {
        let mut bytes = [0; HEAD_BYTES];
        let is_whole = fill(&mut source, &mut bytes)?;
        let head = read_head(&bytes).filter(|_| is_whole).ok_or(SnapshotFault::Foreign)?;
        Ok(Self {
            source,
            head,
            buffer: Vec::new(),
            position: 0,
            ended: false,
            number: 0,
            txid: [0; 32],
            left: 0,
            last_index: None,
            script_bytes: 0,
            script: Vec::new(),
        })
    }

    /// What stands before the coins.
    pub fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// The next coin; `None` when all that were announced have come and nothing follows.
    pub fn next_coin(&mut self) -> Result<Option<(OutPoint<'_>, Coin<'_>)>, SnapshotFault> {
        self.fill()?;
        let number = self.number;
        let bytes = self.buffer.get(self.position..).unwrap_or_default();
        if number == self.head.coins {
            return if bytes.is_empty() { Ok(None) } else { Err(SnapshotFault::Order { number }) };
        }
        let mut reader = Reader::new(bytes);
        let of = |fault: CoinFault| SnapshotFault::Coin { number, fault };
        let encoded = |fault: EncodingFault| of(fault.into());
        if self.left == 0 {
            let txid = *reader.array().map_err(encoded)?;
            let count = reader.compact_size().map_err(encoded)?;
            if count == 0 || count > self.head.coins - number || (number > 0 && txid <= self.txid) {
                return Err(SnapshotFault::Order { number });
            }
            (self.txid, self.left, self.last_index, self.script_bytes) = (txid, count, None, 0);
        }
        let index = reader.compact_size().map_err(encoded)?;
        let at = index_order(index);
        if self.last_index.is_some_and(|last| last >= at) {
            return Err(SnapshotFault::Order { number });
        }
        let coin = read_coin(&mut reader, &mut self.script).map_err(of)?;
        self.position += reader.offset();
        self.number += 1;
        self.left -= 1;
        self.last_index = Some(at);
        self.script_bytes += coin.script.len();
        if self.script_bytes > MAX_BLOCK_BYTES || index > MAX_BLOCK_BYTES as u64 {
            return Err(of(CoinFault::Script));
        }
        // A CompactSize is at most 2^25.
        Ok(Some((OutPoint { txid: &self.txid, index: index as u32 }, coin)))
    }

    /// Makes sure that a whole item is in the buffer, or all that is left.
    fn fill(&mut self) -> Result<(), SnapshotFault> {
        if self.ended || self.buffer.len() - self.position >= 2 * ITEM_BYTES {
            return Ok(());
        }
        self.buffer.drain(..self.position);
        self.position = 0;
        let wanted = (CHUNK_BYTES - self.buffer.len()) as u64;
        let read = self.source.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        self.ended = (read as u64) < wanted;
        Ok(())
    }
}

fn read_head(bytes: &[u8; HEAD_BYTES]) -> Option<SnapshotHead> {
    let mut reader = Reader::new(bytes);
    if *reader.array::<5>().ok()? != MAGIC || reader.u16().ok()? != VERSION {
        return None;
    }
    let magic = *reader.array().ok()?;
    let block_hash = *reader.array().ok()?;
    Some(SnapshotHead { magic, block_hash, coins: reader.u64().ok()? })
}

/// A number that orders indexes as the bytes of the chain state's keys do, `VARINT(index)`: from 16,512 on not as the
/// indexes themselves.
fn index_order(index: u64) -> u64 {
    let mut bytes = Vec::with_capacity(8);
    push_varint(&mut bytes, index);
    bytes.iter().zip((0..8).rev()).fold(0, |key, (byte, place)| key | u64::from(*byte) << (8 * place))
}

/// Writes a snapshot; the coins come in the order of the format.
#[derive(Debug)]
pub struct SnapshotWriter<W> {
    sink: W,
    txid: Hash,
    /// Coins of the transaction so far, encoded.
    coins: Vec<u8>,
    count: u64,
    bytes: Vec<u8>,
}

impl<W: Write> SnapshotWriter<W> {
    /// Writes the head.
    pub fn new(mut sink: W, head: &SnapshotHead) -> Result<Self, SnapshotFault> {
        sink.write_all(&MAGIC)?;
        sink.write_all(&VERSION.to_le_bytes())?;
        sink.write_all(&head.magic)?;
        sink.write_all(&head.block_hash)?;
        sink.write_all(&head.coins.to_le_bytes())?;
        Ok(Self { sink, txid: [0; 32], coins: Vec::new(), count: 0, bytes: Vec::new() })
    }

    /// Writes the next coin.
    pub fn push(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) -> Result<(), SnapshotFault> {
        self.push_with(point, |coins| push_coin(coin, coins))
    }

    /// Writes the next coin, encoded by [`push_coin`].
    pub fn push_encoded(&mut self, point: OutPoint<'_>, coin: &[u8]) -> Result<(), SnapshotFault> {
        self.push_with(point, |coins| coins.extend_from_slice(coin))
    }

    fn push_with(
        &mut self,
        point: OutPoint<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SnapshotFault> {
        if self.count > 0 && *point.txid != self.txid {
            self.flush()?;
        }
        self.txid = *point.txid;
        self.count += 1;
        push_compact_size(&mut self.coins, point.index.into());
        write(&mut self.coins);
        Ok(())
    }

    /// Writes what is left and gives back what it was written to.
    pub fn finish(mut self) -> Result<W, SnapshotFault> {
        self.flush()?;
        Ok(self.sink)
    }

    fn flush(&mut self) -> Result<(), SnapshotFault> {
        if self.count == 0 {
            return Ok(());
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.txid);
        push_compact_size(&mut self.bytes, self.count);
        self.sink.write_all(&self.bytes)?;
        self.sink.write_all(&self.coins)?;
        self.coins.clear();
        self.count = 0;
        Ok(())
    }
}

/// `hash_serialized` of a set of coins (Core, `coinstats.cpp`): they come in the order of a snapshot, and are hashed by
/// rising index. Memory: what one transaction's coins take.
#[derive(Debug, Clone, Default)]
pub struct SnapshotHash {
    hasher: Sha256,
    txid: Hash,
    /// Coins of the transaction so far, end to end, and the index and start of each.
    coins: Vec<u8>,
    starts: Vec<(u32, usize)>,
}

impl SnapshotHash {
    /// Adds the next coin.
    pub fn push(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        if *point.txid != self.txid {
            self.flush();
            self.txid = *point.txid;
        }
        self.starts.push((point.index, self.coins.len()));
        push_preimage(point, coin, &mut self.coins);
    }

    /// The hash, internal order: what `gettxoutsetinfo` shows reversed.
    pub fn finish(mut self) -> Hash {
        self.flush();
        Sha256::digest(self.hasher.finalize()).into()
    }

    fn flush(&mut self) {
        if self.starts.is_sorted() {
            self.hasher.update(&self.coins);
        } else {
            let ends = self.starts.iter().skip(1).map(|(_, start)| *start).chain([self.coins.len()]);
            let mut coins: Vec<_> =
                self.starts.iter().zip(ends).map(|((index, start), end)| (*index, *start..end)).collect();
            coins.sort_unstable_by_key(|(index, _)| *index);
            for (_, coin) in coins {
                self.hasher.update(self.coins.get(coin).unwrap_or_default());
            }
        }
        self.coins.clear();
        self.starts.clear();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::script::is_unspendable;
    use crate::sums::MuHash;
    use crate::testdata;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Coins = BTreeMap<(Hash, u32), (u32, bool, u64, Vec<u8>)>;

    fn internal(shown: &str) -> Hash {
        let mut hash: Hash = testdata::unhex(shown).try_into().unwrap();
        hash.reverse();
        hash
    }

    fn read(bytes: &[u8]) -> Result<Coins, SnapshotFault> {
        let mut reader = SnapshotReader::new(bytes)?;
        let mut coins = Coins::new();
        while let Some((point, coin)) = reader.next_coin()? {
            coins.insert(
                (*point.txid, point.index),
                (coin.height, coin.is_coinbase, coin.value, coin.script.to_vec()),
            );
        }
        Ok(coins)
    }

    fn written(head: SnapshotHead, coins: &Coins) -> Vec<u8> {
        let mut writer = SnapshotWriter::new(Vec::new(), &head).unwrap();
        for ((txid, index), (height, coinbase, value, script)) in coins {
            let coin = Coin { height: *height, is_coinbase: *coinbase, value: *value, script };
            writer.push(OutPoint { txid, index: *index }, &coin).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn has_the_hashes_of_cores_snapshots_and_writes_them_back() {
        // The index of the data folder names both hashes, as Core's RPC gave them.
        let known = [
            ("5000", 4783, "889b2df97c3a329fc054f334b727fb010803c9a85dd04c53fe428714f41dfa13", None),
            (
                "14131",
                13416,
                "74c5a654587d4eaac9248b73889453e0b2fbc918bbc7bb8d8e6301d4d8c98db3",
                Some("859e27f17a6cce9768b75dd0dbd969890157d29a152b0f4a0afa6c67cbcd5975"),
            ),
        ];
        for (height, count, serialized, muhash) in known {
            let name = format!("chain-mainnet/core-utxo-snapshot-{height}.dat.zst");
            let Some(bytes) = testdata::read(&name) else { return };
            let mut reader = SnapshotReader::new(&bytes[..]).unwrap();
            let head = *reader.head();
            assert_eq!((head.coins, head.magic), (count, [0xf9, 0xbe, 0xb4, 0xd9]));
            let (mut hash, mut product, mut scratch) =
                (SnapshotHash::default(), MuHash::default(), Vec::new());
            while let Some((point, coin)) = reader.next_coin().unwrap() {
                hash.push(point, &coin);
                product.insert_coin(point, &coin, &mut scratch);
            }
            assert_eq!(hash.finish(), internal(serialized));
            if let Some(muhash) = muhash {
                assert_eq!(product.finish(), internal(muhash));
            }
            assert!(written(head, &read(&bytes).unwrap()) == bytes);
        }
    }

    /// The generator's point, which is on the curve in all its forms.
    const POINT: &str = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

    fn script() -> impl Strategy<Value = Vec<u8>> {
        let point = testdata::unhex(POINT);
        let off_curve: Vec<u8> = [&point[..64], &[0xb9]].concat();
        prop_oneof![
            any::<Vec<u8>>().prop_filter("spendable", |script| !is_unspendable(script)),
            any::<[u8; 20]>().prop_map(|hash| [&[0x76, 0xa9, 20][..], &hash, &[0x88, 0xac]].concat()),
            any::<[u8; 20]>().prop_map(|hash| [&[0xa9, 20][..], &hash, &[0x87]].concat()),
            any::<[u8; 32]>().prop_map(|x| [&[33, 3][..], &x, &[0xac]].concat()),
            Just([&[65][..], &point, &[0xac]].concat()),
            Just([&[65][..], &off_curve, &[0xac]].concat()),
        ]
    }

    fn coins() -> impl Strategy<Value = Coins> {
        let point = ((0..4u8).prop_map(|first| [first; 32]), 0..1000u32);
        let coin = (1..1u32 << 31, any::<bool>(), 0..=21_000_000 * 100_000_000u64, script());
        prop::collection::btree_map(point, coin, 0..20)
    }

    fn head(coins: &Coins) -> SnapshotHead {
        SnapshotHead { magic: [1, 2, 3, 4], block_hash: [9; 32], coins: coins.len() as u64 }
    }

    #[test]
    fn coins_of_one_transaction_come_as_the_chain_state_has_them_and_are_hashed_by_index() {
        let coin = Coin { height: 1, is_coinbase: false, value: 7, script: &[0x51] };
        // As VARINTs: 7f, 80 00, 80 80 00, 81 00, ff 7f.
        let order = [0x7f, 0x80, 16_512, 0x100, 16_511];
        let point = |index| OutPoint { txid: &[9; 32], index };
        let write = |order: &[u32]| {
            let head = SnapshotHead { magic: [1, 2, 3, 4], block_hash: [9; 32], coins: order.len() as u64 };
            let mut writer = SnapshotWriter::new(Vec::new(), &head).unwrap();
            for index in order {
                writer.push(point(*index), &coin).unwrap();
            }
            writer.finish().unwrap()
        };
        assert_eq!(read(&write(&order)).unwrap().len(), 5);
        for swapped in [[0x7f, 0x80, 0x100, 16_512], [0x7f, 0x7f, 0x80, 0x100], [16_511, 16_512, 0x7f, 0x80]]
        {
            assert!(matches!(read(&write(&swapped)), Err(SnapshotFault::Order { .. })), "{swapped:?}");
        }
        let hash = |order: &[u32]| {
            let mut hash = SnapshotHash::default();
            for index in order {
                hash.push(point(*index), &coin);
            }
            hash.finish()
        };
        assert_eq!(hash(&order), hash(&[0x7f, 0x80, 0x100, 16_511, 16_512]));
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(coins in coins()) {
            prop_assert_eq!(read(&written(head(&coins), &coins)).unwrap(), coins);
        }

        #[test]
        fn notices_each_changed_bit_and_cut(coins in coins(), place: prop::sample::Index, bit in 0..8) {
            let mut bytes = written(head(&coins), &coins);
            let at = place.index(bytes.len());
            prop_assert!(read(&bytes[..at]).is_err());
            bytes[at] ^= 1u8 << bit;
            // Block hash and magic are judged by whoever knows the chain.
            if let Ok(found) = read(&bytes) {
                prop_assert!(found != coins || (7..43).contains(&at));
            }
        }

        #[test]
        fn never_panics_on_random_bytes(bytes: Vec<u8>, count: u64) {
            let mut made = written(SnapshotHead { coins: count, ..head(&Coins::new()) }, &Coins::new());
            made.extend(bytes);
            let _ = read(&made);
        }
    }
}
