//! Names of I2P. A destination is two public keys and a certificate, 387 bytes and a few, written in I2P's own base64;
//! the SHA-256 hash of it in base32 is the name that people and trackers pass on (I2P's "Naming" and "Common structures").

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};

/// What every name here ends with.
pub(crate) const SUFFIX: &str = ".i2p";
/// Keys of 256 and 128 bytes, type and length of the certificate.
const LEAST_BYTES: usize = 387;
/// Of the certificate: those that there are have less than a tenth of it.
const CERTIFICATE_BYTES: usize = 1_024;
/// Destination, private keys, and what there may be beside them.
const KEYS_BYTES: usize = 4_096;

static BASE64: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~");
    specification.padding = Some('=');
    specification.encoding().ok()
});

static BASE32: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().ok()
});

/// Where a node of I2P is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct I2pAddress {
    /// 52 characters of base32 and `.b32.i2p`.
    pub name: Arc<str>,
    /// In base64.
    pub destination: Arc<str>,
}

impl I2pAddress {
    /// Of a destination; `None` when it is none.
    pub(crate) fn of_destination(text: &str) -> Option<Self> {
        let bytes = decode(text)?;
        (destination_bytes(&bytes)? == bytes.len()).then(|| Self::of(&bytes)).flatten()
    }

    /// Of the destination that a text of private keys begins with.
    pub(crate) fn of_keys(text: &str) -> Option<Self> {
        let bytes = decode(text)?;
        let (destination, keys) = bytes.split_at_checked(destination_bytes(&bytes)?)?;
        if keys.is_empty() { None } else { Self::of(destination) }
    }

    fn of(destination: &[u8]) -> Option<Self> {
        let name = BASE32.as_ref()?.encode(&Sha256::digest(destination));
        let destination = BASE64.as_ref()?.encode(destination).into();
        Some(Self { name: format!("{name}.b32{SUFFIX}").into(), destination })
    }
}

/// Padding may be left out.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    if bare.len() > KEYS_BYTES || text.len() - bare.len() > 2 {
        return None;
    }
    let padded = format!("{bare}{}", "=".repeat(bare.len().wrapping_neg() % 4));
    BASE64.as_ref()?.decode(padded.as_bytes()).ok()
}

/// How many bytes the destination has that these begin with.
fn destination_bytes(bytes: &[u8]) -> Option<usize> {
    let [.., high, low] = bytes.first_chunk::<LEAST_BYTES>()?;
    let certificate = usize::from(u16::from_be_bytes([*high, *low]));
    (certificate <= CERTIFICATE_BYTES).then_some(LEAST_BYTES + certificate)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::{BASE64, I2pAddress};
    use proptest::prelude::*;

    /// A destination with a certificate of so many bytes, and as many bytes behind it as are said.
    fn text(certificate: u8, behind: usize) -> String {
        let mut bytes = vec![7; 387 + usize::from(certificate) + behind];
        bytes[384] = 5;
        bytes[385] = 0;
        bytes[386] = certificate;
        BASE64.as_ref().unwrap().encode(&bytes)
    }

    #[test]
    fn the_destination_of_keys_has_the_name_of_that_destination() {
        let address = I2pAddress::of_destination(&text(4, 0)).unwrap();
        assert_eq!(I2pAddress::of_keys(&text(4, 288)), Some(address.clone()));
        assert_eq!(I2pAddress::of_destination(text(4, 0).trim_end_matches('=')), Some(address.clone()));
        // By hashlib and base64 of Python.
        assert_eq!(&*address.name, "tub24hdz7erh2yv7e32hg72bskyqj2vymvtcl3y33xczi4wfez6q.b32.i2p");
    }

    #[test]
    fn what_is_no_destination_has_no_name() {
        for wrong in ["", "AAAA", &text(4, 1), &text(4, 0)[4..], &format!("{}!", text(0, 0))] {
            assert_eq!(I2pAddress::of_destination(wrong), None);
        }
        assert_eq!(I2pAddress::of_keys(&text(4, 0)), None, "a destination without keys");
        assert_eq!(I2pAddress::of_keys(&"A".repeat(5_000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[A-Za-z0-9~=-]{0,800}") {
            let _ = I2pAddress::of_destination(&text);
            let _ = I2pAddress::of_keys(&text);
        }
    }
}
