//! Bytes of a record: its version, its fields, and a digest over both.

use crate::FileIdentity;
use crate::sha::Sha256Stream;

/// A digest to find damage, not forgery: whoever can write the database can write anything.
const DIGEST_BYTES: usize = 16;

/// Before something that may be missing: whether it is there.
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// A record being written.
pub struct RecordWriter(Vec<u8>);

impl RecordWriter {
    /// Begins with the version.
    pub fn new(version: u8) -> Self {
        Self(vec![version])
    }

    /// Bytes whose number is known to the reader.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes behind their length.
    pub fn list(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.bytes(bytes);
    }

    /// What `write` writes, where it is there.
    pub fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bytes(&[if value.is_some() { PRESENT } else { ABSENT }]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Little-endian.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Little-endian.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A file's identity.
    pub fn identity(&mut self, identity: &FileIdentity) {
        let FileIdentity { device, inode, size, modified_ns } = *identity;
        for part in [device, inode, size, modified_ns.cast_unsigned()] {
            self.u64(part);
        }
    }

    /// The record with its digest.
    pub fn finish(mut self) -> Vec<u8> {
        let digest = digest(&self.0);
        self.bytes(&digest);
        self.0
    }
}

/// A field that cannot be.
#[derive(Clone, Copy, Debug)]
pub struct Damaged;

/// A record being read. Each read is `None` beyond the end: lengths are never believed.
pub struct RecordReader<'a>(&'a [u8]);

impl<'a> RecordReader<'a> {
    /// `None` when the record is damaged or of another version.
    pub fn new(record: &'a [u8], version: u8) -> Option<Self> {
        let (body, found) = record.split_last_chunk::<DIGEST_BYTES>()?;
        let (first, fields) = body.split_first()?;
        (*first == version && *found == digest(body)).then_some(Self(fields))
    }

    /// The next bytes.
    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Bytes behind their length.
    pub fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    /// What `read` reads, where it is there.
    pub fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<Option<T>, Damaged> {
        match self.u8().ok_or(Damaged)? {
            ABSENT => Ok(None),
            PRESENT => read(self).map(Some).ok_or(Damaged),
            _ => Err(Damaged),
        }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// A byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Little-endian.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Little-endian.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A file's identity.
    pub fn identity(&mut self) -> Option<FileIdentity> {
        let (device, inode, size) = (self.u64()?, self.u64()?, self.u64()?);
        Some(FileIdentity { device, inode, size, modified_ns: self.u64()?.cast_signed() })
    }

    /// `None` when bytes are left.
    pub fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn digest(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha256Stream::new();
    hash.update(bytes);
    let mut digest = [0; DIGEST_BYTES];
    digest.iter_mut().zip(hash.finish()).for_each(|(to, from)| *to = from);
    digest
}
