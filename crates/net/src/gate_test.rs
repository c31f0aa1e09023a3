//! The gate against vectors, every short string, and a second decoder written the plain recursive way.

use super::{DatagramGate, GateLimits, Verdict, is_strict_dictionary};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

fn at(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 6_881)
}

#[test]
fn passes_the_messages_of_bep_5() {
    for text in [
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
        "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
        "d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
        "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
        "de",
        "d1:ai-9007199254740992ee",
    ] {
        assert!(is_strict_dictionary(text.as_bytes()), "{text}");
    }
}

#[test]
fn stops_what_loops_rounds_or_pollutes() {
    for text in [
        "",
        "d",
        "e",
        "l-3:e",
        "dl-3:e",
        "d1:al-3:ee",
        "d1:a-3:e",
        "le",
        "i0e",
        "0:",
        "d1:aie",
        "d1:ai-0ee",
        "d1:ai03ee",
        "d1:ai1.5ee",
        "d1:ai9007199254740993ee",
        "d1:ai99999999999999999999ee",
        "d01:a0:e",
        "d1:a01:be",
        "d1:ae",
        "d1:a1:be1:c",
        "d1:a1:bee",
        "d1:b0:1:a0:e",
        "d1:a0:1:a0:e",
        "d9:__proto__dee",
        "d1:ad9:__proto__i1eee",
        "di1e1:ae",
        "dle1:ae",
        "d1:a9999999999999999:e",
        "d1:a5:bcde",
        " de",
        "de\n",
    ] {
        assert!(!is_strict_dictionary(text.as_bytes()), "{text}");
    }
    for prefix in ["", "d1:a", "d", "d1:ad1:b"] {
        for n in 1..=9 {
            for tail in ["e", "ee", "eee", ""] {
                assert!(!is_strict_dictionary(format!("{prefix}l-{n}:{tail}").as_bytes()));
            }
        }
    }
}

#[test]
fn stops_depth_tokens_and_length_over_the_limits() {
    let nested = |depth: usize| format!("d1:a{}{}e", "l".repeat(depth), "e".repeat(depth));
    assert!(is_strict_dictionary(nested(9).as_bytes()));
    assert!(!is_strict_dictionary(nested(10).as_bytes()));
    let wide = |count: usize| format!("d1:al{}ee", "0:".repeat(count));
    assert!(is_strict_dictionary(wide(497).as_bytes()));
    assert!(!is_strict_dictionary(wide(498).as_bytes()));
    let long = |bytes: usize| format!("d1:a{bytes}:{}e", "x".repeat(bytes));
    assert!(is_strict_dictionary(long(2_048 - 10).as_bytes()));
    assert!(!is_strict_dictionary(long(2_048 - 9).as_bytes()));
}

#[derive(Debug, Clone)]
enum Value {
    Integer(i64),
    Text(Vec<u8>),
    List(Vec<Value>),
    Dictionary(BTreeMap<Vec<u8>, Value>),
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    let text = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend(format!("{}:", bytes.len()).bytes());
        out.extend(bytes);
    };
    match value {
        Value::Integer(n) => out.extend(format!("i{n}e").bytes()),
        Value::Text(bytes) => text(bytes, out),
        Value::List(items) => {
            out.push(b'l');
            for item in items {
                encode(item, out);
            }
            out.push(b'e');
        }
        Value::Dictionary(entries) => {
            out.push(b'd');
            for (key, item) in entries {
                text(key, out);
                encode(item, out);
            }
            out.push(b'e');
        }
    }
}

/// The same language, decoded by recursion and checked by encoding again: canonical means it comes back the same.
fn decode(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let (first, after) = bytes.split_first()?;
    match first {
        b'i' => {
            let end = after.iter().position(|byte| *byte == b'e')?;
            let number = std::str::from_utf8(&after[..end]).ok()?.parse().ok()?;
            Some((Value::Integer(number), &after[end + 1..]))
        }
        b'l' | b'd' => {
            let (mut items, mut rest) = (Vec::new(), after);
            while *rest.first()? != b'e' {
                let (item, next) = decode(rest)?;
                items.push(item);
                rest = next;
            }
            let rest = &rest[1..];
            if *first == b'l' {
                return Some((Value::List(items), rest));
            }
            let mut entries = BTreeMap::new();
            for pair in items.chunks(2) {
                let [Value::Text(key), value] = pair else { return None };
                entries.insert(key.clone(), value.clone());
            }
            Some((Value::Dictionary(entries), rest))
        }
        b'0'..=b'9' => {
            let colon = bytes.iter().position(|byte| *byte == b':')?;
            let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
            let rest = &bytes[colon + 1..];
            (rest.len() >= length).then(|| (Value::Text(rest[..length].to_vec()), &rest[length..]))
        }
        _ => None,
    }
}

fn accepted_by_the_plain_decoder(bytes: &[u8]) -> bool {
    let Some((value @ Value::Dictionary(_), [])) = decode(bytes) else { return false };
    let mut again = Vec::new();
    encode(&value, &mut again);
    again == bytes
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-(1i64 << 53)..=1 << 53).prop_map(Value::Integer),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::Text)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 0..4), inner, 0..5)
                .prop_map(Value::Dictionary)
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn passes_every_canonical_dictionary(entries in proptest::collection::btree_map(
        proptest::collection::vec(any::<u8>(), 0..4), any_value(), 0..5)
    ) {
        let mut bytes = Vec::new();
        encode(&Value::Dictionary(entries), &mut bytes);
        prop_assume!(bytes.len() <= 2_048);
        prop_assert!(is_strict_dictionary(&bytes));
    }

    #[test]
    fn agrees_with_the_plain_decoder_on_bencode_like_bytes(text in "[dlie0-3:a-]{0,12}") {
        // Depth, tokens and `__proto__` cannot be reached in twelve bytes, so the two must agree.
        prop_assert_eq!(is_strict_dictionary(text.as_bytes()), accepted_by_the_plain_decoder(text.as_bytes()));
    }

    #[test]
    fn never_passes_a_dictionary_with_one_byte_changed_into_something_uncanonical(
        entries in proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 0..4), any_value(), 0..4),
        at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = Vec::new();
        encode(&Value::Dictionary(entries), &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if is_strict_dictionary(&bytes) {
            prop_assert!(accepted_by_the_plain_decoder(&bytes));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = is_strict_dictionary(&bytes);
    }

    #[test]
    fn rates_and_table_stay_within_their_limits(
        steps in proptest::collection::vec((0u8..4, 0u8..6, 0u64..200), 1..400)
    ) {
        let limits = GateLimits { address: (3, 2), prefix: (5, 4), global: (8, 7), table: 4, ban: None };
        let mut gate = DatagramGate::new(limits, Duration::ZERO);
        let (mut now_ms, mut passed) = (0u64, 0u64);
        for (net, host, wait_ms) in steps {
            now_ms += wait_ms;
            let from = at(IpAddr::V4(Ipv4Addr::new(10, 0, net, host)));
            match gate.admit(from, b"de", Duration::from_millis(now_ms)) {
                Verdict::Pass => passed += 1,
                verdict => prop_assert_eq!(verdict, Verdict::TooMany),
            }
            prop_assert!(passed * 1000 <= 8_000 + now_ms * 7);
            prop_assert!(gate.rates.addresses.young.len() <= 4 && gate.rates.addresses.old.len() <= 4);
        }
    }
}

#[test]
fn one_address_cannot_use_up_what_others_may_send() {
    let limits = GateLimits { ban: None, ..GateLimits::default() };
    let mut gate = DatagramGate::new(limits, Duration::ZERO);
    let loud = at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let passed = (0..10_000).filter(|_| gate.admit(loud, b"de", Duration::ZERO) == Verdict::Pass).count();
    assert_eq!(passed, 100);
    let neighbour = at(IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped()));
    let passed =
        (0..10_000).filter(|_| gate.admit(neighbour, b"de", Duration::ZERO) == Verdict::Pass).count();
    assert_eq!(passed, 100, "the prefix has 200, and an IPv4 address written as IPv6 is the same address");
    let far = at(IpAddr::V4(Ipv4Addr::new(192, 0, 3, 1)));
    assert_eq!(gate.admit(far, b"de", Duration::ZERO), Verdict::Pass);
    assert_eq!(gate.admit(loud, b"l-3:e", Duration::ZERO), Verdict::Malformed);
}

#[test]
fn a_slash_64_is_one_neighbourhood() {
    let limits = GateLimits { prefix: (2, 0), ban: None, ..GateLimits::default() };
    let mut gate = DatagramGate::new(limits, Duration::ZERO);
    let from = |low: u16| at(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, low)));
    let passed = (0..50).filter(|low| gate.admit(from(*low), b"de", Duration::ZERO) == Verdict::Pass).count();
    assert_eq!(passed, 2);
}

const QUERY: &[u8] = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
const REPLY: &[u8] = b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re";
const ERROR: &[u8] = b"d1:eli201e1:xe1:t2:aa1:y1:ee";

#[test]
fn an_answer_passes_once_for_each_question_and_from_nowhere_else() {
    let mut gate = DatagramGate::new(GateLimits::default(), Duration::ZERO);
    let asked = at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(gate.admit(asked, REPLY, Duration::ZERO), Verdict::Malformed, "nobody was asked");
    gate.sent(asked, REPLY, Duration::ZERO);
    assert_eq!(
        gate.admit(asked, REPLY, Duration::ZERO),
        Verdict::Malformed,
        "an answer of ours is no question"
    );
    for _ in 0..2 {
        gate.sent(asked, QUERY, Duration::ZERO);
    }
    let elsewhere = SocketAddr::new(asked.ip(), 6_882);
    assert_eq!(gate.admit(elsewhere, REPLY, Duration::ZERO), Verdict::Malformed);
    assert_eq!(gate.admit(asked, b"d1:rl-3:e1:t2:aa1:y1:re", Duration::ZERO), Verdict::Malformed);
    assert_eq!(gate.admit(asked, REPLY, Duration::ZERO), Verdict::Pass);
    assert_eq!(gate.admit(asked, ERROR, Duration::from_secs(14)), Verdict::Pass);
    assert_eq!(gate.admit(asked, REPLY, Duration::from_secs(14)), Verdict::Malformed, "as many as questions");
    gate.sent(asked, QUERY, Duration::from_secs(20));
    assert_eq!(gate.admit(asked, REPLY, Duration::from_secs(36)), Verdict::Malformed, "too late");
}

#[test]
fn a_flood_from_forged_addresses_does_not_silence_whom_we_asked() {
    let mut gate = DatagramGate::new(GateLimits::default(), Duration::ZERO);
    let asked = at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    gate.sent(asked, QUERY, Duration::ZERO);
    let mut passed = 0;
    for n in 0..20_000u32 {
        let forged = at(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n * 259)));
        passed += u32::from(gate.admit(forged, QUERY, Duration::ZERO) == Verdict::Pass);
        assert_eq!(gate.admit(forged, REPLY, Duration::ZERO), Verdict::Malformed);
    }
    assert_eq!(passed, 2_000);
    assert_eq!(gate.admit(asked, REPLY, Duration::ZERO), Verdict::Pass);
}

#[test]
fn who_goes_on_when_refused_is_banned_for_a_while_and_its_neighbours_are_not() {
    let mut gate = DatagramGate::new(GateLimits::default(), Duration::ZERO);
    let loud = at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    for _ in 0..400 {
        gate.admit(loud, QUERY, Duration::ZERO);
    }
    let later = Duration::from_secs(299);
    assert_eq!(gate.admit(loud, QUERY, later), Verdict::TooMany, "banned");
    assert_eq!(gate.admit(loud, b"l-3:e", later), Verdict::TooMany, "not even looked at");
    assert_eq!(gate.admit(at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9))), QUERY, later), Verdict::Pass);
    gate.sent(loud, QUERY, later);
    assert_eq!(gate.admit(loud, REPLY, later), Verdict::Pass, "its answers pass");
    assert_eq!(gate.admit(loud, QUERY, Duration::from_secs(301)), Verdict::Pass);
}

#[test]
fn a_neighbourhood_that_goes_on_when_refused_is_banned() {
    let mut gate = DatagramGate::new(GateLimits::default(), Duration::ZERO);
    let of = |host: u8| at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)));
    for _ in 0..40 {
        for host in 1..=20 {
            gate.admit(of(host), QUERY, Duration::ZERO);
        }
    }
    assert_eq!(gate.admit(of(99), QUERY, Duration::from_secs(200)), Verdict::TooMany);
    assert_eq!(gate.admit(of(99), QUERY, Duration::from_secs(301)), Verdict::Pass);
}
