//! Addresses that are not met, in either direction: ranges as TypeScript read them from lists, looked up by halving.

use parking_lot::RwLock;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Ranges, both ends included, sorted and apart from each other.
type Ranges<T> = Vec<(T, T)>;

/// Ranges of both families, in any order.
#[derive(Debug, Default)]
pub struct AddressRanges {
    /// First and last.
    pub v4: Vec<(u32, u32)>,
    /// Likewise.
    pub v6: Vec<(u128, u128)>,
}

impl AddressRanges {
    fn in_order(self) -> Self {
        Self { v4: merged(self.v4), v6: merged(self.v6) }
    }

    fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => contains(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => contains(&self.v6, ip.to_bits()),
        }
    }
}

/// The ranges of both families, and how often they mattered.
#[derive(Debug, Default)]
pub struct AddressFilter {
    /// What is not met, and what of it is met all the same.
    ranges: RwLock<(AddressRanges, AddressRanges)>,
    /// Nobody who has no lists waits for a lock.
    is_empty: AtomicBool,
    /// Connections and requests that were not begun.
    pub dialled: AtomicU64,
    /// Connections from outside that were dropped.
    pub incoming: AtomicU64,
    /// Links that were open when their address came onto a list.
    pub ended: AtomicU64,
    /// Datagrams that were neither sent nor read.
    pub datagrams: AtomicU64,
}

impl AddressFilter {
    pub(crate) fn new() -> Self {
        Self { is_empty: AtomicBool::new(true), ..Self::default() }
    }

    /// From now on these, in place of others; they are put in order.
    pub fn set(&self, blocked: AddressRanges, allowed: AddressRanges) {
        let is_empty = blocked.v4.is_empty() && blocked.v6.is_empty();
        let ranges = (blocked.in_order(), allowed.in_order());
        *self.ranges.write() = ranges;
        self.is_empty.store(is_empty, Ordering::Release);
    }

    /// Whether nobody there is met; counted when so.
    pub fn blocks(&self, address: IpAddr, counter: &AtomicU64) -> bool {
        if self.is_empty.load(Ordering::Acquire) {
            return false;
        }
        let address = address.to_canonical();
        let (blocked, allowed) = &*self.ranges.read();
        let blocked = blocked.has(address) && !allowed.has(address);
        if blocked {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        blocked
    }
}

fn contains<T: PartialOrd + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= value);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| value <= *last)
}

fn merged<T: Ord + Copy>(mut ranges: Ranges<T>) -> Ranges<T> {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let overlaps = next.0 <= before.1;
        if overlaps {
            before.1 = before.1.max(next.1);
        }
        overlaps
    });
    ranges.shrink_to_fit();
    ranges
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{AddressFilter, AddressRanges};
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::Ordering;

    #[test]
    fn both_families_and_mapped_addresses_are_looked_up_and_counted() {
        let filter = AddressFilter::new();
        let blocks = |text: &str| filter.blocks(text.parse().unwrap(), &filter.incoming);
        assert!(!blocks("192.0.2.1"));
        let v6: std::net::Ipv6Addr = "2001:db8::".parse().unwrap();
        let v6 = vec![(v6.to_bits(), v6.to_bits() + 0xff)];
        filter.set(AddressRanges { v4: vec![(0xc000_0200, 0xc000_02ff)], v6 }, AddressRanges::default());
        assert!(blocks("192.0.2.0") && blocks("192.0.2.255") && blocks("::ffff:192.0.2.7"));
        assert!(!blocks("192.0.1.255") && !blocks("192.0.3.0") && !blocks("::1"));
        assert!(blocks("2001:db8::ff") && !blocks("2001:db8::100"));
        assert_eq!(filter.incoming.load(Ordering::Relaxed), 4);
        filter.set(AddressRanges::default(), AddressRanges::default());
        assert!(!blocks("192.0.2.0"));
    }

    proptest! {
        #[test]
        fn agrees_with_looking_at_every_range(
            blocked in prop::collection::vec((0_u32..64, 0_u32..64), 0..12),
            allowed in prop::collection::vec((0_u32..64, 0_u32..64), 0..6),
            address in 0_u32..64,
        ) {
            let filter = AddressFilter::new();
            let ranges = |v4: &Vec<(u32, u32)>| AddressRanges { v4: v4.clone(), v6: Vec::new() };
            filter.set(ranges(&blocked), ranges(&allowed));
            let ip = IpAddr::V4(Ipv4Addr::from_bits(address));
            let has = |ranges: &[(u32, u32)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
            prop_assert_eq!(filter.blocks(ip, &filter.dialled), has(&blocked) && !has(&allowed));
        }
    }
}
