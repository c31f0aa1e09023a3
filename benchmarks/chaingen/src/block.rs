//! Blocks: merkle root, witness commitment (BIP 141), proof of work.
use crate::grind::grind;
use crate::network::Network;
use crate::transaction::{Encoded, Output, Transaction, data_output, push_compact_size, sha256d};
use std::io;

const VERSION: u32 = 0x2000_0000;
/// Marks the commitment among a coinbase's outputs (BIP 141): pushed after `OP_RETURN` together with the hash.
const COMMITMENT_HEAD: [u8; 5] = [0x24, 0xaa, 0x21, 0xa9, 0xed];

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u32,
    /// Its hash, internal order.
    pub hash: [u8; 32],
    /// Whether it is of the chain with the most work; if not, of a branch that was left.
    pub on_chain: bool,
    /// Full serialization with witness.
    pub bytes: Vec<u8>,
}

impl Block {
    /// Writes the record of Core's block files: `magic (4) | size u32 LE | block`.
    pub fn write_record(&self, network: Network, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(&network.magic())?;
        out.write_all(&(self.bytes.len() as u32).to_le_bytes())?;
        out.write_all(&self.bytes)
    }
}

/// Where a block belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Of which network.
    pub network: Network,
    /// Its height.
    pub height: u32,
    /// 0: the chain that stays.
    pub branch: u32,
    /// Hash of the block below, internal order.
    pub parent: [u8; 32],
}

/// The genesis block (Core, `kernel/chainparams.cpp`, `CreateGenesisBlock`).
pub fn genesis(network: Network) -> Block {
    const HEADLINE: &[u8] = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
    const KEY: [u8; 65] = [
        0x04, 0x67, 0x8a, 0xfd, 0xb0, 0xfe, 0x55, 0x48, 0x27, 0x19, 0x67, 0xf1, 0xa6, 0x71, 0x30, 0xb7, 0x10,
        0x5c, 0xd6, 0xa8, 0x28, 0xe0, 0x39, 0x09, 0xa6, 0x79, 0x62, 0xe0, 0xea, 0x1f, 0x61, 0xde, 0xb6, 0x49,
        0xf6, 0xbc, 0x3f, 0x4c, 0xef, 0x38, 0xc4, 0xf3, 0x55, 0x04, 0xe5, 0x1e, 0xc1, 0x12, 0xde, 0x5c, 0x38,
        0x4d, 0xf7, 0xba, 0x0b, 0x8d, 0x57, 0x8a, 0x4c, 0x70, 0x2b, 0x6b, 0xf1, 0x1d, 0x5f,
    ];
    let mut coinbase = 1u32.to_le_bytes().to_vec();
    coinbase.push(1);
    coinbase.extend_from_slice(&[0; 32]);
    coinbase.extend_from_slice(&u32::MAX.to_le_bytes());
    coinbase.push(8 + HEADLINE.len() as u8);
    coinbase.extend_from_slice(&[0x04, 0xff, 0xff, 0x00, 0x1d, 0x01, 0x04, HEADLINE.len() as u8]);
    coinbase.extend_from_slice(HEADLINE);
    coinbase.extend_from_slice(&u32::MAX.to_le_bytes());
    coinbase.push(1);
    coinbase.extend_from_slice(&5_000_000_000u64.to_le_bytes());
    coinbase.extend_from_slice(&[KEY.len() as u8 + 2, KEY.len() as u8]);
    coinbase.extend_from_slice(&KEY);
    coinbase.push(0xac);
    coinbase.extend_from_slice(&0u32.to_le_bytes());
    let place = Place { network, height: 0, branch: 0, parent: [0; 32] };
    let header = mine(place, 1, sha256d(&coinbase), network.genesis_nonce(), 1);
    let mut bytes = header.to_vec();
    bytes.push(1);
    bytes.extend_from_slice(&coinbase);
    Block { height: 0, hash: sha256d(&header), on_chain: true, bytes }
}

/// A block of `transactions` behind a coinbase with `outputs`, to which the witness commitment is added; and the
/// coinbase's txid.
pub fn assemble(
    place: Place,
    mut outputs: Vec<Output>,
    transactions: &[Encoded],
    threads: usize,
) -> (Block, [u8; 32]) {
    // The coinbase stands for itself as zeros in the witness tree; its reserved value is zeros as well.
    let mut leaves = vec![[0; 32]];
    leaves.extend(transactions.iter().map(|transaction| transaction.wtxid));
    let mut commitment = COMMITMENT_HEAD.to_vec();
    commitment.extend_from_slice(&sha256d_pair(&merkle_root(leaves), &[0; 32]));
    outputs.push(data_output(&commitment));
    let coinbase = Transaction::coinbase(place.height, place.branch, outputs).encoded();

    let mut leaves = vec![coinbase.txid];
    leaves.extend(transactions.iter().map(|transaction| transaction.txid));
    let header = mine(place, VERSION, merkle_root(leaves), 0, threads);
    let length: usize = transactions.iter().map(|transaction| transaction.bytes.len()).sum();
    let mut bytes = Vec::with_capacity(length + coinbase.bytes.len() + 90);
    bytes.extend_from_slice(&header);
    push_compact_size(&mut bytes, transactions.len() + 1);
    bytes.extend_from_slice(&coinbase.bytes);
    for transaction in transactions {
        bytes.extend_from_slice(&transaction.bytes);
    }
    let block = Block { height: place.height, hash: sha256d(&header), on_chain: place.branch == 0, bytes };
    (block, coinbase.txid)
}

/// The header with the lowest nonce from `nonce` on that meets the target.
fn mine(place: Place, version: u32, merkle_root: [u8; 32], nonce: u32, threads: usize) -> [u8; 80] {
    let network = place.network;
    let time = network.genesis_time_seconds() + place.height * network.spacing_seconds();
    let mut header = [0; 80];
    header[..4].copy_from_slice(&version.to_le_bytes());
    header[4..36].copy_from_slice(&place.parent);
    header[36..68].copy_from_slice(&merkle_root);
    header[68..72].copy_from_slice(&time.to_le_bytes());
    header[72..76].copy_from_slice(&network.bits().to_le_bytes());
    grind(&mut header, network, nonce, threads);
    header
}

fn sha256d_pair(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut pair = [0; 64];
    pair[..32].copy_from_slice(left);
    pair[32..].copy_from_slice(right);
    sha256d(&pair)
}

/// Bitcoin's merkle root: an odd last hash is paired with itself.
fn merkle_root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d_pair(&pair[0], pair.last().unwrap_or(&pair[0]))).collect();
    }
    level.first().copied().unwrap_or_default()
}
