//! SHA-1 and SHA-256 of one stream in each lane of a vector register, written once for every width.

use super::unroll;
use crate::sha::constants::{SHA1_K, SHA256_K};

/// A vector register of 32-bit words, each of another stream; `LANES` is a multiple of four.
///
/// Arithmetic is on each word by itself, modulo 2^32.
///
/// # Safety
/// A method may only run where the processor has its instructions: inlined into a `#[target_feature]` kernel.
/// The addresses that the closures give are of 16 bytes that may be read, or written.
pub(super) trait Words<const LANES: usize>: Copy {
    unsafe fn splat(word: u32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn xor(self, b: Self, c: Self) -> Self;
    /// `b` where `self` has ones, `c` where it has zeros.
    unsafe fn choose(self, b: Self, c: Self) -> Self;
    unsafe fn majority(self, b: Self, c: Self) -> Self;
    /// Rotates left by `LEFT` bits, which is right by `RIGHT`; both are said, as they sum up to 32.
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
    unsafe fn shift_right<const BITS: i32>(self) -> Self;
    unsafe fn swap_bytes(self) -> Self;
    /// 16 bytes of each fourth stream, beginning with `first`.
    unsafe fn load_row(first: usize, at: impl Fn(usize) -> *const u8) -> Self;
    /// The reverse of `load_row`.
    unsafe fn store_row(self, first: usize, at: impl FnMut(usize) -> *mut u8);
    /// Rows to words and words to rows: four transpositions of 4 × 4 and more, one in each 128 bits.
    unsafe fn turn(rows: [Self; 4]) -> [Self; 4];
}

/// Four neighbouring words of each stream.
#[inline(always)]
unsafe fn load<const LANES: usize, V: Words<LANES>>(at: impl Fn(usize) -> *const u8) -> [V; 4] {
    unsafe { V::turn([V::load_row(0, &at), V::load_row(1, &at), V::load_row(2, &at), V::load_row(3, &at)]) }
}

/// The same, from big-endian bytes.
#[inline(always)]
unsafe fn load_swapped<const LANES: usize, V: Words<LANES>>(at: impl Fn(usize) -> *const u8) -> [V; 4] {
    // Swapped before they are turned: after it, compilers merge both into more instructions than they were.
    unsafe {
        V::turn([
            V::load_row(0, &at).swap_bytes(),
            V::load_row(1, &at).swap_bytes(),
            V::load_row(2, &at).swap_bytes(),
            V::load_row(3, &at).swap_bytes(),
        ])
    }
}

/// The reverse of [`load`].
#[inline(always)]
unsafe fn store<const LANES: usize, V: Words<LANES>>(words: [V; 4], mut at: impl FnMut(usize) -> *mut u8) {
    let rows = unsafe { V::turn(words) };
    unroll!(ROW in [0 1 2 3] { unsafe { rows[ROW].store_row(ROW, &mut at) } });
}

/// The sixteen words of one block of each stream.
#[inline(always)]
unsafe fn load_block<const LANES: usize, V: Words<LANES>>(
    inputs: &[*const u8; LANES],
    start: usize,
) -> [V; 16] {
    unsafe {
        let [a, b, c, d] = load_swapped(|stream| inputs[stream].add(start));
        let [e, f, g, h] = load_swapped(|stream| inputs[stream].add(start + 16));
        let [i, j, k, l] = load_swapped(|stream| inputs[stream].add(start + 32));
        let [m, n, o, p] = load_swapped(|stream| inputs[stream].add(start + 48));
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

/// Compresses whole blocks of each stream into its state.
///
/// # Safety
/// As [`Words`]; each input has `bytes` bytes to read, a multiple of 64.
#[inline(always)]
pub(super) unsafe fn sha1<const LANES: usize, V: Words<LANES>>(
    states: &mut [[u32; 5]; LANES],
    inputs: &[*const u8; LANES],
    bytes: usize,
) {
    // The fifth word of a state has no three neighbours to be loaded with.
    let mut fifth = states.map(|[.., last]| [last; 4]);
    unsafe {
        let [a, b, c, d] = load(|stream| states[stream].as_ptr().cast());
        let [e, ..] = load(|stream| fifth[stream].as_ptr().cast());
        let mut state: [V; 5] = [a, b, c, d, e];
        for start in (0..bytes).step_by(64) {
            let before = state;
            let mut w: [V; 16] = load_block(inputs, start);
            macro_rules! round {
                ($mix:ident, $k:literal, $word:expr) => {{
                    let [a, b, c, d, e] = state;
                    let sum = e.add($word.add(V::splat(SHA1_K[$k]))).add(b.$mix(c, d));
                    state = [sum.add(a.rotate::<5, 27>()), a, b.rotate::<30, 2>(), c, d];
                }};
            }
            macro_rules! next_word {
                ($at:expr) => {{
                    const AT: usize = $at % 16;
                    let (a, b, c) = (w[(AT + 2) % 16], w[(AT + 8) % 16], w[(AT + 13) % 16]);
                    w[AT] = w[AT].xor(a, b.xor(c, V::splat(0))).rotate::<1, 31>();
                    w[AT]
                }};
            }
            unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] { round!(choose, 0, w[I]) });
            unroll!(I in [16 17 18 19] { round!(choose, 0, next_word!(I)) });
            unroll!(I in [20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39] {
                round!(xor, 1, next_word!(I));
            });
            unroll!(I in [40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59] {
                round!(majority, 2, next_word!(I));
            });
            unroll!(I in [60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79] {
                round!(xor, 3, next_word!(I));
            });
            unroll!(I in [0 1 2 3 4] { state[I] = state[I].add(before[I]) });
        }
        let [a, b, c, d, e] = state;
        store([a, b, c, d], |stream| states[stream].as_mut_ptr().cast());
        store([e; 4], |stream| fifth[stream].as_mut_ptr().cast());
    }
    for (state, [last, ..]) in states.iter_mut().zip(fifth) {
        state[4] = last;
    }
}

/// As [`sha1`].
///
/// # Safety
/// As [`sha1`].
#[inline(always)]
pub(super) unsafe fn sha256<const LANES: usize, V: Words<LANES>>(
    states: &mut [[u32; 8]; LANES],
    inputs: &[*const u8; LANES],
    bytes: usize,
) {
    let (first, later) = SHA256_K.split_at(16);
    unsafe {
        let [a, b, c, d] = load(|stream| states[stream].as_ptr().cast());
        let [e, f, g, h] = load(|stream| states[stream].as_ptr().add(4).cast());
        let mut state: [V; 8] = [a, b, c, d, e, f, g, h];
        for start in (0..bytes).step_by(64) {
            let before = state;
            let mut w: [V; 16] = load_block(inputs, start);
            macro_rules! round {
                ($k:expr, $word:expr) => {{
                    let [a, b, c, d, e, f, g, h] = state;
                    let mix = e.rotate::<26, 6>().xor(e.rotate::<21, 11>(), e.rotate::<7, 25>());
                    let sum = h.add($word.add(V::splat($k))).add(e.choose(f, g)).add(mix);
                    let mix = a.rotate::<30, 2>().xor(a.rotate::<19, 13>(), a.rotate::<10, 22>());
                    state = [sum.add(mix.add(a.majority(b, c))), a, b, c, d.add(sum), e, f, g];
                }};
            }
            unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] { round!(first[I], w[I]) });
            for k in later.as_chunks::<16>().0 {
                unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
                    let (x, y) = (w[(I + 1) % 16], w[(I + 14) % 16]);
                    let x = x.rotate::<25, 7>().xor(x.rotate::<14, 18>(), x.shift_right::<3>());
                    let y = y.rotate::<15, 17>().xor(y.rotate::<13, 19>(), y.shift_right::<10>());
                    w[I] = w[I].add(w[(I + 9) % 16]).add(x.add(y));
                    round!(k[I], w[I]);
                });
            }
            unroll!(I in [0 1 2 3 4 5 6 7] { state[I] = state[I].add(before[I]) });
        }
        let [a, b, c, d, e, f, g, h] = state;
        store([a, b, c, d], |stream| states[stream].as_mut_ptr().cast());
        store([e, f, g, h], |stream| states[stream].as_mut_ptr().add(4).cast());
    }
}
