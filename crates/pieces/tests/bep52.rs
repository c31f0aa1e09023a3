//! The piece layers of the BEP 52 sample torrents hash to the pieces roots beside them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::Path;

use blockswarm_pieces::layer_root;

const SAMPLES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bittorrent/anacrolix-torrent/testdata");

fn after<'a>(bytes: &'a [u8], key: &str) -> &'a [u8] {
    let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
    &bytes[at + key.len()..]
}

/// A decimal number up to `end`, and what follows.
fn number(bytes: &[u8], end: u8) -> (usize, &[u8]) {
    let at = bytes.iter().position(|byte| *byte == end).unwrap();
    (std::str::from_utf8(&bytes[..at]).unwrap().parse().unwrap(), &bytes[at + 1..])
}

#[test]
fn sample_layers_belong_to_their_roots() {
    for name in ["bittorrent-v2-test.torrent", "bittorrent-v2-hybrid-test.torrent"] {
        let Ok(torrent) = std::fs::read(Path::new(SAMPLES).join(name)) else {
            println!("skipped: {SAMPLES}/{name} is not there");
            continue;
        };
        let (piece_length, _) = number(after(&torrent, "12:piece lengthi"), b'e');
        let mut rest = after(&torrent, "12:piece layersd");
        let mut layers = 0;
        while rest.starts_with(b"32:") {
            let (root, tail) = rest[3..].split_at(32);
            let (length, tail) = number(tail, b':');
            let (layer, tail) = tail.split_at(length);
            assert_eq!(layer_root(layer, u32::try_from(piece_length).unwrap()), root, "{name}");
            layers += 1;
            rest = tail;
        }
        assert!(layers > 0);
        println!("{name}: {layers} layers, pieces of {piece_length} bytes");
    }
}
