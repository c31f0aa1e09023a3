//! The SHA extensions over several streams at once.
//!
//! Each instruction waits for the one before it in its stream; other streams fill that time. Measured on a Zen 4
//! core, GiB/s for 1, 2, 4 and 6 streams: SHA-1 1.41, 2.54, 3.47 and 3.74; SHA-256 1.33, 2.64, 2.77 (where the unit
//! is busy without a pause) and 2.55 (where registers run out).

#[expect(clippy::wildcard_imports, reason = "the instructions are the vocabulary here")]
use std::arch::x86_64::*;

use super::{unroll, word_bytes_swapped};
use crate::sha::constants::SHA256_K;

/// Compresses whole blocks of each stream into its state.
///
/// # Safety
/// Needs SHA-NI and SSE4.1; each input has `bytes` bytes to read, a multiple of 64.
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(super) unsafe fn sha1<const N: usize>(states: &mut [[u32; 5]; N], inputs: &[*const u8; N], bytes: usize) {
    let zero = _mm_setzero_si128();
    let highest_first = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    // The instructions have the first word in the highest place.
    let mut abcd = states.map(|[a, b, c, d, _]| words(a, b, c, d));
    let mut e = states.map(|[.., e]| words(e, 0, 0, 0));
    for start in (0..bytes).step_by(64) {
        let before = (abcd, e);
        let mut w = [[zero; N]; 4];
        let mut last = abcd;
        unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19] {
            const FUNCTION: i32 = (I as u32 / 5).cast_signed();
            for n in 0..N {
                let word = if I < 4 {
                    // SAFETY: inside the input's `bytes` bytes.
                    let quad = unsafe { _mm_loadu_si128(inputs[n].add(start + 16 * I).cast()) };
                    _mm_shuffle_epi8(quad, highest_first)
                } else {
                    let sum = _mm_xor_si128(_mm_sha1msg1_epu32(w[I % 4][n], w[(I + 1) % 4][n]), w[(I + 2) % 4][n]);
                    _mm_sha1msg2_epu32(sum, w[(I + 3) % 4][n])
                };
                w[I % 4][n] = word;
                let sum = if I == 0 { _mm_add_epi32(e[n], word) } else { _mm_sha1nexte_epu32(last[n], word) };
                last[n] = abcd[n];
                abcd[n] = _mm_sha1rnds4_epu32::<FUNCTION>(abcd[n], sum);
            }
        });
        for n in 0..N {
            e[n] = _mm_sha1nexte_epu32(last[n], before.1[n]);
            abcd[n] = _mm_add_epi32(abcd[n], before.0[n]);
        }
    }
    for n in 0..N {
        let ([a, b, c, d], [e, ..]) = (unpacked(abcd[n]), unpacked(e[n]));
        states[n] = [a, b, c, d, e];
    }
}

/// As [`sha1`].
///
/// # Safety
/// As [`sha1`].
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(super) unsafe fn sha256<const N: usize>(
    states: &mut [[u32; 8]; N],
    inputs: &[*const u8; N],
    bytes: usize,
) {
    let zero = _mm_setzero_si128();
    let mut abef = states.map(|[a, b, _, _, e, f, _, _]| words(a, b, e, f));
    let mut cdgh = states.map(|[_, _, c, d, _, _, g, h]| words(c, d, g, h));
    for start in (0..bytes).step_by(64) {
        let before = (abef, cdgh);
        let mut w = [[zero; N]; 4];
        unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            const K: [u32; 4] = [SHA256_K[4 * I], SHA256_K[4 * I + 1], SHA256_K[4 * I + 2], SHA256_K[4 * I + 3]];
            for n in 0..N {
                let word = if I < 4 {
                    // SAFETY: inside the input's `bytes` bytes.
                    let quad = unsafe { _mm_loadu_si128(inputs[n].add(start + 16 * I).cast()) };
                    _mm_shuffle_epi8(quad, word_bytes_swapped())
                } else {
                    let seventh = _mm_alignr_epi8::<4>(w[(I + 3) % 4][n], w[(I + 2) % 4][n]);
                    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[I % 4][n], w[(I + 1) % 4][n]), seventh);
                    _mm_sha256msg2_epu32(sum, w[(I + 3) % 4][n])
                };
                w[I % 4][n] = word;
                let sum = _mm_add_epi32(word, words(K[3], K[2], K[1], K[0]));
                cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], sum);
                abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], _mm_shuffle_epi32::<0x0e>(sum));
            }
        });
        for n in 0..N {
            abef[n] = _mm_add_epi32(abef[n], before.0[n]);
            cdgh[n] = _mm_add_epi32(cdgh[n], before.1[n]);
        }
    }
    for n in 0..N {
        let ([a, b, e, f], [c, d, g, h]) = (unpacked(abef[n]), unpacked(cdgh[n]));
        states[n] = [a, b, c, d, e, f, g, h];
    }
}

/// A register of four words, the highest first.
#[inline]
#[target_feature(enable = "sse4.1")]
fn words(a: u32, b: u32, c: u32, d: u32) -> __m128i {
    _mm_set_epi32(a.cast_signed(), b.cast_signed(), c.cast_signed(), d.cast_signed())
}

/// The reverse of [`words`].
#[inline]
#[target_feature(enable = "sse4.1")]
fn unpacked(words: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<3>(words).cast_unsigned(),
        _mm_extract_epi32::<2>(words).cast_unsigned(),
        _mm_extract_epi32::<1>(words).cast_unsigned(),
        _mm_extract_epi32::<0>(words).cast_unsigned(),
    ]
}
