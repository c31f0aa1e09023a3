//! The first real blocks of mainnet and testnet3, whole chains from genesis.

use super::super::bip30::Coinbases;
use super::super::*;
use super::coin_map::CoinMap;
use crate::encode::Hash;
use crate::header::{RawHeader, block_hash};
use crate::params::Params;
use crate::testdata::{self, frames};

fn internal(shown: &str) -> Hash {
    let mut hash: Hash = testdata::unhex(shown).try_into().unwrap();
    hash.reverse();
    hash
}

/// Validates a chain from genesis; what its coins hash to at the heights asked for.
fn validate(params: &Params, blocks: &[&[u8]], heights: &[u32]) -> Vec<Hash> {
    let (mut headers, mut coins) = (HeaderChain::new(params.clone()), CoinMap::default());
    let (mut coinbases, mut hashes) = (Coinbases::default(), Vec::new());
    let judge = EngineJudge::default();
    for (height, bytes) in (0..).zip(blocks) {
        let header: &RawHeader = bytes.first_chunk().unwrap();
        headers.append(header, u64::MAX).unwrap();
        let hash = block_hash(header);
        let context = BlockContext { header, height, params };
        let place = Place { context, hash: &hash, median_times: &headers };
        let spent = coins.spent_by(&read_block(bytes, &context).unwrap(), height);
        let valid = validate_block(bytes, &place, &spent, &judge, &mut coins).unwrap();
        assert!(Coinbases::counts(height, params));
        coinbases.insert(height, &hash, &valid.coinbase_txid).unwrap();
        if heights.contains(&height) {
            hashes.push(coins.hash());
        }
    }
    hashes
}

#[test]
fn the_first_blocks_of_mainnet_leave_the_coins_that_core_has() {
    let Some(file) = testdata::read("chain-mainnet/btcd-blk_0_to_14131.dat.zst") else { return };
    let params = Params::mainnet();
    let hashes = validate(&params, &frames(&file, params.magic), &[5_000, 14_131]);
    // `gettxoutsetinfo` of Core at both heights.
    let expected = [
        "889b2df97c3a329fc054f334b727fb010803c9a85dd04c53fe428714f41dfa13",
        "74c5a654587d4eaac9248b73889453e0b2fbc918bbc7bb8d8e6301d4d8c98db3",
    ];
    assert_eq!(hashes, expected.map(internal));
}

#[test]
fn the_first_blocks_of_testnet3_are_valid() {
    let Some(file) = testdata::read("chain-testnet/blk-testnet.dat") else { return };
    let params = Params::testnet3();
    let blocks = frames(&file, params.magic);
    assert_eq!(blocks.len(), 401);
    validate(&params, &blocks, &[]);
}
