//! Signed chains, as Core's engine sees them: every script checked, as nothing is assumed valid on these networks.
#![expect(clippy::unwrap_used, reason = "a test")]
use bitcoinkernel::prelude::*;
use bitcoinkernel::{ChainType, ChainstateManager, ContextBuilder};
use chaingen::datadir::{self, DatadirOptions};
use chaingen::{Block, Chain, Fork, ForkKind, Mix, Network, Options, SIGNET_CHALLENGE};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The last block of [`signed`], cut at 112.
const TIP: &str = "3dc89724518001a012cd5bb5153c9c228776208cfcfed11faecc7d78fd8c9fce";

fn signed() -> Options {
    Options {
        blocks: 150,
        bytes_per_block: 60_000,
        mix: Mix::Mainnet { inputs_per_block: 120 },
        ..Options::default()
    }
}

fn made(options: &Options) -> Vec<Block> {
    Chain::new(options.clone()).unwrap().map(Result::unwrap).collect()
}

fn tip(blocks: &[Block]) -> [u8; 32] {
    blocks.iter().rfind(|block| block.on_chain).unwrap().hash
}

/// Lets the engine take the blocks; `write` fails unless it takes every one and ends at the chain's tip.
fn written(datadir: &Path, network: Network, options: DatadirOptions, blocks: &[Block]) {
    let count = datadir::write(datadir, network, options, blocks.iter().cloned().map(Ok)).unwrap();
    assert_eq!(count, blocks.len() as u64);
}

/// What is looked at in an opened data directory.
fn with_engine<T>(datadir: &Path, network: Network, look: impl FnOnce(&ChainstateManager) -> T) -> T {
    let context = match network {
        Network::Regtest => ContextBuilder::new().chain_type(ChainType::Regtest),
        Network::Signet => ContextBuilder::new().signet(&SIGNET_CHALLENGE),
    };
    let context = context.build().unwrap();
    let path = datadir.join(network.folder());
    let blocks = path.join("blocks");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    look(&ChainstateManager::builder(&context, &text(&path), &text(&blocks)).unwrap().build().unwrap())
}

/// The kind of a spent coin, told by its script and by what was shown for it.
fn kind(script: &[u8], witness_items: usize) -> &'static str {
    match (script, witness_items) {
        ([0x00, 0x14, ..], 2) => "P2WPKH",
        ([0x00, 0x20, ..], 4) => "P2WSH multisig",
        ([0x51, 0x20, ..], 1) => "P2TR key path",
        ([0x51, 0x20, ..], 3) => "P2TR script path",
        ([0x76, 0xa9, ..], 0) => "P2PKH",
        ([0xa9, 0x14, ..], 0) => "P2SH multisig",
        _ => "another",
    }
}

#[test]
fn the_engine_accepts_every_kind_of_script_and_coins_are_as_young_as_on_mainnet() {
    let folder = tempfile::tempdir().unwrap();
    let options = signed();
    written(folder.path(), options.network, DatadirOptions::default(), &made(&options));
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut spent, mut young, mut same_block, mut data, mut inputs_least) = (0usize, 0, 0, 0, usize::MAX);
    with_engine(folder.path(), options.network, |engine| {
        let chain = engine.active_chain();
        // By height 116 there are coins of every age.
        for height in 116..options.blocks {
            let entry = chain.at_height(height as usize).unwrap();
            let block = engine.read_block_data(&entry).unwrap();
            let undo = engine.read_spent_outputs(&entry).unwrap();
            let mut inputs = 0;
            for (transaction, spent_outputs) in block.transactions().skip(1).zip(undo.iter()) {
                data += transaction.outputs().filter(|o| o.script_pubkey().to_bytes()[0] == 0x6a).count();
                for (input, coin) in transaction.inputs().zip(spent_outputs.coins()) {
                    let script = coin.output().script_pubkey().to_bytes();
                    *kinds.entry(kind(&script, input.witness_stack().len())).or_default() += 1;
                    let age = height - coin.confirmation_height();
                    young += usize::from(age <= 10);
                    same_block += usize::from(age == 0);
                    inputs += 1;
                }
            }
            spent += inputs;
            inputs_least = inputs_least.min(inputs);
        }
    });
    let expected =
        ["P2PKH", "P2SH multisig", "P2TR key path", "P2TR script path", "P2WPKH", "P2WSH multisig"];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), expected, "{kinds:?}");
    assert!(kinds["P2WPKH"] * 100 / spent >= 35, "{kinds:?} of {spent}");
    assert!((35..=45).contains(&(young * 100 / spent)), "{young} young of {spent}");
    assert!(same_block > 0 && data > 0, "{same_block} in the same block, {data} with data");
    assert!((110..=120).contains(&inputs_least), "{inputs_least} inputs in the smallest");
}

#[test]
fn blocks_have_the_size_and_the_weight_that_is_aimed_at() {
    for (bytes, inputs) in [(60_000, 120), (1_500_000, 200), (900_000, 2_500)] {
        let mix = Mix::Mainnet { inputs_per_block: inputs };
        let options = Options { blocks: 106, bytes_per_block: bytes, mix, ..Options::default() };
        for block in &made(&options)[101..] {
            let least = bytes as usize * 98 / 100;
            let length = block.bytes.len();
            assert!((least..=bytes as usize + 500).contains(&length), "{length} bytes for {bytes}");
        }
    }
}

#[test]
fn a_chain_is_the_same_with_any_number_of_threads_and_another_with_another_seed() {
    let mut options = Options { blocks: 112, forks: vec![stale(104, 2)], ..signed() };
    options.threads = 1;
    let one = made(&options);
    let shown = tip(&one).iter().rev().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(shown, TIP, "the same on every host");
    options.threads = 5;
    assert!(one == made(&options), "five threads make the same blocks");
    options.seed = 1;
    assert_ne!(tip(&one), tip(&made(&options)));
}

fn stale(height: u32, depth: u32) -> Fork {
    Fork { height, depth, kind: ForkKind::Stale }
}

fn reorganised(height: u32, depth: u32) -> Fork {
    Fork { height, depth, kind: ForkKind::Reorganised }
}

#[test]
fn the_engine_follows_a_reorganisation_and_leaves_a_stale_branch_alone() {
    let options =
        Options { blocks: 120, forks: vec![reorganised(110, 3), stale(104, 2), stale(20, 1)], ..signed() };
    let blocks = made(&options);
    assert_eq!(blocks.len(), 126);
    let folder = tempfile::tempdir().unwrap();
    // Up to the third block of the branch: the branch is followed.
    let last = blocks.iter().rposition(|block| !block.on_chain).unwrap();
    assert_eq!(blocks[last].height, 112);
    let mut first = blocks[..=last].to_vec();
    let stays: Vec<_> = first.iter().map(|block| block.on_chain).collect();
    assert_eq!(stays.iter().filter(|stays| !**stays).count(), 6);
    // To the writer what is followed is the chain.
    first[last].on_chain = true;
    written(&folder.path().join("first"), options.network, DatadirOptions::default(), &first);
    // With the rest the chain has outgrown it.
    written(&folder.path().join("all"), options.network, DatadirOptions::default(), &blocks);
    with_engine(&folder.path().join("all"), options.network, |engine| {
        let chain = engine.active_chain();
        for block in &blocks {
            let entry = engine.get_block_tree_entry(&block.hash.into()).unwrap();
            assert_eq!(chain.contains(&entry), block.on_chain, "block at height {}", block.height);
        }
    });
}

#[test]
fn forks_that_cannot_be_are_refused() {
    for forks in [
        vec![stale(0, 1)],
        vec![stale(5, 0)],
        vec![stale(5, u32::MAX)],
        vec![reorganised(148, 2)],
        vec![stale(5, 2), reorganised(7, 1)],
    ] {
        assert!(Chain::new(Options { forks: forks.clone(), ..signed() }).is_err(), "{forks:?}");
    }
}

#[test]
fn the_last_blocks_are_empty_on_request() {
    let options = Options { blocks: 130, empty_blocks: 15, ..signed() };
    let blocks = made(&options);
    assert!(blocks[115..].iter().all(|block| block.bytes.len() < 300));
    assert!(blocks[114].bytes.len() > 50_000);
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), options.network, DatadirOptions::default(), &blocks);
}

#[test]
fn a_data_directory_can_be_xored_and_its_blocks_out_of_order() {
    let options = Options { forks: vec![stale(120, 1)], ..signed() };
    let blocks = made(&options);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, options: DatadirOptions| {
        let datadir = folder.path().join(name);
        written(&datadir, Network::Regtest, options, &blocks);
        with_engine(&datadir, Network::Regtest, |engine| {
            assert_eq!(engine.active_chain().tip().block_hash().to_bytes(), tip(&blocks));
        });
        let read = |name: &str| fs::read(datadir.join("regtest/blocks").join(name)).unwrap();
        (read("xor.dat"), read("blk00000.dat"))
    };
    let (key, plain) = file("plain", DatadirOptions::default());
    assert_eq!((key, &plain[..4]), (vec![0; 8], &Network::Regtest.magic()[..]));
    let (key, xored) = file("xored", DatadirOptions { xored: true, ..DatadirOptions::default() });
    // Behind the records are zeros that Core has set aside, in both.
    let length: usize = blocks.iter().map(|block| block.bytes.len() + 8).sum();
    let undone = xored[..length].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    assert!(xored[..length] != plain[..length] && undone.eq(plain[..length].iter().copied()));
    let shuffled = file("shuffled", DatadirOptions { shuffled: true, ..DatadirOptions::default() }).1;
    let places = |bytes: &[u8]| -> Vec<usize> {
        let mut heads = BTreeMap::new();
        let mut at = 0;
        while bytes[at..].starts_with(&Network::Regtest.magic()) {
            let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
            heads.insert(bytes[at + 8..at + 88].to_vec(), at);
            at += 8 + length;
        }
        blocks.iter().map(|block| heads[&block.bytes[..80]]).collect()
    };
    assert!(places(&plain).is_sorted());
    assert!(!places(&shuffled).is_sorted());
}

#[test]
fn a_folder_that_is_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("regtest/blocks")).unwrap();
    fs::write(folder.path().join("regtest/blocks/blk00000.dat"), "mine").unwrap();
    let written =
        datadir::write(folder.path(), Network::Regtest, DatadirOptions::default(), std::iter::empty());
    assert!(written.unwrap_err().to_string().contains("is not empty"));
}

#[test]
fn the_engine_accepts_a_custom_signet_with_proof_of_work() {
    let mix = Mix::Mainnet { inputs_per_block: 20 };
    let options =
        Options { network: Network::Signet, blocks: 12, bytes_per_block: 2_000, mix, ..Options::default() };
    let blocks = made(&options);
    assert_eq!(options.network.magic(), [0x54, 0xd2, 0x6f, 0xbd]);
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), options.network, DatadirOptions::default(), &blocks);
    with_engine(folder.path(), options.network, |engine| {
        assert_eq!(engine.active_chain().tip().block_hash().to_bytes(), tip(&blocks));
    });
}
