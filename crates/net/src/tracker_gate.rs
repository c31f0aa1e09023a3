//! What a tracker's datagram must be before anything else of the process sees it (BEP 15): the answer to a request of
//! ours, from where that was sent, once. Pure: no socket, the clock comes in.

use crate::udp::Datagram;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Requests without an answer.
const REQUESTS: usize = 1_024;
/// Nobody waits for an answer any longer: the longest time of BEP 15 is taken for lost much earlier.
const AGE: Duration = Duration::from_secs(150);
/// Longest datagram taken: what an Ethernet frame carries, with room to spare.
const ANSWER_BYTES: usize = 2_048;
/// Connection id or protocol id (8), action (4), transaction id (4).
const REQUEST_HEAD_BYTES: usize = 16;
/// Connect, announce, scrape, error.
const ACTIONS: u8 = 4;

/// The requests that are on their way.
#[derive(Debug, Default)]
pub(crate) struct TrackerGate {
    requests: HashMap<(SocketAddr, [u8; 4]), Instant>,
    answers: Vec<Datagram>,
}

/// Whether a datagram can be a tracker's: no other protocol on the port begins so.
pub(crate) fn is_answer(payload: &[u8]) -> bool {
    matches!(payload, [0, 0, 0, action, ..] if *action < ACTIONS)
}

impl TrackerGate {
    /// One answer to this request may come from there; false when it is no request, or too many are on their way.
    pub(crate) fn expect(&mut self, to: SocketAddr, request: &[u8], now: Instant) -> bool {
        let transaction = request.get(REQUEST_HEAD_BYTES - 4..REQUEST_HEAD_BYTES);
        let Some(Ok(transaction)) = transaction.map(<[u8; 4]>::try_from) else { return false };
        if self.requests.len() >= REQUESTS {
            self.requests.retain(|_, asked| now.duration_since(*asked) < AGE);
        }
        if self.requests.len() >= REQUESTS {
            return false;
        }
        self.requests.insert((to, transaction), now);
        true
    }

    /// Takes an answer in when it was asked for.
    pub(crate) fn admit(&mut self, from: SocketAddr, payload: &[u8], now: Instant) -> bool {
        let Some(Ok(transaction)) = payload.get(4..8).map(<[u8; 4]>::try_from) else { return false };
        let asked = self.requests.remove(&(from, transaction));
        let is_awaited = asked.is_some_and(|asked| now.duration_since(asked) < AGE);
        if is_awaited && payload.len() <= ANSWER_BYTES {
            // No more than there were requests.
            self.answers.push(Datagram { from, payload: payload.to_vec() });
        }
        is_awaited && payload.len() <= ANSWER_BYTES
    }

    pub(crate) fn drain(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.answers)
    }
}

#[cfg(test)]
mod tests {
    use super::{AGE, REQUESTS, TrackerGate, is_answer};
    use proptest::prelude::*;
    use std::net::SocketAddr;
    use std::time::Instant;

    fn request(transaction: u32) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        bytes.extend(transaction.to_be_bytes());
        bytes
    }

    fn answer(transaction: u32) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 1];
        bytes.extend(transaction.to_be_bytes());
        bytes.extend(b"more");
        bytes
    }

    fn tracker(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 6_969))
    }

    #[test]
    fn an_answer_comes_in_once_from_where_it_was_asked_and_in_time() {
        let now = Instant::now();
        let mut gate = TrackerGate::default();
        assert!(gate.expect(tracker(1), &request(7), now));
        assert!(!gate.admit(tracker(2), &answer(7), now), "from elsewhere");
        assert!(!gate.admit(tracker(1), &answer(8), now), "to no request");
        assert!(gate.admit(tracker(1), &answer(7), now));
        assert!(!gate.admit(tracker(1), &answer(7), now), "again");
        assert!(gate.expect(tracker(1), &request(9), now));
        assert!(!gate.admit(tracker(1), &answer(9), now + AGE), "late");
        assert_eq!(gate.drain().len(), 1);
        assert!(!gate.expect(tracker(1), b"no request", now));
    }

    #[test]
    fn so_many_requests_are_on_their_way_and_no_more() {
        let now = Instant::now();
        let mut gate = TrackerGate::default();
        for transaction in 0..REQUESTS as u32 {
            assert!(gate.expect(tracker(1), &request(transaction), now));
        }
        assert!(!gate.expect(tracker(1), &request(u32::MAX), now));
        assert!(gate.expect(tracker(1), &request(u32::MAX), now + AGE), "the old ones are forgotten");
    }

    #[test]
    fn other_protocols_do_not_begin_so() {
        assert!(is_answer(&answer(1)));
        for other in [&b"d1:ad2:id"[..], b"\x01\0\0\0", b"\x21\0\0\0", b"\0\0\0\x04", b"\0\0\0", b""] {
            assert!(!is_answer(other));
        }
    }

    proptest! {
        #[test]
        fn nothing_comes_in_unasked(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut gate = TrackerGate::default();
            prop_assert!(!gate.admit(tracker(1), &payload, Instant::now()));
            prop_assert!(gate.drain().is_empty());
        }
    }
}
