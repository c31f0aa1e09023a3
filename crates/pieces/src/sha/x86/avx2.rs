//! Eight streams in 256-bit registers.

use std::arch::x86_64::{
    __m256i, _mm_storeu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_castsi128_si256, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_inserti128_si256,
    _mm256_or_si256, _mm256_set1_epi32, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use super::words::{self, Words};
use super::{quarter, word_bytes_swapped};

// SAFETY of every block below: the caller of a method of `Words` answers for AVX2 and for the addresses.
impl Words<8> for __m256i {
    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        unsafe { _mm256_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm256_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn xor(self, b: Self, c: Self) -> Self {
        unsafe { _mm256_xor_si256(self, _mm256_xor_si256(b, c)) }
    }

    #[inline(always)]
    unsafe fn choose(self, b: Self, c: Self) -> Self {
        unsafe { _mm256_xor_si256(c, _mm256_and_si256(self, _mm256_xor_si256(b, c))) }
    }

    #[inline(always)]
    unsafe fn majority(self, b: Self, c: Self) -> Self {
        unsafe { _mm256_or_si256(_mm256_and_si256(b, c), _mm256_and_si256(self, _mm256_or_si256(b, c))) }
    }

    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        unsafe { _mm256_or_si256(_mm256_slli_epi32::<LEFT>(self), _mm256_srli_epi32::<RIGHT>(self)) }
    }

    #[inline(always)]
    unsafe fn shift_right<const BITS: i32>(self) -> Self {
        unsafe { _mm256_srli_epi32::<BITS>(self) }
    }

    #[inline(always)]
    unsafe fn swap_bytes(self) -> Self {
        unsafe { _mm256_shuffle_epi8(self, _mm256_broadcastsi128_si256(word_bytes_swapped())) }
    }

    #[inline(always)]
    unsafe fn load_row(first: usize, at: impl Fn(usize) -> *const u8) -> Self {
        unsafe {
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(quarter(at(first))), quarter(at(first + 4)))
        }
    }

    #[inline(always)]
    unsafe fn store_row(self, first: usize, mut at: impl FnMut(usize) -> *mut u8) {
        unsafe {
            _mm_storeu_si128(at(first).cast(), _mm256_castsi256_si128(self));
            _mm_storeu_si128(at(first + 4).cast(), _mm256_extracti128_si256::<1>(self));
        }
    }

    #[inline(always)]
    unsafe fn turn([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        unsafe {
            let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
            [
                _mm256_unpacklo_epi64(ab, cd),
                _mm256_unpackhi_epi64(ab, cd),
                _mm256_unpacklo_epi64(ab_high, cd_high),
                _mm256_unpackhi_epi64(ab_high, cd_high),
            ]
        }
    }
}

/// # Safety
/// Needs AVX2; each input has `bytes` bytes to read, a multiple of 64.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn sha1(states: &mut [[u32; 5]; 8], inputs: &[*const u8; 8], bytes: usize) {
    unsafe { words::sha1::<8, __m256i>(states, inputs, bytes) }
}

/// # Safety
/// Needs AVX2; each input has `bytes` bytes to read, a multiple of 64.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn sha256(states: &mut [[u32; 8]; 8], inputs: &[*const u8; 8], bytes: usize) {
    unsafe { words::sha256::<8, __m256i>(states, inputs, bytes) }
}
