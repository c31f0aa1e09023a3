//! An undo record's bytes in a file, and whether they are a block's.
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Record};
use crate::encode::Hash;
use crate::undo::{CHECKSUM_BYTES, UndoFault, check_undo};
use std::io::{self, Read};

/// A record's verdict; the outer error is a file that cannot be read.
pub(super) fn check_record(
    reader: &FileReader,
    record: Record,
    prev: &Hash,
    inputs: &[u32],
    height: u32,
) -> io::Result<Result<(), UndoFault>> {
    match check_undo(RecordBody::of(reader, record), record.size.into(), prev, inputs, height) {
        Err(UndoFault::Io(error)) => Err(error),
        verdict => Ok(verdict),
    }
}

/// A record's bytes behind its head, as a stream.
pub(super) struct RecordBody<'a> {
    reader: &'a FileReader,
    offset: u64,
    left: u64,
}

impl<'a> RecordBody<'a> {
    pub fn of(reader: &'a FileReader, record: Record) -> Self {
        let left = u64::from(record.size) + CHECKSUM_BYTES;
        Self { reader, offset: record.offset + HEAD_BYTES, left }
    }
}

impl Read for RecordBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.left.min(buffer.len() as u64) as usize;
        let Some(part) = buffer.get_mut(..length) else { return Ok(0) };
        if !self.reader.fill(self.offset, part)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}
