//! One file of a blocks directory read forwards in small steps, the XOR of `xor.dat` undone.
use blockswarm_pieces::{undo_xor, will_need};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a record's head, its block's header, and the longest count of transactions.
pub(super) const HEAD_READ_BYTES: usize = 97;
/// Heads of small blocks (of the early years) come many to one read; heads of large blocks cost one small read each.
const WINDOW_BYTES: usize = 16 << 10;
/// Padding and garbage are searched in larger steps.
const SEARCH_BYTES: usize = 256 << 10;

/// The 8 bytes of `xor.dat`; byte *i* of a file was XORed with byte *i* mod 8 of the key.
pub(super) type XorKey = [u8; 8];

/// A file opened for reading, as long as it was when it was opened.
pub(super) struct FileReader {
    file: File,
    key: XorKey,
    length: u64,
    /// Bytes as they lie on disk, from `window_start` on.
    window: Vec<u8>,
    window_start: u64,
    /// Bytes of the next window: more where heads lie close together, unless no byte is to be read before its turn.
    step: usize,
    is_exact: bool,
    read_bytes: AtomicU64,
}

/// What a search for a magic met on its way.
pub(super) struct Search {
    /// Where the magic is; `None` when there is none up to the end.
    pub found: Option<u64>,
    /// Whether anything but zero padding was passed.
    pub passed_data: bool,
}

impl FileReader {
    /// Opens the file. Nothing is read yet.
    pub fn open(path: &Path, key: XorKey) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let (window, step, read_bytes) = (Vec::new(), HEAD_READ_BYTES, AtomicU64::new(0));
        Ok(Self { file, key, length, window, window_start: 0, step, is_exact: false, read_bytes })
    }

    /// From now on heads are read one by one, and what lies behind them only when it is asked for.
    pub fn exact(mut self) -> Self {
        self.is_exact = true;
        self
    }

    /// Whether no byte is read before it is asked for.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Bytes in the file when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// `N` bytes at `offset`; `None` when the file ends before.
    pub fn array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        let raw = self.raw(offset)?;
        let Some(mut bytes) = raw.first_chunk::<N>().copied() else {
            // The window ends here; one that starts here is as long as the file allows.
            let fresh = self.load(offset, N.max(self.step))?;
            let Some(mut bytes) = fresh.first_chunk::<N>().copied() else { return Ok(None) };
            undo_xor(&mut bytes, self.key, offset);
            return Ok(Some(bytes));
        };
        undo_xor(&mut bytes, self.key, offset);
        Ok(Some(bytes))
    }

    /// A CompactSize at `offset`, its form not judged; `None` when the file ends before.
    pub fn compact_size(&mut self, offset: u64) -> io::Result<Option<u64>> {
        let Some([first]) = self.array(offset)? else { return Ok(None) };
        let at = offset + 1;
        Ok(match first {
            0xfd => self.array(at)?.map(|bytes| u16::from_le_bytes(bytes).into()),
            0xfe => self.array(at)?.map(|bytes| u32::from_le_bytes(bytes).into()),
            0xff => self.array(at)?.map(u64::from_le_bytes),
            small => Some(small.into()),
        })
    }

    /// Fills `buffer` from `offset`, past the window; `false` when the file ends before.
    pub fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => {
                self.count(buffer.len());
                undo_xor(buffer, self.key, offset);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the disk begin with what [`Self::fill`] will want.
    pub fn will_fill(&self, offset: u64, length: u64) {
        will_need(&self.file, offset..offset.saturating_add(length).min(self.length));
    }

    /// The next place at or after `offset` where `magic` stands. Padding is zero *on disk*: Core allocates it
    /// without the XOR.
    pub fn search(&mut self, mut offset: u64, magic: [u8; 4]) -> io::Result<Search> {
        let key = self.key;
        let mut passed_data = false;
        loop {
            let raw = self.load(offset, SEARCH_BYTES)?;
            if raw.len() < magic.len() {
                passed_data |= raw.iter().any(|byte| *byte != 0);
                return Ok(Search { found: None, passed_data });
            }
            let step = raw.len() - (magic.len() - 1);
            if raw.iter().any(|byte| *byte != 0) {
                let mut bytes = raw.to_vec();
                undo_xor(&mut bytes, key, offset);
                if let Some(at) = bytes.windows(magic.len()).position(|window| window == magic) {
                    passed_data |= self.window.get(..at).is_some_and(|raw| raw.iter().any(|byte| *byte != 0));
                    return Ok(Search { found: Some(offset + at as u64), passed_data });
                }
                passed_data = true;
            }
            offset += step as u64;
        }
    }

    /// Bytes as on disk from `offset` on: from the window if it reaches there, else freshly read.
    fn raw(&mut self, offset: u64) -> io::Result<&[u8]> {
        let inside = offset.checked_sub(self.window_start).is_some_and(|at| at < self.window.len() as u64);
        if !inside {
            let end = self.window_start + self.window.len() as u64;
            let is_near = offset.checked_sub(end).is_some_and(|gap| gap < self.step as u64);
            let is_dense = is_near && !self.is_exact;
            self.step = if is_dense { (2 * self.step).min(WINDOW_BYTES) } else { HEAD_READ_BYTES };
            return self.load(offset, self.step);
        }
        let at = (offset - self.window_start) as usize;
        Ok(self.window.get(at..).unwrap_or_default())
    }

    fn load(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let length = self.length.saturating_sub(offset).min(length as u64) as usize;
        self.window.resize(length, 0);
        self.window_start = offset;
        let mut filled = 0;
        while filled < length {
            let rest = self.window.get_mut(filled..).unwrap_or_default();
            match self.file.read_at(rest, offset + filled as u64) {
                // Cut short since it was opened: the rest is not there.
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.window.truncate(filled);
        self.count(filled);
        Ok(&self.window)
    }

    fn count(&self, bytes: usize) {
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
