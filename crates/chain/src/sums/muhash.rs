//! `MuHash3072` (Core, `crypto/muhash.cpp`): a product of the hashes of a set's elements modulo a prime of 3072 bits.
//!
//! Unlike a salted sum it may be published: whoever would make another set with the same product has to solve a
//! discrete logarithm. It costs some twenty times as much.
use super::push_preimage;
use crate::coins::{Coin, OutPoint};
use crate::encode::Hash;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use crypto_bigint::{Limb, Uint, Word};
use sha2::{Digest, Sha256};

/// Bytes of a product.
pub const MUHASH_BYTES: usize = 384;
/// The modulus is 2^3072 less this.
const PRIME_DIFFERENCE: Word = 1_103_717;

type Num3072 = Uint<{ MUHASH_BYTES / size_of::<Word>() }>;

/// The product of a set. Elements may come in any order; products of parts multiply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuHash {
    product: Box<Num3072>,
}

impl Default for MuHash {
    fn default() -> Self {
        Self { product: Box::new(Num3072::ONE) }
    }
}

impl MuHash {
    /// Adds an element.
    pub fn insert(&mut self, element: &[u8]) {
        let key: Hash = Sha256::digest(element).into();
        let mut bytes = [0; MUHASH_BYTES];
        ChaCha20::new(&key.into(), &[0; 12].into()).apply_keystream(&mut bytes);
        self.multiply(&Num3072::from_le_slice(&bytes));
    }

    /// Adds a coin, as `gettxoutsetinfo muhash` does. `scratch` is memory to use again.
    pub fn insert_coin(&mut self, point: OutPoint<'_>, coin: &Coin<'_>, scratch: &mut Vec<u8>) {
        scratch.clear();
        push_preimage(point, coin, scratch);
        self.insert(scratch);
    }

    /// Adds another set.
    pub fn combine(&mut self, other: &Self) {
        self.multiply(&other.product);
    }

    /// Takes another set away. A few milliseconds.
    pub fn remove(&mut self, other: &Self) {
        self.multiply(&inverse(&other.product));
    }

    fn multiply(&mut self, factor: &Num3072) {
        *self.product = times(&self.product, factor);
    }

    /// The product, little-endian, in its one form.
    pub fn to_bytes(&self) -> [u8; MUHASH_BYTES] {
        let mut bytes = [0; MUHASH_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(size_of::<Word>()).zip(reduced(&self.product).to_words())
        {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// A product that was written; `None` when it is not in its one form, or zero.
    pub fn from_bytes(bytes: &[u8; MUHASH_BYTES]) -> Option<Self> {
        let product = Num3072::from_le_slice(bytes);
        (product != Num3072::ZERO && reduced(&product) == product)
            .then(|| Self { product: Box::new(product) })
    }

    /// Its hash, internal order: what `gettxoutsetinfo muhash` shows reversed.
    pub fn finish(&self) -> Hash {
        Sha256::digest(self.to_bytes()).into()
    }
}

/// Product modulo the prime, or more than that by once the prime.
fn times(a: &Num3072, b: &Num3072) -> Num3072 {
    a.mul_mod_special(b, Limb(PRIME_DIFFERENCE))
}

/// The same number below the prime.
fn reduced(value: &Num3072) -> Num3072 {
    let above = value.wrapping_add(&Num3072::from_word(PRIME_DIFFERENCE));
    // It wrapped exactly if the value was not below the prime.
    if above < *value { above } else { *value }
}

/// By Fermat: to the power of the prime less 2. Zero has none and stays zero.
fn inverse(value: &Num3072) -> Num3072 {
    let exponent = Num3072::ZERO.wrapping_sub(&Num3072::from_word(PRIME_DIFFERENCE + 2));
    let mut power = Num3072::ONE;
    for bit in (0..Num3072::BITS).rev() {
        power = times(&power, &power);
        if exponent.bit_vartime(bit) {
            power = times(&power, value);
        }
    }
    power
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::testdata::unhex;
    use proptest::prelude::*;

    fn of(elements: &[&[u8]]) -> MuHash {
        let mut hash = MuHash::default();
        for element in elements {
            hash.insert(element);
        }
        hash
    }

    fn element(number: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = number;
        bytes
    }

    #[test]
    fn has_the_value_of_cores_unit_test() {
        // crypto_tests.cpp, muhash_tests: elements 0 and 1 inserted, 2 removed.
        let mut hash = of(&[&element(0), &element(1)]);
        hash.remove(&of(&[&element(2)]));
        let mut expected = unhex("10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863");
        expected.reverse();
        assert_eq!(hash.finish().to_vec(), expected);
    }

    #[test]
    fn refuses_a_product_that_is_not_in_its_one_form() {
        let prime = Num3072::ZERO.wrapping_sub(&Num3072::from_word(PRIME_DIFFERENCE));
        for wrong in [Num3072::ZERO, prime, prime.wrapping_add(&Num3072::ONE), Num3072::MAX] {
            let bytes: Vec<u8> = wrong.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(MuHash::from_bytes(&bytes.try_into().unwrap()), None);
        }
        let one = MuHash::default();
        assert_eq!(MuHash::from_bytes(&one.to_bytes()), Some(one));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn depends_on_no_order_and_takes_back_what_it_was_given(elements in prop::collection::vec(any::<Vec<u8>>(), 1..6), split: prop::sample::Index) {
            let all: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            let (first, second) = all.split_at(split.index(all.len()));
            let (mut joined, whole) = (of(second), of(&all));
            joined.combine(&of(first));
            prop_assert_eq!(joined.finish(), whole.finish());
            joined.remove(&of(&all));
            prop_assert_eq!(joined.finish(), MuHash::default().finish());
            prop_assert_eq!(MuHash::from_bytes(&whole.to_bytes()).unwrap().finish(), whole.finish());
        }
    }
}
