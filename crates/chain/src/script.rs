//! Scripts as data: their operations one by one, and the few forms that consensus gives a meaning of its own.
//!
//! Runs nothing. Core's `script/script.cpp`.

use crate::encode::{EncodingFault, Reader};

/// A push of nothing.
pub const OP_0: u8 = 0x00;
/// What follows is one byte of length and so much data.
pub const OP_PUSHDATA1: u8 = 0x4c;
/// What follows is two bytes of length and so much data.
pub const OP_PUSHDATA2: u8 = 0x4d;
/// What follows is four bytes of length and so much data.
pub const OP_PUSHDATA4: u8 = 0x4e;
/// A push of the number 1; those up to 16 follow.
pub const OP_1: u8 = 0x51;
/// A push of the number 16: the last operation that only pushes.
pub const OP_16: u8 = 0x60;
/// Ends a script: an output that starts with it can never be spent.
pub const OP_RETURN: u8 = 0x6a;
/// One signature check.
pub const OP_CHECKSIG: u8 = 0xac;
/// One signature check that must succeed.
pub const OP_CHECKSIGVERIFY: u8 = 0xad;
/// Several signature checks.
pub const OP_CHECKMULTISIG: u8 = 0xae;
/// Several signature checks that must succeed.
pub const OP_CHECKMULTISIGVERIFY: u8 = 0xaf;
/// Bytes of a script that can run; an output with a longer one can never be spent.
pub const MAX_SCRIPT_BYTES: usize = 10_000;

/// The next operation of a script and the data that it pushes.
pub fn next_op<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), EncodingFault> {
    let opcode = reader.u8()?;
    let length = match opcode {
        0..OP_PUSHDATA1 => usize::from(opcode),
        OP_PUSHDATA1 => usize::from(reader.u8()?),
        OP_PUSHDATA2 => usize::from(reader.u16()?),
        OP_PUSHDATA4 => reader.u32()? as usize,
        _ => 0,
    };
    Ok((opcode, reader.take(length)?))
}

/// Whether an output with this script never becomes a coin (`CScript::IsUnspendable`).
pub fn is_unspendable(script: &[u8]) -> bool {
    script.first() == Some(&OP_RETURN) || script.len() > MAX_SCRIPT_BYTES
}

/// Whether a script pays to the hash of another one, BIP 16.
pub fn is_script_hash(script: &[u8]) -> bool {
    matches!(script, [0xa9, 20, .., 0x87]) && script.len() == 23
}

/// Whether a script pays to a taproot output, BIP 341.
pub fn is_taproot(script: &[u8]) -> bool {
    matches!(script, [OP_1, 32, ..]) && script.len() == 34
}

/// The version and program of a witness program, BIP 141.
pub fn witness_program(script: &[u8]) -> Option<(u8, &[u8])> {
    let (version, length, program) = match script {
        [OP_0, length, program @ ..] => (0, *length, program),
        [version @ OP_1..=OP_16, length, program @ ..] => (version - OP_1 + 1, *length, program),
        _ => return None,
    };
    ((2..=40).contains(&length) && program.len() == usize::from(length)).then_some((version, program))
}

/// What a script that only pushes leaves on top; `None` for one that does more or is cut. An operation without
/// data, which a small number is too, counts as empty.
pub fn last_push(script: &[u8]) -> Option<&[u8]> {
    let (mut reader, mut last) = (Reader::new(script), &[][..]);
    while !reader.is_empty() {
        let (opcode, data) = next_op(&mut reader).ok()?;
        if opcode > OP_16 {
            return None;
        }
        last = data;
    }
    Some(last)
}

/// A script that pushes one number of 31 bits (`CScript::operator<<`).
pub fn push_number(number: u32) -> Vec<u8> {
    match number {
        0 => vec![OP_0],
        1..=16 => vec![OP_1 + number as u8 - 1],
        _ => {
            let mut bytes = number.to_le_bytes().to_vec();
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            // The highest bit is the sign.
            if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
                bytes.push(0);
            }
            [&[bytes.len() as u8], &bytes[..]].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_pushed_in_their_shortest_form() {
        let cases: [(u32, &[u8]); 8] = [
            (0, &[0]),
            (1, &[0x51]),
            (16, &[0x60]),
            (17, &[1, 17]),
            (127, &[1, 127]),
            (128, &[2, 128, 0]),
            (227_931, &[3, 0x5b, 0x7a, 0x03]),
            (8_388_608, &[4, 0, 0, 0x80, 0]),
        ];
        for (number, script) in cases {
            assert_eq!(push_number(number), script, "{number}");
        }
    }

    #[test]
    fn a_witness_program_is_a_small_number_and_one_push_of_2_to_40_bytes() {
        assert_eq!(witness_program(&[&[0, 20][..], &[7; 20]].concat()), Some((0, &[7; 20][..])));
        assert_eq!(witness_program(&[0x60, 2, 1, 2]), Some((16, &[1, 2][..])));
        assert!(witness_program(&[&[0x51, 40][..], &[7; 40]].concat()).is_some());
        for script in [
            &[][..],
            &[0],
            &[0x51, 1, 1],
            &[0x51, 3, 1, 2],
            &[0x50, 2, 1, 2],
            &[0x61, 2, 1, 2],
            &[1, 2, 1, 2],
        ] {
            assert_eq!(witness_program(script), None, "{script:?}");
        }
        assert_eq!(witness_program(&[&[0x51, 41][..], &[7; 41]].concat()), None);
    }

    #[test]
    fn the_last_push_counts_only_where_there_are_only_pushes() {
        assert_eq!(last_push(&[]), Some(&[][..]));
        assert_eq!(last_push(&[1, 7, 2, 8, 9]), Some(&[8, 9][..]));
        assert_eq!(last_push(&[1, 7, OP_16]), Some(&[][..]));
        assert_eq!(last_push(&[OP_PUSHDATA1, 1, 5]), Some(&[5][..]));
        for script in
            [&[2, 8][..], &[1, 7, 0x61], &[OP_PUSHDATA4, 0xff, 0xff, 0xff, 0xff], &[OP_PUSHDATA2, 1]]
        {
            assert_eq!(last_push(script), None, "{script:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_random_bytes(script: Vec<u8>) {
            let _ = (last_push(&script), witness_program(&script), is_unspendable(&script));
        }
    }
}
