//! What each segment of a chain creates and spends, as products: the `sums` companion, and which segments it contradicts.

use std::ops::Range;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::coins::{Coin, OutPoint};
use crate::sums::{MuHash, SegmentSums};
use crate::validate::CoinVisitor;

use super::walk::Buffers;
use super::{CoinSetError, CoinSetJob};

/// Adds up what the blocks of whole `segments` create and spend: one pass over blocks and undo records, and some 4 µs for
/// each coin.
pub fn sum_segments(job: &CoinSetJob<'_>, segments: Range<u32>) -> Result<Vec<SegmentSums>, CoinSetError> {
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

/// The segments that come to something else than a `sums` companion says of them: where to look first when the sums of a
/// whole chain differ. Of those that both have.
pub fn differing_segments(job: &CoinSetJob<'_>, sums: &[SegmentSums]) -> Result<Vec<u32>, CoinSetError> {
    let interval = job.records.headers().params().interval.max(1);
    let whole = (job.records.heights().end / interval).min(sums.len() as u32);
    let own = sum_segments(job, 0..whole)?;
    Ok((0..).zip(own.iter().zip(sums)).filter(|(_, (own, said))| own != said).map(|(at, _)| at).collect())
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

/// What all segments leave: those created less those spent.
pub fn left_of(sums: &[SegmentSums]) -> MuHash {
    let (mut left, mut spent) = (MuHash::default(), MuHash::default());
    for segment in sums {
        left.combine(&segment.created);
        spent.combine(&segment.spent);
    }
    left.remove(&spent);
    left
}
