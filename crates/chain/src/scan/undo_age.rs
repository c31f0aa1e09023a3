//! Whether an old Core wrote a `rev` file: a look at its first records.
use super::pairing::UNDO_BYTES;
use super::reader::FileReader;
use super::records::{HEAD_BYTES, Records, Shape};
use crate::old_undo::is_old;
use crate::undo::CHECKSUM_BYTES;
use std::io;
use std::path::Path;

/// Records that spend something. A file is written from its start on, so what an old version wrote comes first; and of
/// its records hardly one has only coins that are complete.
const LOOKED_AT: usize = 16;
/// Bytes of records that are read at most: early files hold a hundred thousand records that spend nothing.
const READ_BYTES: u64 = 64 << 20;

/// What the first records of a `rev` file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoAge {
    /// Core before 0.15 wrote at least one of them.
    Old,
    /// They are as Core writes them today.
    Current,
    /// None of them spends anything.
    Unknown,
}

/// Looks at a `rev` file; `key` is that of `xor.dat`.
pub fn undo_age(path: &Path, key: [u8; 8], magic: [u8; 4]) -> io::Result<UndoAge> {
    let shape = Shape { magic, sizes: UNDO_BYTES, trailer: CHECKSUM_BYTES };
    let mut records = Records::from(FileReader::open(path, key)?, shape, 0);
    let (mut looked_at, mut read_bytes) = (0, 0);
    while let Some(record) = records.next()? {
        records.accept(record);
        read_bytes += u64::from(record.size).max(HEAD_BYTES);
        if looked_at == LOOKED_AT || read_bytes > READ_BYTES {
            break;
        }
        // CBlockUndo of a block that spends nothing is one byte.
        if record.size == 1 {
            continue;
        }
        looked_at += 1;
        let mut undo = vec![0; record.size as usize];
        let is_whole = records.reader.fill(record.offset + HEAD_BYTES, &mut undo)?;
        if is_whole && is_old(&undo).is_ok_and(|is_old| is_old) {
            return Ok(UndoAge::Old);
        }
    }
    Ok(if looked_at > 0 { UndoAge::Current } else { UndoAge::Unknown })
}
