//! Sixteen streams in 512-bit registers: rotations and every function of three bits are one instruction.

use std::arch::x86_64::{
    __m512i, _mm_storeu_si128, _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_castsi128_si512,
    _mm512_castsi512_si128, _mm512_extracti32x4_epi32, _mm512_inserti32x4, _mm512_rol_epi32,
    _mm512_set1_epi32, _mm512_shuffle_epi8, _mm512_srlv_epi32, _mm512_ternarylogic_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::words::{self, Words};
use super::{quarter, word_bytes_swapped};

// SAFETY of every block below: the caller of a method of `Words` answers for AVX-512F and BW and for the addresses.
impl Words<16> for __m512i {
    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn xor(self, b: Self, c: Self) -> Self {
        unsafe { _mm512_ternarylogic_epi32::<0x96>(self, b, c) }
    }

    #[inline(always)]
    unsafe fn choose(self, b: Self, c: Self) -> Self {
        unsafe { _mm512_ternarylogic_epi32::<0xca>(self, b, c) }
    }

    #[inline(always)]
    unsafe fn majority(self, b: Self, c: Self) -> Self {
        unsafe { _mm512_ternarylogic_epi32::<0xe8>(self, b, c) }
    }

    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        unsafe { _mm512_rol_epi32::<LEFT>(self) }
    }

    #[inline(always)]
    unsafe fn shift_right<const BITS: i32>(self) -> Self {
        // By a vector, as the count of the other form has another type here than with AVX2; same instruction.
        unsafe { _mm512_srlv_epi32(self, _mm512_set1_epi32(BITS)) }
    }

    #[inline(always)]
    unsafe fn swap_bytes(self) -> Self {
        unsafe { _mm512_shuffle_epi8(self, _mm512_broadcast_i32x4(word_bytes_swapped())) }
    }

    #[inline(always)]
    unsafe fn load_row(first: usize, at: impl Fn(usize) -> *const u8) -> Self {
        unsafe {
            let row = _mm512_castsi128_si512(quarter(at(first)));
            let row = _mm512_inserti32x4::<1>(row, quarter(at(first + 4)));
            let row = _mm512_inserti32x4::<2>(row, quarter(at(first + 8)));
            _mm512_inserti32x4::<3>(row, quarter(at(first + 12)))
        }
    }

    #[inline(always)]
    unsafe fn store_row(self, first: usize, mut at: impl FnMut(usize) -> *mut u8) {
        unsafe {
            _mm_storeu_si128(at(first).cast(), _mm512_castsi512_si128(self));
            _mm_storeu_si128(at(first + 4).cast(), _mm512_extracti32x4_epi32::<1>(self));
            _mm_storeu_si128(at(first + 8).cast(), _mm512_extracti32x4_epi32::<2>(self));
            _mm_storeu_si128(at(first + 12).cast(), _mm512_extracti32x4_epi32::<3>(self));
        }
    }

    #[inline(always)]
    unsafe fn turn([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(ab, cd),
                _mm512_unpackhi_epi64(ab, cd),
                _mm512_unpacklo_epi64(ab_high, cd_high),
                _mm512_unpackhi_epi64(ab_high, cd_high),
            ]
        }
    }
}

/// # Safety
/// Needs AVX-512F and BW; each input has `bytes` bytes to read, a multiple of 64.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn sha1(states: &mut [[u32; 5]; 16], inputs: &[*const u8; 16], bytes: usize) {
    unsafe { words::sha1::<16, __m512i>(states, inputs, bytes) }
}

/// # Safety
/// Needs AVX-512F and BW; each input has `bytes` bytes to read, a multiple of 64.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn sha256(states: &mut [[u32; 8]; 16], inputs: &[*const u8; 16], bytes: usize) {
    unsafe { words::sha256::<16, __m512i>(states, inputs, bytes) }
}
