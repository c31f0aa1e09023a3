//! Which addresses a URL may lead to. A torrent, or a server that redirects, must not make us ask our own machine or
//! network for things (SSRF). Addresses are looked at after a name was resolved, and those are the ones dialled: a name
//! that answers differently the second time gains nothing.

use crate::endpoint::Endpoint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// No host: unspecified, multicast, reserved.
    Nowhere,
    /// This machine.
    Loopback,
    /// This wire; where clouds keep their secrets.
    LinkLocal,
    /// This network.
    Private,
    /// Anywhere else.
    Global,
}

impl Place {
    /// Where the address is; one that carries an IPv4 address is where that is.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    /// Where a connection leads. Behind a name that the proxy resolves is the proxy's world, not ours: there is no address
    /// to look at, and what is local to us is not reached by it, unless the proxy is on this machine and is told to.
    pub(crate) fn at(to: &Endpoint) -> Self {
        to.ip().map_or(Self::Global, Self::of)
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [0 | 224..=255, ..] => Self::Nowhere,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            // RFC 1918, 6598 (carriers), 6890 (assignments), 2544 (benchmarks).
            [10, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0, _]
            | [198, 18..=19, ..] => Self::Private,
            _ => Self::Global,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let within = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0, 0, 0, 0, 0, 0, ..] | [0xff00..=0xffff, ..] => Self::Nowhere,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            // NAT64 (RFC 6052) and 6to4.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => within(high, low),
            _ => Self::Global,
        }
    }

    /// This machine or its network.
    pub fn is_local(self) -> bool {
        self != Self::Global
    }
}

/// What a URL may lead to, beyond the rest of the world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// The user named the URL; else a torrent did.
    pub asked: bool,
    /// We listen on loopback ourselves, so others there are our peers.
    pub loopback: bool,
    /// A tracker is asked, which takes a query.
    pub tracker: bool,
    /// Only addresses of this family.
    pub family: Option<Family>,
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Reach {
    /// Whether it is of the family that is wanted. What is behind a name that the proxy resolves nobody knows here: it is
    /// asked once, as if it were IPv4.
    pub(crate) fn takes(self, to: &Endpoint) -> bool {
        let is_v4 = to.ip().is_none_or(|ip| ip.to_canonical().is_ipv4());
        self.family.is_none_or(|family| is_v4 == (family == Family::V4))
    }

    /// Whether a request for `target`, path and query, may go to this place. Nothing local is asked with a query: that
    /// is how a stranger would make one of our own services do something. Trackers take one, and the path says that
    /// they are trackers, as in libtorrent's `ssrf_mitigation`. A redirect leads out into the world or stays where it
    /// is, also when the user named where it began: the server chose where it ends.
    pub fn admits(self, place: Place, target: &str, from: Option<Place>) -> bool {
        if place.is_local() && from.is_some_and(|from| from != place) {
            return false;
        }
        if place.is_local() && target.contains('?') && !self.may_query(target, from) {
            return false;
        }
        match place {
            Place::Nowhere => false,
            Place::Loopback => self.asked || self.loopback,
            Place::LinkLocal => self.asked,
            Place::Private | Place::Global => true,
        }
    }

    fn may_query(self, target: &str, from: Option<Place>) -> bool {
        let is_named = self.asked && from.is_none();
        self.tracker && (is_named || ["/announce", "/scrape"].iter().any(|path| target.starts_with(path)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{Family, Place, Reach};
    use crate::endpoint::Endpoint;

    const LEARNT: Reach = Reach { asked: false, loopback: false, tracker: false, family: None };
    const ASKED: Reach = Reach { asked: true, ..LEARNT };

    #[test]
    fn tells_places_apart_whatever_their_spelling() {
        for (text, place) in [
            ("127.1.2.3", Place::Loopback),
            ("::1", Place::Loopback),
            ("::ffff:127.0.0.1", Place::Loopback),
            ("64:ff9b::7f00:1", Place::Loopback),
            ("2002:7f00:1::", Place::Loopback),
            ("169.254.169.254", Place::LinkLocal),
            ("fe80::1", Place::LinkLocal),
            ("10.0.0.1", Place::Private),
            ("172.16.0.1", Place::Private),
            ("192.168.1.1", Place::Private),
            ("100.64.0.1", Place::Private),
            ("fd00::1", Place::Private),
            ("64:ff9b::a00:1", Place::Private),
            ("0.0.0.0", Place::Nowhere),
            ("255.255.255.255", Place::Nowhere),
            ("224.0.0.1", Place::Nowhere),
            ("::", Place::Nowhere),
            ("ff02::1", Place::Nowhere),
            ("::127.0.0.1", Place::Nowhere),
            ("172.32.0.1", Place::Global),
            ("1.1.1.1", Place::Global),
            ("2606:4700::1111", Place::Global),
        ] {
            assert_eq!(Place::of(text.parse().unwrap()), place, "{text}");
        }
    }

    #[test]
    fn strangers_do_not_lead_us_home() {
        assert!(LEARNT.admits(Place::Global, "/f?x", None) && LEARNT.admits(Place::Private, "/f", None));
        assert!(!LEARNT.admits(Place::Loopback, "/f", None) && !LEARNT.admits(Place::LinkLocal, "/f", None));
        assert!(Reach { loopback: true, ..LEARNT }.admits(Place::Loopback, "/f", None));
        assert!(ASKED.admits(Place::Loopback, "/f", None) && ASKED.admits(Place::LinkLocal, "/f", None));
        for place in [Place::Loopback, Place::LinkLocal, Place::Private] {
            assert!(!ASKED.admits(place, "/f?x", None), "no query");
            assert!(!ASKED.admits(place, "/f", Some(Place::Global)), "no redirect from outside");
            assert!(ASKED.admits(place, "/f", Some(place)) && ASKED.admits(Place::Global, "/f", Some(place)));
        }
        assert!(!ASKED.admits(Place::LinkLocal, "/f", Some(Place::Loopback)));
        assert!(!ASKED.admits(Place::Loopback, "/f", Some(Place::Private)));
        assert!(!ASKED.admits(Place::Nowhere, "/f", None));
    }

    #[test]
    fn local_trackers_are_asked_at_the_path_of_trackers_or_where_the_user_says() {
        let learnt = Reach { tracker: true, loopback: true, ..LEARNT };
        let asked = Reach { tracker: true, ..ASKED };
        for place in [Place::Loopback, Place::Private] {
            assert!(learnt.admits(place, "/announce?info_hash=x", None));
            assert!(learnt.admits(place, "/scrape?info_hash=x", None));
            assert!(!learnt.admits(place, "/admin?info_hash=x", None));
            assert!(asked.admits(place, "/t.php?info_hash=x", None));
            assert!(
                !asked.admits(place, "/t.php?info_hash=x", Some(place)),
                "a redirect is the server's word"
            );
            assert!(!asked.admits(place, "/announce?info_hash=x", Some(Place::Global)));
        }
        assert!(!Reach { loopback: false, ..learnt }.admits(Place::Loopback, "/announce?x", None));
        assert!(learnt.admits(Place::Global, "/anything?x", None));
    }

    #[test]
    fn only_the_family_that_is_wanted_is_dialled() {
        let takes = |family, text| Reach { family, ..LEARNT }.takes(&Endpoint::parse(text, 80).unwrap());
        assert!(takes(None, "::1") && takes(None, "1.1.1.1"));
        assert!(takes(Some(Family::V4), "::ffff:1.1.1.1") && !takes(Some(Family::V4), "2606::1"));
        assert!(takes(Some(Family::V6), "2606::1") && !takes(Some(Family::V6), "1.1.1.1"));
    }
}
