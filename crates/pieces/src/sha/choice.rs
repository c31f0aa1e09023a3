//! Which implementation this process hashes with.

use std::sync::OnceLock;

use super::constants::{SHA1_START, SHA256_START};
use super::scalar::{self, SCALAR};
use super::{Hashing, MAX_LANES};

struct Choice {
    hashing: &'static dyn Hashing,
    warning: Option<String>,
}

/// The implementation for this process: the best one of its processor, or the one that the environment variable
/// `BLOCKSWARM_CPU` names (`scalar`, `sha-ni`, `avx2`, `avx512`, `armv8`). Tested against the scalar crates at the
/// first call and never changed after.
pub fn hashing() -> &'static dyn Hashing {
    choice().hashing
}

/// Why hashing is slower than asked for or than the processor could: the asked-for way is not to be had here, or one
/// gave a wrong hash in its test.
pub fn warning() -> Option<&'static str> {
    choice().warning.as_deref()
}

fn choice() -> &'static Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    CHOICE.get_or_init(|| {
        let asked = std::env::var("BLOCKSWARM_CPU").ok().filter(|name| !name.is_empty());
        choose(&available(), asked.as_deref())
    })
}

/// What this processor can do, the best first, the plain way last.
pub fn available() -> Vec<&'static dyn Hashing> {
    #[cfg(target_arch = "x86_64")]
    let mut found = super::x86::detected();
    #[cfg(not(target_arch = "x86_64"))]
    let mut found: Vec<&'static dyn Hashing> = Vec::new();
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("sha2") {
        found.push(&scalar::ARMV8);
    }
    found.push(&SCALAR);
    found
}

fn choose(available: &[&'static dyn Hashing], asked: Option<&str>) -> Choice {
    let mut warnings = Vec::new();
    let named = asked.and_then(|name| available.iter().find(|hashing| hashing.name() == name));
    if let (Some(asked), None) = (asked, named) {
        warnings.push(format!("BLOCKSWARM_CPU={asked} names nothing that this processor can do"));
    }
    let mut hashing = *named.or(available.first()).unwrap_or(&(&SCALAR as &dyn Hashing));
    if !agrees_with_scalar(hashing) {
        warnings.push(format!("hashing with {} gave wrong hashes in its test", hashing.name()));
        hashing = &SCALAR;
    }
    let warning =
        (!warnings.is_empty()).then(|| format!("{}; hashing with {}", warnings.join("; "), hashing.name()));
    Choice { hashing, warning }
}

/// Every lane of every kernel, over two blocks that differ from stream to stream.
fn agrees_with_scalar(hashing: &dyn Hashing) -> bool {
    let data: Vec<u8> = (0..MAX_LANES * 128).map(|n| (n * 31 % 251) as u8).collect();
    let inputs: Vec<&[u8]> = data.chunks(128).collect();
    (1..=MAX_LANES).all(|streams| {
        let inputs = &inputs[..streams];
        let (mut sha1, mut sha256) = (vec![SHA1_START; streams], vec![SHA256_START; streams]);
        let (mut sha1_wanted, mut sha256_wanted) = (sha1.clone(), sha256.clone());
        hashing.sha1_compress(&mut sha1, inputs);
        hashing.sha256_compress(&mut sha256, inputs);
        scalar::sha1(&mut sha1_wanted, inputs);
        scalar::sha256(&mut sha256_wanted, inputs);
        (sha1, sha256) == (sha1_wanted, sha256_wanted)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Right but for its last lane.
    struct Broken;

    impl Hashing for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn sha1_lanes(&self) -> usize {
            MAX_LANES
        }

        fn sha256_lanes(&self) -> usize {
            MAX_LANES
        }

        fn sha1_compress(&self, states: &mut [[u32; 5]], inputs: &[&[u8]]) {
            scalar::sha1(states, inputs);
        }

        fn sha256_compress(&self, states: &mut [[u32; 8]], inputs: &[&[u8]]) {
            scalar::sha256(states, inputs);
            if let [.., last] = states
                && inputs.len() == MAX_LANES
            {
                last[7] ^= 1;
            }
        }
    }

    #[test]
    fn the_best_is_chosen_and_a_name_chooses_another() {
        let available = available();
        let best = choose(&available, None);
        assert_eq!((best.hashing.name(), best.warning), (available.first().unwrap().name(), None));
        for hashing in &available {
            let choice = choose(&available, Some(hashing.name()));
            assert_eq!((choice.hashing.name(), choice.warning), (hashing.name(), None));
        }
    }

    #[test]
    fn a_name_that_is_not_to_be_had_chooses_the_best_and_says_so() {
        let choice = choose(&available(), Some("abacus"));
        assert_eq!(choice.hashing.name(), available().first().unwrap().name());
        assert!(choice.warning.unwrap().contains("BLOCKSWARM_CPU=abacus"));
    }

    #[test]
    fn one_that_gives_wrong_hashes_is_not_used_and_that_is_said() {
        let choice = choose(&[&Broken, &SCALAR], None);
        assert_eq!(choice.hashing.name(), "scalar");
        assert!(choice.warning.unwrap().contains("broken gave wrong hashes"));
    }
}
