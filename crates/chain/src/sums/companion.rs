//! The sums companion of a chain's segments: what each of them creates and spends, as products that may be published.
//!
//! `"bsums01\n" | magic`, then for each segment from 0 on `MuHash of the coins created | MuHash of the coins spent`, 384
//! bytes each. A file is a prefix of the one with a segment more. Believed by nobody: where it differs from what a segment
//! itself comes to, one of both is wrong.
use super::muhash::{MUHASH_BYTES, MuHash};
use crate::encode::fill;
use std::io::{self, Read, Write};

const HEAD: [u8; 8] = *b"bsums01\n";
/// Segments that a file may have: more than their five digits count.
const MAX_SEGMENTS: usize = 100_000;

/// Why bytes are not sums of segments.
#[derive(Debug, thiserror::Error)]
pub enum SumsFault {
    /// The file cannot be read or written.
    #[error("the sums cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("not a sums file of version 1")]
    Foreign,
    /// It is of another network.
    #[error("sums of another network")]
    Network,
    /// A segment's sums are cut, or in no form that a product has.
    #[error("the sums of segment {segment} are impossible")]
    Segment {
        /// Its number.
        segment: usize,
    },
}

/// What one segment's blocks create and spend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentSums {
    /// Its coins created.
    pub created: MuHash,
    /// Its coins spent.
    pub spent: MuHash,
}

/// Reads the sums of all segments of a file: 768 bytes of memory each.
pub fn read_sums(mut source: impl Read, magic: [u8; 4]) -> Result<Vec<SegmentSums>, SumsFault> {
    let (mut head, mut network) = ([0; 8], [0; 4]);
    let is_whole = fill(&mut source, &mut head)? && fill(&mut source, &mut network)?;
    if !is_whole || head != HEAD {
        return Err(SumsFault::Foreign);
    }
    if network != magic {
        return Err(SumsFault::Network);
    }
    let (mut sums, mut bytes) = (Vec::new(), Vec::new());
    loop {
        let segment = sums.len();
        bytes.clear();
        source.by_ref().take(2 * MUHASH_BYTES as u64).read_to_end(&mut bytes)?;
        let product = |part: Option<&[u8]>| MuHash::from_bytes(part?.first_chunk()?);
        let parts = (product(bytes.get(..MUHASH_BYTES)), product(bytes.get(MUHASH_BYTES..)));
        match parts {
            _ if bytes.is_empty() => return Ok(sums),
            (Some(created), Some(spent)) if segment < MAX_SEGMENTS => {
                sums.push(SegmentSums { created, spent });
            }
            _ => return Err(SumsFault::Segment { segment }),
        }
    }
}

/// Writes a file of the sums of the segments from 0 on.
pub fn write_sums(mut sink: impl Write, magic: [u8; 4], sums: &[SegmentSums]) -> Result<(), SumsFault> {
    sink.write_all(&HEAD)?;
    sink.write_all(&magic)?;
    for segment in sums {
        sink.write_all(&segment.created.to_bytes())?;
        sink.write_all(&segment.spent.to_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAGIC: [u8; 4] = [1, 2, 3, 4];

    fn sums(seeds: &[(u8, u8)]) -> Vec<SegmentSums> {
        let of = |seed: u8| {
            let mut product = MuHash::default();
            product.insert(&[seed]);
            product
        };
        seeds
            .iter()
            .map(|(created, spent)| SegmentSums { created: of(*created), spent: of(*spent) })
            .collect()
    }

    fn written(sums: &[SegmentSums]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_sums(&mut bytes, MAGIC, sums).unwrap();
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn reads_back_what_was_written_and_nothing_that_was_cut(
            seeds in prop::collection::vec(any::<(u8, u8)>(), 0..4), place: prop::sample::Index,
        ) {
            let sums = sums(&seeds);
            let bytes = written(&sums);
            prop_assert_eq!(bytes.len(), 12 + 768 * sums.len());
            prop_assert_eq!(read_sums(&bytes[..], MAGIC).unwrap(), sums.clone());
            let cut = place.index(bytes.len());
            match read_sums(&bytes[..cut], MAGIC) {
                // A prefix of whole segments is the file of fewer.
                Ok(fewer) => prop_assert!(cut == 12 + 768 * fewer.len() && sums.starts_with(&fewer)),
                Err(_) => prop_assert!(cut < 12 || (cut - 12) % 768 != 0),
            }
        }
    }

    #[test]
    fn refuses_other_files_networks_and_numbers_that_are_no_product() {
        let bytes = written(&sums(&[(1, 2)]));
        assert!(matches!(read_sums(&bytes[..], [0; 4]), Err(SumsFault::Network)));
        assert!(matches!(read_sums(&b"bsums02\n\x01\x02\x03\x04"[..], MAGIC), Err(SumsFault::Foreign)));
        for filling in [0, 0xff] {
            let mut wrong = bytes.clone();
            wrong[12..396].fill(filling);
            assert!(matches!(read_sums(&wrong[..], MAGIC), Err(SumsFault::Segment { segment: 0 })));
        }
    }
}
