//! A coin as Core stores it, in `rev*.dat`, the chain state and snapshots: `VARINT(code) | VARINT(amount) | script`, the
//! last two in short forms (Core, `compressor.cpp`).
use crate::coins::Coin;
use crate::encode::{EncodingFault, Reader, push_varint};
use crate::money::MAX_MONEY;
use crate::script::{MAX_SCRIPT_BYTES, is_unspendable};
use crate::sums::code;
use secp256k1::PublicKey;

/// Script forms below this number have a length of their own.
pub(crate) const SHORT_FORMS: u64 = 6;

/// Why bytes are not a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoinFault {
    /// Not Core's encoding.
    #[error(transparent)]
    Encoding(#[from] EncodingFault),
    /// More than there will ever be.
    #[error("an amount beyond 21 million bitcoin")]
    Amount,
    /// A script that no coin has: too long, unspendable, not in its short form, or a point that is not on the curve.
    #[error("an impossible script")]
    Script,
}

/// Appends a coin; its script must be one that can be spent.
pub fn push_coin(coin: &Coin<'_>, out: &mut Vec<u8>) {
    push_varint(out, code(coin).into());
    push_varint(out, compress_amount(coin.value));
    push_script(coin.script, out);
}

/// Reads a coin. `whole` is memory to use again, for scripts whose bytes are not there as they are.
pub fn read_coin<'s>(reader: &mut Reader<'s>, whole: &'s mut Vec<u8>) -> Result<Coin<'s>, CoinFault> {
    let offset = reader.offset();
    let code = reader.varint()?;
    let code = u32::try_from(code).map_err(|_| EncodingFault::TooLarge { offset, value: code })?;
    let value = decompress_amount(reader.varint()?).filter(|value| *value <= MAX_MONEY);
    let value = value.ok_or(CoinFault::Amount)?;
    let script = read_script(reader, whole)?;
    Ok(Coin { height: code >> 1, is_coinbase: code & 1 == 1, value, script })
}

fn push_script(script: &[u8], out: &mut Vec<u8>) {
    if let Some((form, body)) = short_form(script) {
        out.push(form);
        out.extend_from_slice(body);
    } else {
        push_varint(out, script.len() as u64 + SHORT_FORMS);
        out.extend_from_slice(script);
    }
}

/// The form's number and bytes for a script that has a short form.
fn short_form(script: &[u8]) -> Option<(u8, &[u8])> {
    match script {
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => Some((0, hash)),
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => Some((1, hash)),
        [33, form @ (2 | 3), x @ .., 0xac] if x.len() == 32 => Some((*form, x)),
        [65, key @ .., 0xac] if key.len() == 65 && key[0] == 4 => {
            let on_curve = PublicKey::from_slice(key).is_ok();
            on_curve.then(|| (4 | key[64] & 1, &key[1..33]))
        }
        _ => None,
    }
}

fn read_script<'s>(reader: &mut Reader<'s>, whole: &'s mut Vec<u8>) -> Result<&'s [u8], CoinFault> {
    let form = reader.varint()?;
    let length = match form {
        0 | 1 => 20,
        2..SHORT_FORMS => 32,
        _ => (form - SHORT_FORMS).min(MAX_SCRIPT_BYTES as u64 + 1) as usize,
    };
    if length > MAX_SCRIPT_BYTES {
        return Err(CoinFault::Script);
    }
    let compressed = reader.take(length)?;
    let script = decompress_script(form, compressed, whole).ok_or(CoinFault::Script)?;
    let is_plain = form < SHORT_FORMS || (!is_unspendable(script) && short_form(script).is_none());
    if is_plain { Ok(script) } else { Err(CoinFault::Script) }
}

/// Core's `DecompressScript`; `None` for a public key that is not on its curve.
pub(crate) fn decompress_script<'a>(
    form: u64,
    compressed: &'a [u8],
    whole: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    if form >= SHORT_FORMS {
        return Some(compressed);
    }
    whole.clear();
    let mut add = |parts: [&[u8]; 3]| parts.iter().for_each(|part| whole.extend_from_slice(part));
    match form {
        0 => add([&[0x76, 0xa9, 20], compressed, &[0x88, 0xac]]),
        1 => add([&[0xa9, 20], compressed, &[0x87]]),
        2 | 3 => add([&[33, form as u8], compressed, &[0xac]]),
        _ => {
            let mut key = [form as u8 - 2; 33];
            key[1..].copy_from_slice(compressed.get(..32)?);
            let key = PublicKey::from_slice(&key).ok()?.serialize_uncompressed();
            add([&[65], &key, &[0xac]]);
        }
    }
    Some(whole)
}

/// Core's `DecompressAmount`; `None` when it outgrows 64 bits.
pub(crate) fn decompress_amount(compressed: u64) -> Option<u64> {
    let Some(rest) = compressed.checked_sub(1) else { return Some(0) };
    let (exponent, rest) = (rest % 10, rest / 10);
    let digits = if exponent < 9 { (rest / 9).checked_mul(10)? + rest % 9 + 1 } else { rest + 1 };
    digits.checked_mul(10u64.pow(exponent as u32))
}

/// Core's `CompressAmount`: few digits make few bytes.
fn compress_amount(value: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let (mut digits, mut exponent) = (value, 0);
    while digits.is_multiple_of(10) && exponent < 9 {
        digits /= 10;
        exponent += 1;
    }
    if exponent < 9 {
        let last = digits % 10;
        1 + (digits / 10 * 9 + last - 1) * 10 + exponent
    } else {
        1 + (digits - 1) * 10 + 9
    }
}
