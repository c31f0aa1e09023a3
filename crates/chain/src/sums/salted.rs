//! Salted sums: SHA-256 of each coin behind a secret salt, added modulo 2^256.
//!
//! Whoever knew the salt could make another set with the same sum (generalized birthday attack), so that it is random,
//! drawn by the program that adds up, and told to nobody; so are the sums. Added and not combined by exclusive or: there
//! a coin spent twice would vanish. A coin that is spent k times weakens it by log2 k bits only.
use super::push_preimage;
use crate::coins::{Coin, OutPoint};
use crate::encode::Hash;
use crate::u256::U256;
use sha2::block_api::compress256;
use std::fmt;

/// Bytes of a salt: a whole block of SHA-256, so that its work is done once and not for each coin.
pub const SALT_BYTES: usize = 64;
/// What SHA-256 starts from (FIPS 180-4).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A secret. Sums with the same salt add up, over threads and machines.
#[derive(Clone)]
pub struct Salt {
    /// The state of SHA-256 behind the salt.
    salted: [u32; 8],
}

impl Salt {
    /// From random bytes.
    pub fn new(bytes: &[u8; SALT_BYTES]) -> Self {
        let mut salted = START;
        compress256(&mut salted, &[*bytes]);
        Self { salted }
    }

    /// SHA-256 of the salt and of what `message` holds, which is padded here in place.
    fn hash(&self, message: &mut Vec<u8>) -> Hash {
        let bits = 8 * (SALT_BYTES + message.len()) as u64;
        message.push(0x80);
        // Zeros, so that with the length it is whole blocks.
        message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
        message.extend_from_slice(&bits.to_be_bytes());
        let mut state = self.salted;
        compress256(&mut state, message.as_chunks().0);
        let mut hash = [0; 32];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        hash
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Salt(secret)")
    }
}

/// The sum of a set of coins under a salt.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SaltedSum(U256);

impl SaltedSum {
    /// Adds a coin. `scratch` is memory to use again.
    pub fn add(&mut self, salt: &Salt, point: OutPoint<'_>, coin: &Coin<'_>, scratch: &mut Vec<u8>) {
        scratch.clear();
        push_preimage(point, coin, scratch);
        self.combine(Self(U256::from_hash(&salt.hash(scratch))));
    }

    /// Adds another set.
    pub fn combine(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Takes another set away.
    pub fn remove(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }

    /// For a record of how far a job has come, which is kept as secret as the salt.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// From such a record.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }
}

impl fmt::Debug for SaltedSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SaltedSum(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn sum(salt: &Salt, coins: &[(u32, u32, bool, u64, Vec<u8>)]) -> SaltedSum {
        let (mut sum, mut scratch) = (SaltedSum::default(), Vec::new());
        for (index, height, coinbase, value, script) in coins {
            let coin = Coin { height: *height, is_coinbase: *coinbase, value: *value, script };
            sum.add(salt, OutPoint { txid: &[7; 32], index: *index }, &coin, &mut scratch);
        }
        sum
    }

    fn coins() -> impl Strategy<Value = Vec<(u32, u32, bool, u64, Vec<u8>)>> {
        prop::collection::vec(
            (any::<u32>(), 0..1u32 << 31, any::<bool>(), any::<u64>(), any::<Vec<u8>>()),
            1..8,
        )
    }

    proptest! {
        #[test]
        fn depends_on_no_order_but_on_every_field_and_the_salt(mut coins in coins(), which: prop::sample::Index, field in 0..5) {
            let salt = Salt::new(&[3; SALT_BYTES]);
            let all = sum(&salt, &coins);
            coins.reverse();
            prop_assert!(sum(&salt, &coins) == all);
            prop_assert!(sum(&Salt::new(&[4; SALT_BYTES]), &coins) != all);
            let mut rest = all;
            rest.remove(sum(&salt, &coins));
            prop_assert!(rest == SaltedSum::default());
            let changed = which.get(&coins).clone();
            let place = coins.iter().position(|coin| *coin == changed).unwrap_or(0);
            let coin = &mut coins[place];
            match field {
                0 => coin.0 ^= 1,
                1 => coin.1 ^= 1,
                2 => coin.2 ^= true,
                3 => coin.3 ^= 1,
                _ => coin.4.push(0),
            }
            prop_assert!(sum(&salt, &coins) != all);
        }
    }

    #[test]
    fn is_the_sha256_of_salt_and_coin_at_every_length() {
        let salt = [3; SALT_BYTES];
        for length in 0..300u32 {
            let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let expected: Hash = Sha256::new_with_prefix(salt).chain_update(&message).finalize().into();
            assert_eq!(Salt::new(&salt).hash(&mut message.clone()), expected, "{length}");
        }
    }

    #[test]
    fn counts_a_coin_as_often_as_it_is_spent() {
        let salt = Salt::new(&[3; SALT_BYTES]);
        let coin = (0, 1, false, 5, vec![0x51]);
        assert!(sum(&salt, &[coin.clone(), coin.clone()]) != SaltedSum::default());
        assert!(sum(&salt, &[coin.clone(), coin.clone(), coin.clone()]) != sum(&salt, &[coin]));
    }

    #[test]
    fn shows_neither_salt_nor_sum() {
        let salt = Salt::new(&[0xab; SALT_BYTES]);
        assert_eq!(
            format!("{salt:?} {:?}", sum(&salt, &[(0, 1, false, 5, vec![])])),
            "Salt(secret) SaltedSum(secret)"
        );
    }
}
