//! Every implementation of this processor against the scalar crates, and all of them against the published vectors.

use proptest::prelude::*;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::choice::available;
use super::constants::{SHA1_START, SHA256_START};
use super::*;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// Compresses with every implementation, from states that differ, and compares with the scalar crates.
fn compare(inputs: &[&[u8]]) {
    let salt = |stream: usize, word: u32| word.wrapping_add(stream as u32);
    let sha1: Vec<_> = (0..inputs.len()).map(|stream| SHA1_START.map(|word| salt(stream, word))).collect();
    let sha256: Vec<_> =
        (0..inputs.len()).map(|stream| SHA256_START.map(|word| salt(stream, word))).collect();
    let (mut sha1_wanted, mut sha256_wanted) = (sha1.clone(), sha256.clone());
    scalar::sha1(&mut sha1_wanted, inputs);
    scalar::sha256(&mut sha256_wanted, inputs);
    for hashing in available() {
        let (mut sha1, mut sha256) = (sha1.clone(), sha256.clone());
        hashing.sha1_compress(&mut sha1, inputs);
        hashing.sha256_compress(&mut sha256, inputs);
        assert_eq!(sha1, sha1_wanted, "SHA-1, {}, {} streams", hashing.name(), inputs.len());
        assert_eq!(sha256, sha256_wanted, "SHA-256, {}, {} streams", hashing.name(), inputs.len());
    }
}

#[test]
fn every_count_of_streams_and_blocks_gives_what_the_crates_give() {
    let data = noise(40 * 40 * 64);
    for streams in 0..=40 {
        for blocks in [0, 1, 2, 3, 16, 33] {
            let inputs: Vec<&[u8]> =
                data.chunks(40 * 64).map(|input| &input[..blocks * 64]).take(streams).collect();
            compare(&inputs);
        }
    }
}

#[test]
fn every_alignment_gives_what_the_crates_give() {
    let data = noise(64 + 33 * 256);
    for offset in 0..64 {
        let inputs: Vec<&[u8]> = data[offset..].chunks_exact(256).take(33).collect();
        compare(&inputs);
        // Neighbours that are aligned differently, and overlap.
        let inputs: Vec<&[u8]> = (0..33).map(|stream| &data[stream * 61 + offset..][..192]).collect();
        compare(&inputs);
    }
}

#[test]
fn a_kernel_reads_and_writes_nothing_beyond_its_streams() {
    let data = noise(3 * 128);
    let inputs: Vec<&[u8]> = data.chunks(128).collect();
    for hashing in available() {
        let mut states = [SHA256_START; 4];
        hashing.sha256_compress(&mut states, &inputs);
        assert_eq!(states[3], SHA256_START, "{}", hashing.name());
    }
}

#[test]
fn the_published_vectors_come_out() {
    // FIPS 180-4's examples: "abc", 448 bits, 896 bits; and the empty message.
    let long = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
    let messages: [&[u8]; 4] =
        [b"abc", b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", long, b""];
    let mut sha256 = [[0; 32]; 4];
    sha256_many(&messages, &mut sha256);
    let head = |hash: [u8; 32]| u64::from_be_bytes(std::array::from_fn(|n| hash[n]));
    assert_eq!(
        sha256.map(head),
        [0xba78_16bf_8f01_cfea, 0x248d_6a61_d206_38b8, 0xcf5b_16a7_78af_8380, 0xe3b0_c442_98fc_1c14]
    );
    let mut streams = Sha1Streams::new(4);
    streams.update(&messages);
    let heads: Vec<u64> =
        streams.finish().iter().map(|hash| u64::from_be_bytes(std::array::from_fn(|n| hash[n]))).collect();
    assert_eq!(
        heads,
        [0xa999_3e36_4706_816a, 0x8498_3e44_1c3b_d26e, 0xa49b_2446_a02c_645b, 0xda39_a3ee_5e6b_4b0d]
    );
}

/// Lengths where something begins or ends: blocks, the padding, leaves.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=300).chain(8 * 1024 - 65..8 * 1024 + 65).chain(16 * 1024 - 130..=16 * 1024 + 130)
}

#[test]
fn messages_of_every_length_hash_as_with_the_crates() {
    let data = noise(17 * 1024);
    let messages: Vec<&[u8]> = lengths().map(|length| &data[length % 61..][..length]).collect();
    let mut hashes = vec![[0; 32]; messages.len()];
    sha256_many(&messages, &mut hashes);
    let mut doubles = vec![[0; 32]; messages.len()];
    sha256d_many(&messages, &mut doubles);
    for ((message, hash), double) in messages.iter().zip(hashes).zip(doubles) {
        let wanted = Sha256::digest(message);
        assert_eq!(hash, wanted[..], "{} bytes", message.len());
        assert_eq!(double, Sha256::digest(wanted)[..], "{} bytes, twice", message.len());
    }
}

#[test]
fn every_count_of_equal_messages_hashes_as_with_the_crates() {
    let data = noise(33 * 300);
    for length in 0..=300 {
        let messages: Vec<&[u8]> = (0..33).map(|n| &data[n * 300..][..length]).collect();
        let wanted: Vec<[u8; 32]> = messages.iter().map(|message| Sha256::digest(message).into()).collect();
        for count in 1..=33 {
            let mut hashes = vec![[0; 32]; count];
            sha256_many(&messages[..count], &mut hashes);
            assert_eq!(hashes, wanted[..count], "{count} messages of {length} bytes");
        }
    }
}

#[test]
fn streams_in_step_hash_as_one_by_one() {
    let data = noise(33 * 700);
    for count in 1..=33 {
        for portion in [1, 55, 63, 64, 65, 128, 300] {
            let messages: Vec<&[u8]> = data.chunks(700).take(count).collect();
            let mut streams = Sha1Streams::new(count);
            // Twice, as finished streams start anew.
            for _ in 0..2 {
                for start in (0..700).step_by(portion) {
                    let portions: Vec<&[u8]> =
                        messages.iter().map(|message| &message[start..700.min(start + portion)]).collect();
                    streams.update(&portions);
                }
                let wanted: Vec<[u8; 20]> =
                    messages.iter().map(|message| Sha1::digest(message).into()).collect();
                assert_eq!(streams.finish(), wanted, "{count} streams in portions of {portion}");
            }
        }
    }
}

#[test]
fn leaves_and_pairs_are_appended() {
    let data = noise(40 * 16384 + 1);
    for length in [0, 1, 16384, 16385, 5 * 16384 - 1, 40 * 16384 + 1] {
        let mut leaves = vec![[7; 32]];
        sha256_leaves(&data[..length], &mut leaves);
        let wanted = data[..length].chunks(16384).map(|leaf| <[u8; 32]>::from(Sha256::digest(leaf)));
        assert_eq!(leaves, [[7; 32]].into_iter().chain(wanted).collect::<Vec<_>>());
    }
    let (nodes, _) = data.as_chunks::<32>();
    for count in (0..40).chain([127, 128, 129, 300]) {
        let (mut pairs, mut doubles) = (vec![[7; 32]], vec![[7; 32]]);
        sha256_pairs(&nodes[..count], &mut pairs);
        sha256d_pairs(&nodes[..count], &mut doubles);
        let wanted: Vec<_> =
            nodes[..count].chunks_exact(2).map(|pair| Sha256::digest(pair.concat())).collect();
        assert!(pairs[1..].iter().eq(wanted.iter().map(|hash| &hash[..])), "{count} nodes");
        let wanted: Vec<_> = wanted.into_iter().map(Sha256::digest).collect();
        assert!(doubles[1..].iter().eq(wanted.iter().map(|hash| &hash[..])), "{count} nodes, twice");
    }
}

#[test]
fn a_process_told_to_be_scalar_is() {
    const CHILD: &str = "BLOCKSWARM_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!((hashing().name(), hashing().sha256_lanes(), warning()), ("scalar", 1, None));
        // The same answers by the plain path.
        messages_of_every_length_hash_as_with_the_crates();
        streams_in_step_hash_as_one_by_one();
        leaves_and_pairs_are_appended();
        return;
    }
    let name = "sha::tests::a_process_told_to_be_scalar_is";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact"])
        .envs([(CHILD, "1"), ("BLOCKSWARM_CPU", "scalar")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

proptest! {
    #[test]
    fn messages_of_mixed_lengths_hash_as_with_the_crates(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1200), 0..70),
    ) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let mut hashes = vec![[0; 32]; messages.len()];
        sha256d_many(&messages, &mut hashes);
        for (message, hash) in messages.iter().zip(hashes) {
            prop_assert_eq!(&hash[..], &Sha256::digest(Sha256::digest(message))[..]);
        }
    }

    #[test]
    fn streams_fed_unevenly_hash_as_with_the_crates(
        portions in prop::collection::vec(prop::collection::vec(0..400_usize, 9), 0..12),
    ) {
        let data = noise(400);
        let (mut streams, mut wanted) = (Sha1Streams::new(9), vec![Sha1::new(); 9]);
        for lengths in portions {
            let inputs: Vec<&[u8]> = lengths.iter().map(|length| &data[400 - length..]).collect();
            wanted.iter_mut().zip(&inputs).for_each(|(sha1, input)| sha1.update(input));
            streams.update(&inputs);
        }
        let wanted: Vec<[u8; 20]> = wanted.into_iter().map(|sha1| sha1.finalize().into()).collect();
        prop_assert_eq!(streams.finish(), wanted);
    }
}
