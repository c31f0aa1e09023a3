//! Which readers of a torrent go forward, and what to ask the disk for before they do.
//!
//! The kernel keeps one read-ahead state for each open file, and a torrent's files are open once for all peers: with
//! many readers it sees random reads. Here each reader has a state of its own, told apart by where they read.

use std::ops::Range;

/// The first window of a reader: what a batch of requests takes.
const FIRST_BYTES: u64 = 256 * 1024;
/// The largest: enough for a disk to seek seldom.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Readers of one torrent, told apart by position; a bounded number of them. Only reads that had to wait for the
/// disk are looked at, so what is in memory is served as if this were not here.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    piece_length: u64,
    most_streams: usize,
    streams: Vec<Stream>,
    /// Counts calls.
    clock: u64,
}

/// A reader that goes forward.
#[derive(Debug)]
struct Stream {
    /// Where the piece ends in which it began.
    piece_end: u64,
    /// The end of its latest read that waited.
    read_end: u64,
    /// The end of what the disk was asked for.
    asked_end: u64,
    window: u64,
    used: u64,
}

impl ReadAhead {
    /// For a torrent cut in pieces of so many bytes; more readers than `most_streams` push out the one quiet for longest.
    pub(crate) fn new(piece_length: u32, most_streams: usize) -> Self {
        let piece_length = u64::from(piece_length);
        Self { piece_length, most_streams: most_streams.max(1), streams: Vec::new(), clock: 0 }
    }

    /// A read of `range` has to wait: what to ask the disk for behind it. `None` for a reader that is not seen to go
    /// forward, or has asked for enough. May be beyond the torrent's end.
    pub(crate) fn waited(&mut self, range: &Range<u64>) -> Option<Range<u64>> {
        self.clock += 1;
        // Reads since its last wait were in memory and not seen. The kernel reads ahead as well, now and then.
        let goes_on =
            |stream: &&mut Stream| (stream.read_end..=stream.asked_end + MOST_BYTES).contains(&range.start);
        let Some(stream) = self.streams.iter_mut().filter(goes_on).max_by_key(|stream| stream.read_end)
        else {
            self.begin(range);
            return None;
        };
        stream.used = self.clock;
        stream.read_end = range.end;
        // The disk is at it: ask for more when half of it is read.
        if stream.asked_end.saturating_sub(range.end) > stream.window / 2 {
            return None;
        }
        stream.window = (stream.window * 2).clamp(FIRST_BYTES, MOST_BYTES);
        let from = stream.asked_end.max(range.end);
        let to = from.saturating_add(stream.window);
        // Most peers take pieces in no order: what lies behind a piece is for one that has gone into the next.
        let to = if range.start < stream.piece_end { to.min(stream.piece_end) } else { to };
        stream.asked_end = to.max(from);
        (from < to).then_some(from..to)
    }

    fn begin(&mut self, range: &Range<u64>) {
        if self.streams.len() >= self.most_streams {
            let oldest = self.streams.iter().enumerate().min_by_key(|(_, stream)| stream.used);
            if let Some((oldest, _)) = oldest {
                self.streams.swap_remove(oldest);
            }
        }
        let piece_end = (range.start / self.piece_length + 1).saturating_mul(self.piece_length);
        self.streams.push(Stream {
            piece_end,
            read_end: range.end,
            asked_end: range.end,
            window: 0,
            used: self.clock,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECE: u32 = 4 << 20;
    const BATCH: u64 = 128 * 1024;

    /// A reader of batches end to end, and what of it was read ahead.
    struct Reader {
        at: u64,
        ahead: Vec<Range<u64>>,
        waits: usize,
    }

    impl Reader {
        fn new(at: u64) -> Self {
            Self { at, ahead: Vec::new(), waits: 0 }
        }

        fn read(&mut self, ahead: &mut ReadAhead) {
            let range = self.at..self.at + BATCH;
            self.at = range.end;
            if !self.ahead.iter().any(|had| had.start <= range.start && range.end <= had.end) {
                self.waits += 1;
                self.ahead.extend(ahead.waited(&range));
            }
        }
    }

    #[test]
    fn a_reader_that_goes_forward_is_given_windows_that_grow_and_stop_at_its_first_pieces_end() {
        let mut ahead = ReadAhead::new(PIECE, 4);
        let mut reader = Reader::new(0);
        (0..100).for_each(|_| reader.read(&mut ahead));
        let kib = |range: &Range<u64>| (range.start / 1024, range.end / 1024);
        let asked: Vec<_> = reader.ahead.iter().map(kib).collect();
        assert_eq!(
            asked,
            [
                (256, 512),
                (640, 1152),
                (1280, 2304),
                (2432, 4096),
                (4224, 8320),
                (8448, 12544),
                (12672, 16768)
            ]
        );
    }

    #[test]
    fn while_the_disk_is_at_it_no_more_is_asked_for_than_two_windows() {
        let mut ahead = ReadAhead::new(PIECE, 4);
        let asked: Vec<_> = (0..1000).filter_map(|n| ahead.waited(&(n * BATCH..(n + 1) * BATCH))).collect();
        let end = asked.iter().fold(2 * BATCH, |end, range| {
            assert!(
                (end..=end + BATCH).contains(&range.start),
                "nothing twice, and only what is read is left out"
            );
            range.end
        });
        assert!((1000 * BATCH..1000 * BATCH + 2 * MOST_BYTES).contains(&end));
    }

    #[test]
    fn pieces_taken_in_no_order_never_ask_beyond_themselves() {
        let mut ahead = ReadAhead::new(PIECE, 64);
        for piece in [9, 3, 40, 22, 31, 0, 17] {
            let start = piece * u64::from(PIECE);
            let mut reader = Reader::new(start);
            (0..u64::from(PIECE) / BATCH).for_each(|_| reader.read(&mut ahead));
            assert!(reader.waits <= 5);
            assert!(reader.ahead.iter().all(|range| range.end <= start + u64::from(PIECE)));
        }
    }

    #[test]
    fn many_readers_of_one_torrent_are_told_apart() {
        let mut ahead = ReadAhead::new(PIECE, 64);
        let mut readers: Vec<Reader> = (0..60).map(|n| Reader::new(n * (200 << 20))).collect();
        for _ in 0..512 {
            for reader in &mut readers {
                reader.read(&mut ahead);
            }
        }
        assert!(readers.iter().all(|reader| reader.waits < 25), "64 MiB each, in windows of up to 4 MiB");
    }

    proptest! {
        #[test]
        fn any_reads_are_answered_in_bounds(
            most in 0..6usize,
            reads in proptest::collection::vec((0..1u64 << 53, 1..1u64 << 20, 0..8u64), 1..60),
        ) {
            let mut ahead = ReadAhead::new(PIECE, most);
            for (start, length, more) in reads {
                for n in 0..more {
                    let read = start + n * length..start + (n + 1) * length;
                    if let Some(range) = ahead.waited(&read) {
                        prop_assert!(range.start >= read.end && range.start <= read.end + 2 * MOST_BYTES);
                        prop_assert!(range.start < range.end && range.end - range.start <= MOST_BYTES);
                    }
                    prop_assert!(ahead.streams.len() <= most.max(1));
                }
            }
        }
    }
}
