//! How links are encrypted: what is allowed, and the torrents that an encrypted handshake may be for.

use crate::mse::{Methods, torrent_name};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

/// What incoming links may do. Outgoing ones are told one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Encryption {
    /// None of it.
    Off,
    /// As the peer wants; plain when it wants either.
    #[default]
    Allowed,
    /// As the peer wants; encrypted when it wants either.
    Preferred,
    /// Nothing else.
    Required,
}

impl Encryption {
    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "off" => Some(Self::Off),
            "allowed" => Some(Self::Allowed),
            "preferred" => Some(Self::Preferred),
            "required" => Some(Self::Required),
            _ => None,
        }
    }

    /// What may carry a link behind its encrypted handshake.
    pub(crate) fn methods(self) -> Methods {
        let prefer_rc4 = matches!(self, Self::Preferred | Self::Required);
        Methods { plain: self != Self::Required, rc4: true, prefer_rc4 }
    }
}

/// The mode now and the torrents known.
#[derive(Debug)]
pub(crate) struct EncryptionPolicy {
    mode: AtomicU8,
    /// By the name that an initiator gives a torrent.
    torrents: RwLock<HashMap<[u8; 20], [u8; 20]>>,
}

impl EncryptionPolicy {
    pub(crate) fn new() -> Self {
        Self { mode: AtomicU8::new(Encryption::default() as u8), torrents: RwLock::default() }
    }

    pub(crate) fn mode(&self) -> Encryption {
        match self.mode.load(Ordering::Relaxed) {
            0 => Encryption::Off,
            1 => Encryption::Allowed,
            2 => Encryption::Preferred,
            _ => Encryption::Required,
        }
    }

    pub(crate) fn set_mode(&self, mode: Encryption) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    pub(crate) fn know(&self, info_hash: [u8; 20]) {
        self.torrents.write().insert(torrent_name(&info_hash), info_hash);
    }

    pub(crate) fn forget(&self, info_hash: [u8; 20]) {
        self.torrents.write().remove(&torrent_name(&info_hash));
    }

    pub(crate) fn find(&self, name: &[u8; 20]) -> Option<[u8; 20]> {
        self.torrents.read().get(name).copied()
    }
}
