//! 256 keys that are the same in every chain, and the scripts that coins are locked by with them.
use crate::transaction::push_bytes;
use ripemd::Ripemd160;
use secp256k1::{Keypair, Parity, Scalar, SecretKey, XOnlyPublicKey};
use sha2::{Digest, Sha256};

const OP_0: u8 = 0x00;
const OP_PUSHDATA2: u8 = 0x4d;
const OP_1: u8 = 0x51;
const OP_2: u8 = 0x52;
const OP_3: u8 = 0x53;
const OP_IF: u8 = 0x63;
const OP_ENDIF: u8 = 0x68;
const OP_DUP: u8 = 0x76;
const OP_EQUAL: u8 = 0x87;
const OP_EQUALVERIFY: u8 = 0x88;
const OP_HASH160: u8 = 0xa9;
const OP_CHECKSIG: u8 = 0xac;
const OP_CHECKMULTISIG: u8 = 0xae;
/// Leaf version of BIP 342, without parity.
const TAPSCRIPT: u8 = 0xc0;
/// Consensus limit of one push.
const PUSH_BYTES_LIMIT: usize = 520;
/// Bytes of an envelope's script beside its pushes: key, `OP_CHECKSIG`, `OP_0`, `OP_IF`, `OP_ENDIF`.
const ENVELOPE_BYTES: usize = 37;

/// How a coin is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// P2WPKH.
    WitnessKeyHash,
    /// P2TR without scripts, spent by its key (BIP 86).
    TaprootKey,
    /// P2TR of two scripts, spent by one of them.
    TaprootScript,
    /// P2PKH.
    KeyHash,
    /// P2SH of 2-of-3.
    ScriptHash,
    /// P2WSH of 2-of-3.
    WitnessScriptHash,
}

/// With how many of 100 outputs, as on mainnet in 2025 (rounded; what is left of P2PK and bare multisig left out).
const SHARES: [(Kind, usize); 6] = [
    (Kind::WitnessKeyHash, 46),
    (Kind::TaprootKey, 22),
    (Kind::TaprootScript, 8),
    (Kind::KeyHash, 13),
    (Kind::ScriptHash, 6),
    (Kind::WitnessScriptHash, 5),
];

impl Kind {
    /// That of one of 100 outputs.
    pub fn of_percent(percent: usize) -> Self {
        let mut below = 0;
        for (kind, share) in SHARES {
            below += share;
            if percent < below {
                return kind;
            }
        }
        Self::WitnessKeyHash
    }

    /// Bytes of an input that spends it, without and with its witness, rounded up.
    pub fn input_bytes(self) -> (usize, usize) {
        match self {
            Self::WitnessKeyHash => (41, 150),
            Self::TaprootKey => (41, 108),
            Self::TaprootScript => (41, 209),
            Self::KeyHash => (149, 150),
            Self::ScriptHash => (299, 300),
            Self::WitnessScriptHash => (41, 299),
        }
    }
}

/// A kind with the first of its keys: a script of several takes the ones that follow, round the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Of which kind.
    pub kind: Kind,
    /// Which key of the 256.
    pub key: u8,
}

/// One key and what is derived from it.
#[derive(Debug, Clone)]
pub struct Key {
    /// For ECDSA.
    pub secret: SecretKey,
    /// For Schnorr signatures in a script.
    pub pair: Keypair,
    /// For Schnorr signatures of a key path: tweaked by no script.
    pub path: Keypair,
    /// Compressed.
    pub public: [u8; 33],
    /// Without parity (BIP 340).
    pub x_only: [u8; 32],
}

/// A script of a taproot output and what shows that it is one (BIP 341).
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The script.
    pub script: Vec<u8>,
    /// Its tagged hash.
    pub hash: [u8; 32],
    /// Version and parity, internal key, hashes of the path.
    pub control: Vec<u8>,
    /// The output's script.
    pub locked: Vec<u8>,
}

/// The keys.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Key>,
    leaves: Vec<Leaf>,
}

impl Keys {
    /// Derives them.
    pub fn new() -> Result<Self, secp256k1::Error> {
        let keys = (0..=u8::MAX).map(Key::new).collect::<Result<Vec<_>, _>>()?;
        let mut made = Self { keys, leaves: Vec::new() };
        made.leaves = (0..=u8::MAX).map(|key| made.two_scripts(key)).collect::<Result<Vec<_>, _>>()?;
        Ok(made)
    }

    /// One of the keys.
    pub fn key(&self, key: u8) -> &Key {
        &self.keys[usize::from(key)]
    }

    /// The script by which a [`Kind::TaprootScript`] coin is spent; it asks for the key after the coin's.
    pub fn leaf(&self, key: u8) -> &Leaf {
        &self.leaves[usize::from(key)]
    }

    /// `scriptPubKey`.
    pub fn locked(&self, lock: Lock) -> Vec<u8> {
        let key = self.key(lock.key);
        match lock.kind {
            Kind::WitnessKeyHash => program(OP_0, &hash160(&key.public)),
            Kind::TaprootKey => program(OP_1, &key.path.x_only_public_key().0.to_byte_array()),
            Kind::TaprootScript => self.leaf(lock.key).locked.clone(),
            Kind::KeyHash => self.key_hash_script(lock.key),
            Kind::ScriptHash => {
                let mut script = vec![OP_HASH160];
                push_bytes(&mut script, &hash160(&self.two_of_three(lock.key)));
                script.push(OP_EQUAL);
                script
            }
            Kind::WitnessScriptHash => program(OP_0, &Sha256::digest(self.two_of_three(lock.key))),
        }
    }

    /// P2PKH's script, which is also what a P2WPKH signature signs (BIP 143).
    pub fn key_hash_script(&self, key: u8) -> Vec<u8> {
        let mut script = vec![OP_DUP, OP_HASH160];
        push_bytes(&mut script, &hash160(&self.key(key).public));
        script.extend_from_slice(&[OP_EQUALVERIFY, OP_CHECKSIG]);
        script
    }

    /// 2-of-3 of a key and the two after it.
    pub fn two_of_three(&self, key: u8) -> Vec<u8> {
        let mut script = vec![OP_2];
        for place in 0..3 {
            push_bytes(&mut script, &self.key(key.wrapping_add(place)).public);
        }
        script.extend_from_slice(&[OP_3, OP_CHECKMULTISIG]);
        script
    }

    /// Two scripts of one signature each; the first is to be used.
    fn two_scripts(&self, key: u8) -> Result<Leaf, secp256k1::Error> {
        let script = |key: u8| {
            let mut script = Vec::new();
            push_bytes(&mut script, &self.key(key).x_only);
            script.push(OP_CHECKSIG);
            script
        };
        let other = leaf_hash(&script(key.wrapping_add(2)));
        self.committed(key, script(key.wrapping_add(1)), Some(other))
    }

    /// A script of `bytes` that asks for a signature of `key` and carries data in a branch never taken, as
    /// inscriptions do.
    pub fn envelope(
        &self,
        key: u8,
        bytes: usize,
        mut data: impl FnMut(u32) -> Vec<u8>,
    ) -> Result<Leaf, secp256k1::Error> {
        let mut script = Vec::with_capacity(bytes + PUSH_BYTES_LIMIT);
        push_bytes(&mut script, &self.key(key).x_only);
        script.extend_from_slice(&[OP_CHECKSIG, OP_0, OP_IF]);
        let mut left = bytes.saturating_sub(ENVELOPE_BYTES);
        while left > 3 {
            let push = (left - 3).min(PUSH_BYTES_LIMIT);
            script.push(OP_PUSHDATA2);
            script.extend_from_slice(&(push as u16).to_le_bytes());
            script.extend_from_slice(&data(push as u32));
            left -= push + 3;
        }
        script.push(OP_ENDIF);
        self.committed(key, script, None)
    }

    /// The output with `key` as its internal key that a script was committed to, beside another if there is one.
    fn committed(&self, key: u8, script: Vec<u8>, other: Option<[u8; 32]>) -> Result<Leaf, secp256k1::Error> {
        let hash = leaf_hash(&script);
        let root = other.map_or(hash, |other| {
            let (low, high) = if hash < other { (hash, other) } else { (other, hash) };
            tagged("TapBranch", &[&low, &high])
        });
        let internal = self.key(key).x_only;
        let tweak = tweak(&internal, &root)?;
        let (output, parity) = XOnlyPublicKey::from_byte_array(internal)?.add_tweak(&tweak)?;
        let mut control = vec![TAPSCRIPT | u8::from(parity == Parity::Odd)];
        control.extend_from_slice(&internal);
        control.extend(other.iter().flatten());
        Ok(Leaf { script, hash, control, locked: program(OP_1, &output.to_byte_array()) })
    }
}

impl Key {
    fn new(number: u8) -> Result<Self, secp256k1::Error> {
        let mut seed = Sha256::new_with_prefix("chaingen key");
        seed.update([number]);
        let secret = SecretKey::from_secret_bytes(seed.finalize().into())?;
        let pair = Keypair::from_secret_key(&secret);
        let x_only = pair.x_only_public_key().0.to_byte_array();
        let path = pair.add_xonly_tweak(&tweak(&x_only, &[])?)?;
        Ok(Self { secret, pair, path, public: pair.public_key().serialize(), x_only })
    }
}

/// BIP 340's tagged hash.
pub fn tagged(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let tag = Sha256::digest(tag);
    let mut hash = Sha256::new_with_prefix(tag);
    hash.update(tag);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn tweak(internal: &[u8; 32], root: &[u8]) -> Result<Scalar, secp256k1::Error> {
    Scalar::from_be_bytes(tagged("TapTweak", &[internal, root])).map_err(|_| secp256k1::Error::InvalidTweak)
}

fn leaf_hash(script: &[u8]) -> [u8; 32] {
    let mut serialized = Vec::with_capacity(script.len() + 5);
    push_bytes(&mut serialized, script);
    tagged("TapLeaf", &[&[TAPSCRIPT], &serialized])
}

/// A witness program (BIP 141).
fn program(version: u8, bytes: &[u8]) -> Vec<u8> {
    let mut script = vec![version];
    push_bytes(&mut script, bytes);
    script
}

fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(bytes)).into()
}
