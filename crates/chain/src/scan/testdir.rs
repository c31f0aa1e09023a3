//! For tests: small regtest chains, and blocks folders made of their records.
#![expect(clippy::unwrap_used, reason = "tests")]
use crate::encode::{Hash, push_compact_size, sha256d};
use crate::header::{Header, RawHeader, block_hash};
use crate::merkle::merkle_root;
use crate::params::Params;
use crate::pow::meets_target;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// A block with its place.
#[derive(Debug, Clone)]
pub(super) struct TestBlock {
    pub hash: Hash,
    pub prev: Hash,
    pub bytes: Vec<u8>,
    /// Inputs of each transaction but the coinbase.
    pub inputs: Vec<u32>,
}

impl TestBlock {
    /// The record of a `blk` file.
    pub fn record(&self) -> Vec<u8> {
        record(&self.bytes)
    }

    /// The record of a `rev` file: coins of height 1.
    pub fn undo(&self) -> Vec<u8> {
        self.undo_with(1)
    }

    /// The record with coins of that height; 0 is what Core before 0.15 wrote.
    pub fn undo_with(&self, coin_height: u8) -> Vec<u8> {
        let mut body = Vec::new();
        push_compact_size(&mut body, self.inputs.len() as u64);
        for inputs in &self.inputs {
            push_compact_size(&mut body, u64::from(*inputs));
            for i in 0..*inputs {
                body.push(coin_height * 2);
                if coin_height > 0 {
                    body.push(0);
                }
                // No satoshi, pay to a key hash in its short form.
                body.extend_from_slice(&[0, 0]);
                body.extend_from_slice(&[i as u8; 20]);
            }
        }
        let checksum = sha256d([&self.prev, &body]);
        [record(&body), checksum.to_vec()].concat()
    }
}

/// `magic | size | body` of regtest.
pub(super) fn record(body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u32).to_le_bytes();
    [&Params::regtest().magic, &size[..], body].concat()
}

/// Regtest's genesis.
pub(super) fn genesis() -> TestBlock {
    let hex = "0100000001000000000000000000000000000000000000000000000000000000\
        0000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e\
        206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afd\
        b0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d57\
        8a4c702b6bf11d5fac00000000";
    let params = Params::regtest();
    let bytes = [&params.genesis_header[..], &[1], &crate::testdata::unhex(hex)].concat();
    TestBlock { hash: params.genesis_hash, prev: [0; 32], bytes, inputs: Vec::new() }
}

/// A block on `prev`; `salt` makes siblings differ; one transaction with so many inputs for each of `inputs`.
pub(super) fn block(prev: Hash, salt: u32, inputs: &[u32]) -> TestBlock {
    block_of(&Params::regtest(), prev, salt, inputs)
}

/// The same with the work that `params` ask for.
pub(super) fn block_of(params: &Params, prev: Hash, salt: u32, inputs: &[u32]) -> TestBlock {
    let mut transactions = vec![transaction(&[([0; 32], u32::MAX)], salt)];
    for (i, count) in inputs.iter().enumerate() {
        let outpoints: Vec<(Hash, u32)> = (0..*count).map(|index| ([i as u8 + 1; 32], index)).collect();
        transactions.push(transaction(&outpoints, salt));
    }
    mined(params, prev, &transactions, inputs.to_vec())
}

/// The block of these transactions, with the work that `params` ask for.
fn mined(params: &Params, prev: Hash, transactions: &[Vec<u8>], inputs: Vec<u32>) -> TestBlock {
    let (merkle_root, _) = merkle_root(transactions.iter().map(|bytes| sha256d([bytes])).collect());
    let bits = params.pow_limit_bits;
    let mined = |nonce| Header { version: 4, prev, merkle_root, time: 1_300_000_000, bits, nonce }.to_bytes();
    let met = |header: &RawHeader| meets_target(&block_hash(header), bits, &params.pow_limit);
    let header = (0..=u32::MAX).map(mined).find(met).unwrap();
    let mut bytes = header.to_vec();
    push_compact_size(&mut bytes, transactions.len() as u64);
    for transaction in transactions {
        bytes.extend_from_slice(transaction);
    }
    TestBlock { hash: block_hash(&header), prev, bytes, inputs }
}

/// A block whose coinbase has three outputs; a second transaction spends `outpoints`, when there are any, and a third
/// one the second's only output. The ids of all.
pub(super) fn block_with(prev: Hash, salt: u32, outpoints: &[(Hash, u32)]) -> (TestBlock, Vec<Hash>) {
    let mut coinbase = transaction(&[([0; 32], u32::MAX)], salt);
    // Before the lock time: two more outputs like the only one, of 10 bytes.
    let outputs = coinbase.len() - 15;
    let tail = coinbase.split_off(outputs);
    coinbase.push(3);
    (0..3).for_each(|_| coinbase.extend_from_slice(&tail[1..11]));
    coinbase.extend_from_slice(&tail[11..]);
    let mut transactions = vec![coinbase];
    let mut inputs = Vec::new();
    if !outpoints.is_empty() {
        transactions.push(transaction(outpoints, salt));
        transactions.push(transaction(&[(sha256d([&transactions[1]]), 0)], salt));
        inputs = vec![outpoints.len() as u32, 1];
    }
    let txids = transactions.iter().map(|bytes| sha256d([bytes])).collect();
    (mined(&Params::regtest(), prev, &transactions, inputs), txids)
}

/// What a transaction of `block_of_words` spends and makes.
#[cfg(feature = "engine")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Spend {
    /// What the input must say; 0: nothing.
    pub word: u32,
    /// Below ten satoshi.
    pub amount: u8,
    /// Of another transaction.
    pub output: u32,
}

/// A block with a transaction for each of `spends`, and its undo record.
#[cfg(feature = "engine")]
pub(super) fn block_of_words(prev: Hash, salt: u32, spends: &[Spend]) -> (TestBlock, Vec<u8>) {
    let mut transactions = vec![transaction(&[([0; 32], u32::MAX)], salt)];
    let mut body = Vec::new();
    push_compact_size(&mut body, spends.len() as u64);
    for (i, Spend { word, amount, output }) in spends.iter().enumerate() {
        let mut bytes = transaction(&[([i as u8 + 1; 32], *output)], *word);
        // The word's length was 4: a push of 4 bytes has 5.
        bytes.splice(41..42, if *word == 0 { vec![4] } else { vec![5, 4] });
        if *word == 0 {
            bytes.splice(42..46, [0x51; 4]);
        }
        let value = bytes.len() - 4 - 2 - 8;
        bytes[value] = *amount;
        transactions.push(bytes);
        // One coin of height 1; an amount below 10 satoshi in its compressed form; a script as it is.
        body.extend_from_slice(&[1, 2, 0]);
        body.push(if *amount == 0 { 0 } else { 1 + 10 * (*amount - 1) });
        let script = match word {
            0 => vec![0x51],
            _ => [&[4][..], &word.to_le_bytes(), &[0x87]].concat(),
        };
        body.push(script.len() as u8 + 6);
        body.extend_from_slice(&script);
    }
    let checksum = sha256d([&prev, &body]);
    let block = mined(&Params::regtest(), prev, &transactions, vec![1; spends.len()]);
    (block, [record(&body), checksum.to_vec()].concat())
}

fn transaction(outpoints: &[(Hash, u32)], salt: u32) -> Vec<u8> {
    let mut bytes = 1u32.to_le_bytes().to_vec();
    push_compact_size(&mut bytes, outpoints.len() as u64);
    for (txid, index) in outpoints {
        bytes.extend_from_slice(txid);
        bytes.extend_from_slice(&index.to_le_bytes());
        bytes.push(4);
        bytes.extend_from_slice(&salt.to_le_bytes());
        bytes.extend_from_slice(&[0xff; 4]);
    }
    bytes.push(1);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[1, 0x51]);
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// Genesis and `length - 1` blocks on it.
pub(super) fn chain(length: u32) -> Vec<TestBlock> {
    let mut blocks = vec![genesis()];
    for height in 1..length {
        blocks.push(block(blocks.last().unwrap().hash, height, &[]));
    }
    blocks
}

/// A chain with real work, its own genesis, and segments of three blocks: on regtest a header with a flipped bit is
/// just another header.
pub(super) fn hard_chain(length: u32) -> (Params, Vec<TestBlock>) {
    let mut params = Params { interval: 3, pow_limit_bits: 0x1e7f_ffff, ..Params::regtest() };
    params.pow_limit = [0xff; 32];
    params.pow_limit[29..].copy_from_slice(&[0x7f, 0, 0]);
    let mut blocks: Vec<TestBlock> = Vec::new();
    for height in 0..length {
        let prev = blocks.last().map_or([0; 32], |block| block.hash);
        let inputs: Vec<u32> = (0..height % 3).map(|i| i + height).collect();
        blocks.push(block_of(&params, prev, height, &inputs));
    }
    params.genesis_hash = blocks[0].hash;
    params.genesis_header = *blocks[0].bytes.first_chunk().unwrap();
    (params, blocks)
}

/// All records of the blocks, one after the other.
pub(super) fn records<'a>(blocks: impl IntoIterator<Item = &'a TestBlock>) -> Vec<u8> {
    blocks.into_iter().flat_map(TestBlock::record).collect()
}

/// All undo records of the blocks; genesis has none.
pub(super) fn undos<'a>(blocks: impl IntoIterator<Item = &'a TestBlock>) -> Vec<u8> {
    let blocks = blocks.into_iter().filter(|block| block.prev != [0; 32]);
    blocks.flat_map(TestBlock::undo).collect()
}

/// Says that the file was written long ago, and after all others that were said so.
pub(super) fn touch(path: &Path) {
    static SECONDS: AtomicU64 = AtomicU64::new(1_600_000_000);
    let modified = UNIX_EPOCH + Duration::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed));
    std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

/// A blocks folder. What is written to it seems to be old.
pub(super) struct BlocksDir {
    dir: TempDir,
    key: [u8; 8],
}

impl BlocksDir {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: [0; 8] }
    }

    /// A folder whose files are XORed with the key.
    pub fn with_key(key: [u8; 8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("xor.dat"), key).unwrap();
        Self { dir, key }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, the XOR applied to all but `padding` zero bytes behind `bytes`.
    pub fn write_padded(&self, name: &str, bytes: &[u8], padding: usize) -> PathBuf {
        let path = self.path().join(name);
        let key = self.key.iter().cycle();
        let mut data: Vec<u8> = bytes.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
        data.resize(bytes.len() + padding, 0);
        std::fs::write(&path, data).unwrap();
        touch(&path);
        path
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        self.write_padded(name, bytes, 0)
    }
}
