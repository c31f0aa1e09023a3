//! What each segment of a chain creates and spends, as products: the `sums` companion, and which segments it contradicts.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::coins::{Coin, OutPoint};
use crate::sums::{SegmentSums, read_sums, write_sums};
use crate::validate::CoinVisitor;

use super::walk::Buffers;
use super::whole_file::WholeFile;
use super::{CoinSetError, CoinSetJob};

/// Adds up what the blocks of whole `segments` create and spend: one pass over blocks and undo records, and some 4 µs for
/// each coin.
pub(super) fn sum_segments(
    job: &CoinSetJob<'_>,
    segments: Range<u32>,
) -> Result<Vec<SegmentSums>, CoinSetError> {
    let interval = job.records.headers().params().interval.max(1);
    let sums = Mutex::new(vec![SegmentSums::default(); segments.len()]);
    let heights = segments.start.saturating_mul(interval)..segments.end.saturating_mul(interval);
    let hand_over = |products: &mut Products| {
        if let Some(at) = products.segment.checked_sub(segments.start)
            && let Some(of_segment) = sums.lock().get_mut(at as usize)
        {
            of_segment.created.combine(&products.sums.created);
            of_segment.spent.combine(&products.sums.spent);
        }
        products.sums = SegmentSums::default();
    };
    job.on_all_threads(
        &heights,
        || (Buffers::default(), Products::default()),
        |(buffers, products), chunk| {
            for height in chunk {
                if products.segment != height / interval {
                    hand_over(products);
                    products.segment = height / interval;
                }
                let placed = job.block(height, &mut buffers.block)?;
                let spent = job.spent(&placed, &mut buffers.undo)?;
                placed.visit(&spent, products);
                job.progress.fetch_add(1, Ordering::Relaxed);
            }
            hand_over(products);
            Ok(())
        },
    )?;
    Ok(sums.into_inner())
}

/// Writes the `sums` companion of the first `segments` segments to `out`, whole or not at all; its length in bytes.
pub fn make_sums(job: &CoinSetJob<'_>, segments: u32, out: &Path) -> Result<u64, CoinSetError> {
    let sums = sum_segments(job, 0..segments)?;
    let mut file = WholeFile::create(out).map_err(CoinSetError::io(out))?;
    write_sums(&mut file, job.records.headers().params().magic, &sums).map_err(CoinSetError::sums(out))?;
    file.finish().map_err(CoinSetError::io(out))
}

/// The segments that come to something else than the `sums` companion in a file says of them: where to look first when
/// the sums of a whole chain differ. Of those that both have.
pub fn differing_segments(job: &CoinSetJob<'_>, path: &Path) -> Result<Vec<u32>, CoinSetError> {
    let params = job.records.headers().params();
    let file = File::open(path).map_err(CoinSetError::io(path))?;
    let said = read_sums(BufReader::new(file), params.magic).map_err(CoinSetError::sums(path))?;
    let whole = (job.records.heights().end / params.interval.max(1)).min(said.len() as u32);
    let own = sum_segments(job, 0..whole)?;
    Ok((0..).zip(own.iter().zip(&said)).filter(|(_, (own, said))| own != said).map(|(at, _)| at).collect())
}

/// The products of one segment, as far as one thread has come.
#[derive(Default)]
struct Products {
    segment: u32,
    sums: SegmentSums,
    scratch: Vec<u8>,
}

impl CoinVisitor for Products {
    fn created(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.sums.created.insert_coin(point, coin, &mut self.scratch);
    }

    fn spent(&mut self, point: OutPoint<'_>, coin: &Coin<'_>) {
        self.sums.spent.insert_coin(point, coin, &mut self.scratch);
    }
}
