//! Legal blocks of one transaction that cost the most: what they take is to be known, no other program is beside.

use std::error::Error;

use blockswarm_chain::coins::{Coin, SpentCoins};
use blockswarm_chain::encode::{Hash, Reader, push_compact_size, sha256d};
use blockswarm_chain::header::Header;
use blockswarm_chain::merkle::merkle_root;
use blockswarm_chain::transaction::Transaction;
use secp256k1::{Scalar, SecretKey, XOnlyPublicKey};
use sha2::{Digest, Sha256};

use crate::cases::Case;

/// A block has room for as many that spend taproot outputs by the shortest script.
const TAPROOT_INPUTS: usize = 19_800;
/// Of 24,300 that a block has room for; the time grows by the square.
const HASHING_INPUTS: usize = 1_000;
/// How often each of those hashes its transaction: 3 operations each of 201.
const HASHES: usize = 66;

const OP_TRUE: u8 = 0x51;

pub fn cases() -> Result<[Case; 2], Box<dyn Error>> {
    let (lock, witness) = taproot()?;
    Ok([
        Case::of_one("taproot inputs only", block(TAPROOT_INPUTS, &witness)?, coins(TAPROOT_INPUTS, &lock))?,
        Case::of_one(
            "each input hashes its transaction 66 times",
            block(HASHING_INPUTS, &[])?,
            coins(HASHING_INPUTS, &hashing()),
        )?,
    ])
}

fn coins(inputs: usize, lock: &[u8]) -> SpentCoins {
    let mut spent = SpentCoins::with_capacity(inputs);
    for _ in 0..inputs {
        spent.push(Some(Coin { height: 0, is_coinbase: false, value: 1, script: lock }));
    }
    spent
}

/// Failed signatures, each behind another OP_CODESEPARATOR, so that the engine cannot use a hash again.
fn hashing() -> Vec<u8> {
    // The shortest encoding of a signature with SIGHASH_ALL, and a point that is none.
    let signature = [9, 0x30, 6, 2, 1, 1, 2, 1, 1, 1];
    let check = [&signature[..], &[33, 2], &[0xff; 32], &[0xac, 0x75, 0xab]].concat();
    [check.repeat(HASHES), vec![OP_TRUE]].concat()
}

/// A taproot output of the script `OP_TRUE`, and the encoded witness that spends it.
fn taproot() -> Result<(Vec<u8>, Vec<u8>), secp256k1::Error> {
    let internal = SecretKey::from_secret_bytes([1; 32])?.x_only_public_key().0;
    let key = internal.to_byte_array();
    let leaf = tagged("TapLeaf", [&[0xc0], &[1, OP_TRUE]]);
    let tweak = Scalar::from_be_bytes(tagged("TapTweak", [&key, &leaf]));
    let tweak = tweak.map_err(|_| secp256k1::Error::InvalidTweak)?;
    let (output, parity) = XOnlyPublicKey::from_byte_array(key)?.add_tweak(&tweak)?;
    let witness = [&[2, 1, OP_TRUE, 33, 0xc0 | parity.to_u8()][..], &key].concat();
    Ok(([&[OP_TRUE, 32][..], &output.to_byte_array()].concat(), witness))
}

fn tagged(tag: &str, parts: [&[u8]; 2]) -> Hash {
    let tag = Sha256::digest(tag);
    let hash = Sha256::new_with_prefix(tag).chain_update(tag);
    hash.chain_update(parts[0]).chain_update(parts[1]).finalize().into()
}

/// A block at height 1 with one transaction beside the coinbase, each input with this witness.
fn block(inputs: usize, witness: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let has_witness = !witness.is_empty();
    let form: &[u8] = if has_witness { &[0, 1] } else { &[] };
    let mut spend = [&1u32.to_le_bytes()[..], form].concat();
    push_compact_size(&mut spend, inputs as u64);
    for number in 0..inputs {
        let mut txid = [7; 32];
        txid[..8].copy_from_slice(&number.to_le_bytes());
        spend.extend([&txid[..], &[0; 5], &[0xff; 4]].concat());
    }
    spend.extend([&[1][..], &1u64.to_le_bytes(), &[1, OP_TRUE]].concat());
    spend.extend(witness.repeat(inputs));
    spend.extend([0; 4]);
    let ids = |bytes: &[u8]| -> Result<(Hash, Hash), Box<dyn Error>> {
        let transaction = Transaction::read(&mut Reader::new(bytes))?;
        Ok((transaction.txid(), transaction.wtxid()))
    };
    let (txid, wtxid) = ids(&spend)?;
    let committed = sha256d([&merkle_root(vec![[0; 32], wtxid]).0, &[0; 32]]);
    // The height 1, and another byte.
    let input = [&[1][..], &[0; 32], &[0xff; 4], &[2, OP_TRUE, OP_TRUE], &[0xff; 4]].concat();
    let commitment = [&[0; 8][..], &[38, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], &committed].concat();
    let reserved = [&[1, 32][..], &[0; 32]].concat();
    let coinbase = [
        &1u32.to_le_bytes()[..],
        form,
        &input,
        &[1 + u8::from(has_witness)],
        &1u64.to_le_bytes(),
        &[1, OP_TRUE],
        if has_witness { &commitment } else { &[] },
        if has_witness { &reserved } else { &[] },
        &[0; 4],
    ]
    .concat();
    let root = merkle_root(vec![ids(&coinbase)?.0, txid]).0;
    let header = Header {
        version: 4,
        prev: [0; 32],
        merkle_root: root,
        time: 1_300_000_000,
        bits: 0x207f_ffff,
        nonce: 0,
    };
    Ok([&header.to_bytes()[..], &[2], &coinbase, &spend].concat())
}
