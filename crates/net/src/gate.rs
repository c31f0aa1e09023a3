//! What a datagram of the DHT must be before anything else of the process sees it.
//!
//! Two ways in. An answer passes when its sender was just asked, once for each question, whatever the rates: so a flood
//! does not silence whom we asked. Anything else passes only as often as its address, its neighbourhood and the whole
//! process may receive; who goes on when refused is banned for a while. Both only as one canonical bencoded dictionary
//! (BEP 3, BEP 5) within small limits. Pure: no socket, the clock comes in.

use crate::bucket::TokenBucket;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Containers inside containers. A DHT message has 3; libtorrent stops at 10 too.
const DEPTH: usize = 10;
/// Integers, strings and containers in one datagram. libtorrent's limit.
const TOKENS: usize = 500;
/// No DHT message is longer: an Ethernet frame less the headers, with room for jumbo-minded peers.
const DATAGRAM_BYTES: usize = 2_048;
/// `y` is the last key of a message, so its kind is seen at its end: query, reply, error.
const QUERY_END: &[u8] = b"1:y1:qe";
const ANSWER_ENDS: [&[u8]; 2] = [b"1:y1:re", b"1:y1:ee"];
/// Nobody waits for an answer any longer.
const ANSWER_AGE: Duration = Duration::from_secs(15);
/// Questions to one address that may be unanswered.
const QUESTIONS: u32 = 64;

/// Rates in datagrams. The defaults are wide for one honest node and narrow for a flood.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// Burst and refill a second of one address.
    pub address: (u32, u32),
    /// Burst and refill a second of one /24 (IPv4) or /64 (IPv6).
    pub prefix: (u32, u32),
    /// Burst and refill a second of everybody together.
    pub global: (u32, u32),
    /// Addresses, and prefixes, remembered: at most twice as many are held.
    pub table: usize,
    /// An address or prefix that was refused so often more than it passed is refused outright, for so long.
    pub ban: Option<(u32, Duration)>,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            address: (100, 20),
            prefix: (200, 50),
            global: (2_000, 1_000),
            table: 4_096,
            ban: Some((200, Duration::from_secs(300))),
        }
    }
}

impl GateLimits {
    /// For connections begun over uTP: each may cost a task, memory, and answers to an address that may be forged.
    pub fn connections() -> Self {
        Self { address: (16, 2), prefix: (64, 8), global: (512, 256), table: 4_096, ban: None }
    }
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it on.
    Pass,
    /// Not one strict bencoded dictionary within the limits, or an answer that nobody asked for.
    Malformed,
    /// Well-formed, but too many of them.
    TooMany,
}

/// The gate. Shape is looked at (linear in at most 2 KiB) before rates, so that rubbish uses up nobody's tokens.
#[derive(Debug)]
pub struct DatagramGate {
    rates: RateGate,
    /// How many answers may come from where, and until when.
    asked: Generations<SocketAddr, (u32, Duration)>,
}

impl DatagramGate {
    /// An open gate. `now` is the time since any fixed start, as in [`DatagramGate::admit`].
    pub fn new(limits: GateLimits, now: Duration) -> Self {
        Self { rates: RateGate::new(limits, now), asked: Generations::new(limits.table) }
    }

    /// Notes what is sent: a question lets in an answer.
    pub fn sent(&mut self, to: SocketAddr, payload: &[u8], now: Duration) {
        if payload.ends_with(QUERY_END) {
            let (answers, until) = self.asked.entry(to, || (0, now));
            *answers = if *until < now { 1 } else { (*answers + 1).min(QUESTIONS) };
            *until = now + ANSWER_AGE;
        }
    }

    /// Judges one datagram.
    pub fn admit(&mut self, from: SocketAddr, payload: &[u8], now: Duration) -> Verdict {
        if ANSWER_ENDS.iter().any(|end| payload.ends_with(end)) {
            let Some((answers, until)) = self.asked.get(&from) else { return Verdict::Malformed };
            if *answers == 0 || *until < now || !is_strict_dictionary(payload) {
                return Verdict::Malformed;
            }
            *answers -= 1;
            return Verdict::Pass;
        }
        if self.rates.is_banned(from.ip(), now) {
            return Verdict::TooMany;
        }
        if !is_strict_dictionary(payload) {
            return Verdict::Malformed;
        }
        if self.rates.take(from.ip(), now) { Verdict::Pass } else { Verdict::TooMany }
    }
}

/// How often one address, its neighbourhood and everybody may do something.
#[derive(Debug)]
pub(crate) struct RateGate {
    limits: GateLimits,
    addresses: Generations<IpAddr, Rate>,
    prefixes: Generations<IpAddr, Rate>,
    global: TokenBucket,
}

impl RateGate {
    pub(crate) fn new(limits: GateLimits, now: Duration) -> Self {
        Self {
            limits,
            addresses: Generations::new(limits.table),
            prefixes: Generations::new(limits.table),
            global: TokenBucket::new(limits.global.0, limits.global.1, now),
        }
    }

    pub(crate) fn take(&mut self, from: IpAddr, now: Duration) -> bool {
        let address = from.to_canonical();
        let GateLimits { address: of_address, prefix: of_prefix, ban, .. } = self.limits;
        // The programs of this machine share an address, and nobody else can forge it.
        let ban = ban.filter(|_| !address.is_loopback());
        self.addresses.entry(address, || Rate::new(of_address, now)).take(ban, now)
            && self.prefixes.entry(prefix(address), || Rate::new(of_prefix, now)).take(ban, now)
            && self.global.take(1, now)
    }

    fn is_banned(&mut self, from: IpAddr, now: Duration) -> bool {
        let address = from.to_canonical();
        self.addresses.get(&address).is_some_and(|rate| now < rate.banned_until)
            || self.prefixes.get(&prefix(address)).is_some_and(|rate| now < rate.banned_until)
    }
}

/// The rate of one address or prefix, and how it keeps to it.
#[derive(Debug)]
struct Rate {
    bucket: TokenBucket,
    /// Refused, less passed.
    refused: u32,
    banned_until: Duration,
}

impl Rate {
    fn new((burst, per_second): (u32, u32), now: Duration) -> Self {
        Self { bucket: TokenBucket::new(burst, per_second, now), refused: 0, banned_until: Duration::ZERO }
    }

    fn take(&mut self, ban: Option<(u32, Duration)>, now: Duration) -> bool {
        if now < self.banned_until {
            return false;
        }
        if self.bucket.take(1, now) {
            self.refused = self.refused.saturating_sub(1);
            return true;
        }
        self.refused += 1;
        if let Some((most, time)) = ban
            && self.refused > most
        {
            self.refused = 0;
            self.banned_until = now + time;
        }
        false
    }
}

fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// What is known of each key, in two generations: a full young one becomes the old one, the old one is forgotten.
/// Constant work and bounded memory; who is forgotten starts anew, and the global bucket bounds that.
#[derive(Debug)]
struct Generations<K, V> {
    capacity: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Copy, V> Generations<K, V> {
    fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), young: HashMap::new(), old: HashMap::new() }
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    fn entry(&mut self, key: K, first: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.capacity {
            let value = self.old.remove(&key);
            self.old = std::mem::take(&mut self.young);
            return self.young.entry(key).or_insert_with(|| value.unwrap_or_else(first));
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(first))
    }
}

/// Whether `bytes` are exactly one bencoded dictionary: canonical integers and lengths, keys sorted and unique,
/// nothing behind it, at most 10 deep and 500 tokens, no key `__proto__`.
pub fn is_strict_dictionary(bytes: &[u8]) -> bool {
    bytes.len() <= DATAGRAM_BYTES && bytes.first() == Some(&b'd') && scan(bytes).is_some()
}

/// One open container: a list, or a dictionary with its last key and whether a value must follow.
#[derive(Clone, Copy)]
enum Open<'a> {
    List,
    Dictionary { last_key: Option<&'a [u8]>, value_due: bool },
}

fn scan(bytes: &[u8]) -> Option<()> {
    let mut open = [Open::List; DEPTH];
    let (mut depth, mut tokens, mut rest) = (0usize, 0usize, bytes);
    loop {
        let (&first, after) = rest.split_first()?;
        if first == b'e' {
            // Closes a container; a dictionary may not end between key and value.
            depth = depth.checked_sub(1)?;
            if matches!(open.get(depth)?, Open::Dictionary { value_due: true, .. }) {
                return None;
            }
            rest = after;
            if depth == 0 {
                return rest.is_empty().then_some(());
            }
            continue;
        }
        tokens += 1;
        if tokens > TOKENS {
            return None;
        }
        let mut key_due = false;
        if let Some(last) = depth.checked_sub(1)
            && let Open::Dictionary { value_due, .. } = open.get_mut(last)?
        {
            key_due = !*value_due;
            *value_due = !*value_due;
        }
        match first {
            b'd' | b'l' if !key_due => {
                let opened = if first == b'l' {
                    Open::List
                } else {
                    Open::Dictionary { last_key: None, value_due: false }
                };
                *open.get_mut(depth)? = opened;
                depth += 1;
                rest = after;
            }
            b'i' if !key_due => rest = integer(after)?,
            b'0'..=b'9' => {
                let (text, after) = string(rest)?;
                if key_due && let Open::Dictionary { last_key, .. } = open.get_mut(depth.checked_sub(1)?)? {
                    if text == b"__proto__" || last_key.is_some_and(|last| last >= text) {
                        return None;
                    }
                    *last_key = Some(text);
                }
                rest = after;
            }
            _ => return None,
        }
    }
}

/// The part behind `i`: digits and `e`, no leading zero, no `-0`, within ±2^53 so that JavaScript reads the same number.
fn integer(bytes: &[u8]) -> Option<&[u8]> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let negative = digits.len() < bytes.len();
    let (value, rest) = canonical_number(digits)?;
    let rest = rest.strip_prefix(b"e")?;
    (!(negative && value == 0)).then_some(rest)
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = canonical_number(bytes)?;
    rest.strip_prefix(b":")?.split_at_checked(usize::try_from(length).ok()?)
}

fn canonical_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at_checked(count)?;
    if digits.is_empty() || digits.len() > 16 || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    let value = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (value <= 1 << 53).then_some((value, rest))
}

#[cfg(test)]
#[path = "gate_test.rs"]
mod tests;
