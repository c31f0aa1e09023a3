//! The vector kernels of x86-64, and when each of them pays.
//!
//! All unsafe code of hashing is here. What makes it sound: a kernel reads no further than the shortest input, and
//! an [`X86`] leaves this file only through [`detected`], which asks the processor first.

mod avx2;
mod avx512;
mod sha_ni;
mod words;

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_set_epi64x};
use std::sync::OnceLock;
use std::time::Instant;

use super::{Hashing, scalar};

/// Repeats the body with a constant counted through: unrolled by the language, so that every index into an array of
/// registers is known and none of them has to live in memory.
macro_rules! unroll {
    ($i:ident in [$($n:literal)*] $body:block) => { $({ const $i: usize = $n; $body })* };
}
use unroll;

/// One way to compress up to `lanes` streams; the best there is for `from` streams and more.
struct Step<const W: usize> {
    from: usize,
    lanes: usize,
    compress: fn(&mut [[u32; W]], &[&[u8]]),
}

/// How a kind of processor hashes: for each function the steps from the widest to the one for a lone stream.
struct X86 {
    name: &'static str,
    sha1: &'static [Step<5>],
    sha256: &'static [Step<8>],
}

macro_rules! kernel {
    ($from:literal.., $lanes:literal x $kernel:path) => {
        Step {
            from: $from,
            lanes: $lanes,
            // SAFETY: `detected` gives these steps away only where the processor has the kernel's instructions.
            compress: |states, inputs| unsafe { in_lanes::<_, $lanes>($kernel, states, inputs) },
        }
    };
}

const ONE_SHA1: Step<5> = Step { from: 1, lanes: 1, compress: scalar::sha1 };
const ONE_SHA256: Step<8> = Step { from: 1, lanes: 1, compress: scalar::sha256 };

// A kernel that is not full takes the same time for fewer streams; each bound is where that begins to pay. A pass of
// AVX-512 is 435 cycles for SHA-1 and 868 for SHA-256, counting its instructions on two ports of 512 bits; SHA-NI
// takes 48 and 65 cycles for the block of each stream (measured, Zen 4). On a Xeon SHA-NI gains little from further
// streams, and a pass costs as much as 4 and 8 of them (measured): which kind a processor is, is measured at the start. Where the crates
// have no SHA-NI, a pass of AVX2 takes them as long as 1.3 and 1.7 streams.

static AVX512: X86 = X86 {
    name: "avx512",
    sha1: &[
        kernel!(10.., 16 x avx512::sha1),
        kernel!(5.., 6 x sha_ni::sha1),
        kernel!(3.., 4 x sha_ni::sha1),
        kernel!(2.., 2 x sha_ni::sha1),
        ONE_SHA1,
    ],
    sha256: &[
        kernel!(13.., 16 x avx512::sha256),
        kernel!(3.., 3 x sha_ni::sha256),
        kernel!(2.., 2 x sha_ni::sha256),
        ONE_SHA256,
    ],
};

static AVX512_BEFORE_SHA_NI: X86 = X86 {
    name: "avx512",
    sha1: &[
        kernel!(4.., 16 x avx512::sha1),
        kernel!(3.., 4 x sha_ni::sha1),
        kernel!(2.., 2 x sha_ni::sha1),
        ONE_SHA1,
    ],
    sha256: &[
        kernel!(9.., 16 x avx512::sha256),
        kernel!(3.., 3 x sha_ni::sha256),
        kernel!(2.., 2 x sha_ni::sha256),
        ONE_SHA256,
    ],
};

static AVX512_WITHOUT_SHA_NI: X86 = X86 {
    name: "avx512",
    sha1: &[kernel!(2.., 16 x avx512::sha1), ONE_SHA1],
    sha256: &[kernel!(2.., 16 x avx512::sha256), ONE_SHA256],
};

static SHA_NI: X86 = X86 {
    name: "sha-ni",
    sha1: &[
        kernel!(5.., 6 x sha_ni::sha1),
        kernel!(3.., 4 x sha_ni::sha1),
        kernel!(2.., 2 x sha_ni::sha1),
        ONE_SHA1,
    ],
    sha256: &[kernel!(3.., 3 x sha_ni::sha256), kernel!(2.., 2 x sha_ni::sha256), ONE_SHA256],
};

static AVX2: X86 = X86 {
    name: "avx2",
    sha1: &[kernel!(2.., 8 x avx2::sha1), ONE_SHA1],
    sha256: &[kernel!(2.., 8 x avx2::sha256), ONE_SHA256],
};

/// What this processor can do, the best first.
pub(super) fn detected() -> Vec<&'static dyn Hashing> {
    let sha_ni = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3");
    let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    let mut found: Vec<&'static dyn Hashing> = Vec::new();
    if avx512 {
        found.push(match sha_ni {
            true if wide_is_cheap() => &AVX512_BEFORE_SHA_NI,
            true => &AVX512,
            false => &AVX512_WITHOUT_SHA_NI,
        });
    }
    if sha_ni {
        found.push(&SHA_NI);
    }
    if is_x86_feature_detected!("avx2") {
        found.push(&AVX2);
    }
    found
}

/// Whether a pass of AVX-512 takes no longer than SHA-NI does for 6 streams; the processor has both. Some microseconds,
/// once.
fn wide_is_cheap() -> bool {
    static CHEAP: OnceLock<bool> = OnceLock::new();
    *CHEAP.get_or_init(|| {
        let data = [0; 2048];
        let quickest = |steps: &[Step<5>], streams: usize| {
            let (mut states, inputs) = (vec![[0; 5]; streams], vec![&data[..]; streams]);
            let once = |_| {
                let start = Instant::now();
                run(steps, &mut states, &inputs);
                start.elapsed()
            };
            // The first runs wake the wide units up.
            (0..8).map(once).min()
        };
        quickest(AVX512_WITHOUT_SHA_NI.sha1, 16) <= quickest(SHA_NI.sha1, 6)
    })
}

impl Hashing for X86 {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sha1_lanes(&self) -> usize {
        self.sha1.first().map_or(1, |step| step.lanes)
    }

    fn sha256_lanes(&self) -> usize {
        self.sha256.first().map_or(1, |step| step.lanes)
    }

    fn sha1_compress(&self, states: &mut [[u32; 5]], inputs: &[&[u8]]) {
        run(self.sha1, states, inputs);
    }

    fn sha256_compress(&self, states: &mut [[u32; 8]], inputs: &[&[u8]]) {
        run(self.sha256, states, inputs);
    }
}

fn run<const W: usize>(steps: &[Step<W>], mut states: &mut [[u32; W]], mut inputs: &[&[u8]]) {
    while let Some(step) = steps.iter().find(|step| inputs.len() >= step.from) {
        let streams = step.lanes.min(inputs.len());
        let Some((now, later)) = states.split_at_mut_checked(streams) else { return };
        (step.compress)(now, &inputs[..streams]);
        (states, inputs) = (later, &inputs[streams..]);
    }
}

type Kernel<const W: usize, const LANES: usize> =
    unsafe fn(&mut [[u32; W]; LANES], &[*const u8; LANES], usize);

/// Runs a kernel over up to `LANES` streams; lanes that are left over hash the first stream once more, for nothing.
///
/// # Safety
/// The processor has the kernel's instructions.
unsafe fn in_lanes<const W: usize, const LANES: usize>(
    kernel: Kernel<W, LANES>,
    states: &mut [[u32; W]],
    inputs: &[&[u8]],
) {
    let Some(first) = inputs.first() else { return };
    let bytes = inputs.iter().map(|input| input.len()).min().unwrap_or(0) / 64 * 64;
    let mut pointers = [first.as_ptr(); LANES];
    for (pointer, input) in pointers.iter_mut().zip(inputs) {
        *pointer = input.as_ptr();
    }
    // SAFETY: the instructions are the caller's promise; every pointer is to an input of at least `bytes` bytes.
    if let Ok(lanes) = <&mut [[u32; W]; LANES]>::try_from(&mut *states) {
        unsafe { kernel(lanes, &pointers, bytes) };
    } else {
        let mut lanes = [[0; W]; LANES];
        lanes[..states.len()].copy_from_slice(states);
        unsafe { kernel(&mut lanes, &pointers, bytes) };
        states.copy_from_slice(&lanes[..states.len()]);
    }
}

/// 16 bytes in memory.
///
/// # Safety
/// They can be read.
#[inline]
#[target_feature(enable = "sse2")]
unsafe fn quarter(at: *const u8) -> __m128i {
    // SAFETY: the caller's promise; the load needs no alignment.
    unsafe { _mm_loadu_si128(at.cast()) }
}

/// The bytes of each word of a register the other way round, for `pshufb`.
#[inline]
#[target_feature(enable = "sse2")]
fn word_bytes_swapped() -> __m128i {
    _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203)
}
