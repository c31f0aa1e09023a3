//! Scripts as Core's vectors write them: names of operations, numbers, raw hex and quoted text.

use crate::testdata::unhex;

/// The names from `OP_NOP` on.
const NAMES: &str = "NOP VER IF NOTIF VERIF VERNOTIF ELSE ENDIF VERIFY RETURN TOALTSTACK FROMALTSTACK 2DROP 2DUP 3DUP \
    2OVER 2ROT 2SWAP IFDUP DEPTH DROP DUP NIP OVER PICK ROLL ROT SWAP TUCK CAT SUBSTR LEFT RIGHT SIZE INVERT AND OR \
    XOR EQUAL EQUALVERIFY RESERVED1 RESERVED2 1ADD 1SUB 2MUL 2DIV NEGATE ABS NOT 0NOTEQUAL ADD SUB MUL DIV MOD LSHIFT \
    RSHIFT BOOLAND BOOLOR NUMEQUAL NUMEQUALVERIFY NUMNOTEQUAL LESSTHAN GREATERTHAN LESSTHANOREQUAL \
    GREATERTHANOREQUAL MIN MAX WITHIN RIPEMD160 SHA1 SHA256 HASH160 HASH256 CODESEPARATOR CHECKSIG CHECKSIGVERIFY \
    CHECKMULTISIG CHECKMULTISIGVERIFY NOP1 CHECKLOCKTIMEVERIFY CHECKSEQUENCEVERIFY NOP4 NOP5 NOP6 NOP7 NOP8 NOP9 \
    NOP10 CHECKSIGADD";
const OP_RESERVED: u8 = 0x50;
const OP_NOP: u8 = 0x61;

/// The bytes of a script.
pub fn assemble(text: &str) -> Vec<u8> {
    text.split_ascii_whitespace().flat_map(word).collect()
}

fn word(word: &str) -> Vec<u8> {
    if let Ok(number) = word.parse::<i64>() {
        return match number {
            0 => vec![0],
            -1 | 1..=16 => vec![OP_RESERVED.wrapping_add_signed(number as i8)],
            _ => push(&number_bytes(number)),
        };
    }
    if let Some(hex) = word.strip_prefix("0x") {
        return unhex(hex);
    }
    if let Some(text) = word.strip_prefix('\'') {
        return push(text.trim_end_matches('\'').as_bytes());
    }
    let name = word.strip_prefix("OP_").unwrap_or(word);
    if name == "RESERVED" {
        return vec![OP_RESERVED];
    }
    let place = NAMES.split_ascii_whitespace().position(|known| known == name);
    vec![OP_NOP + place.unwrap_or_else(|| panic!("{word}")) as u8]
}

/// Magnitude, least significant first, with the sign in the highest bit.
fn number_bytes(number: i64) -> Vec<u8> {
    let mut bytes = number.unsigned_abs().to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        bytes.push(0);
    }
    if let Some(last) = bytes.last_mut().filter(|_| number < 0) {
        *last |= 0x80;
    }
    bytes
}

fn push(data: &[u8]) -> Vec<u8> {
    let length = data.len();
    let head = match length {
        0..0x4c => vec![length as u8],
        0x4c..=0xff => vec![0x4c, length as u8],
        _ => [&[0x4d][..], &(length as u16).to_le_bytes()].concat(),
    };
    [&head[..], data].concat()
}
