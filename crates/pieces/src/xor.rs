//! Bitcoin Core's `xor.dat` undone: an 8-byte key that repeats through a file.

/// XORs `data`, which lies at `file_offset` of its file, with the key of the file: byte *n* of the file with byte
/// *n* mod 8 of the key. At memory speed, whatever the key and the alignment.
pub fn undo_xor(data: &mut [u8], mut key: [u8; 8], file_offset: u64) {
    key.rotate_left((file_offset % 8) as usize);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "half as fast with the registers that every x86-64 has")]
        // SAFETY: the processor has AVX2.
        return unsafe { repeat_wide(data, key) };
    }
    repeat(data, key);
}

/// [`repeat`], compiled for registers of 32 bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn repeat_wide(data: &mut [u8], key: [u8; 8]) {
    repeat(data, key);
}

#[expect(clippy::inline_always, reason = "it must be compiled anew for the wider registers")]
#[inline(always)]
fn repeat(data: &mut [u8], key: [u8; 8]) {
    let word = u64::from_ne_bytes(key);
    // Rows of several registers: the compiler makes vectors of them.
    let (rows, rest) = data.as_chunks_mut::<128>();
    for row in rows {
        for bytes in row.as_chunks_mut::<8>().0 {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    let (words, tail) = rest.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn depends_on_the_offset_modulo_eight_only(
            key: [u8; 8], offset in 0..1u64 << 40, skip in 0..64usize,
            data in proptest::collection::vec(any::<u8>(), 64..700),
        ) {
            let mut undone = data.clone();
            undo_xor(&mut undone[skip..], key, offset);
            prop_assert_eq!(&undone[..skip], &data[..skip]);
            for (n, (was, now)) in data.iter().zip(undone).skip(skip).enumerate() {
                prop_assert_eq!(was ^ key[((offset + n as u64) % 8) as usize], now);
            }
        }
    }
}
