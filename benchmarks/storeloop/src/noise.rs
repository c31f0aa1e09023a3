//! Bytes that look random and are known by where they lie.

/// Fills `buffer` with the noise of `[offset, offset + buffer.len())`.
pub fn fill(offset: u64, buffer: &mut [u8]) {
    let head = buffer.len().min((offset.next_multiple_of(8) - offset) as usize);
    let (head, rest) = buffer.split_at_mut(head);
    let first = word(offset / 8).to_le_bytes();
    head.iter_mut().zip(first.iter().skip((offset % 8) as usize)).for_each(|(to, from)| *to = *from);
    for (n, part) in rest.chunks_mut(8).enumerate() {
        let word = word(offset.div_ceil(8) + n as u64).to_le_bytes();
        part.copy_from_slice(&word[..part.len()]);
    }
}

/// SplitMix64 of a counter.
fn word(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
