//! A torrent's bytes where they lie: runs over files, in the torrent's order.

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::files::OpenFile;
use crate::nowait::{self, NowRead};
use crate::scatter::Scatter;
use crate::will_need::will_need;
use crate::{FileId, Files, PiecesError, undo_xor};

/// One run; it ends where the next one starts.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where the run starts in the torrent.
    start: u64,
    place: Place,
}

/// Where bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    File(FileId, u64),
    /// Padding: zeros that exist nowhere on disk.
    Zeros,
}

impl Place {
    /// The place `bytes` further on.
    fn after(self, bytes: u64) -> Self {
        match self {
            Self::File(file, offset) => Self::File(file, offset + bytes),
            Self::Zeros => Self::Zeros,
        }
    }
}

/// A part of one run.
struct Span {
    place: Place,
    length: u64,
}

/// Runs over files that make up the bytes `[0, length)`; cheap to clone.
///
/// Reading is positioned and thread-safe. Files that shrink or vanish under it give errors, never short reads.
#[derive(Clone)]
pub struct Extents {
    files: Arc<Files>,
    runs: Arc<[Run]>,
    length: u64,
    is_encoded: bool,
}

/// A run as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRun {
    /// `None` is padding.
    pub(crate) file: Option<FileId>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Collects runs in the torrent's order.
pub struct ExtentsBuilder {
    files: Arc<Files>,
    runs: Vec<Run>,
    length: u64,
}

impl ExtentsBuilder {
    /// No runs yet, over the files of `files`.
    pub fn new(files: Arc<Files>) -> Self {
        Self { files, runs: Vec::new(), length: 0 }
    }

    /// Appends `length` bytes at `offset` of a file. A run that continues the one before is joined to it.
    pub fn push(&mut self, file: FileId, offset: u64, length: u64) -> Result<(), PiecesError> {
        let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        let total = self.length.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        let (true, Some(_), Some(total)) = (file.get() < self.files.count(), end, total) else {
            return Err(PiecesError::Run { file: file.get(), offset, length });
        };
        self.append(Place::File(file, offset), length, total);
        Ok(())
    }

    /// Appends `length` bytes of padding, which read as zeros.
    pub fn push_zeros(&mut self, length: u64) -> Result<(), PiecesError> {
        let total = self.length.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        self.append(Place::Zeros, length, total.ok_or(PiecesError::Length(length))?);
        Ok(())
    }

    fn append(&mut self, place: Place, length: u64, total: u64) {
        let continues = self.runs.last().is_some_and(|run| run.place.after(self.length - run.start) == place);
        if length > 0 && !continues {
            self.runs.push(Run { start: self.length, place });
        }
        self.length = total;
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The extents.
    pub fn finish(self) -> Extents {
        let is_encoded = self.files.is_encoded();
        Extents { files: self.files, runs: self.runs.into(), length: self.length, is_encoded }
    }
}

impl Extents {
    /// The whole of one plain file, as long as it is now.
    pub fn whole_file(path: &Path) -> Result<Self, PiecesError> {
        let length = std::fs::metadata(path).map_err(|error| crate::error::at_path(path, &error))?.len();
        Self::file_prefix(path, length)
    }

    /// The first `length` bytes of one plain file.
    pub fn file_prefix(path: &Path, length: u64) -> Result<Self, PiecesError> {
        let files = Files::new(1);
        let file = files.add(path, None);
        let mut builder = ExtentsBuilder::new(files);
        builder.push(file, 0, length)?;
        Ok(builder.finish())
    }

    /// Bytes covered.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Number of runs after joining neighbours.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// The runs in order.
    pub(crate) fn runs(&self) -> impl Iterator<Item = FileRun> + '_ {
        let ends = self.runs.iter().skip(1).map(|next| next.start).chain([self.length]);
        self.runs.iter().zip(ends).map(|(run, end)| {
            let (file, offset) = match run.place {
                Place::File(file, offset) => (Some(file), offset),
                Place::Zeros => (None, 0),
            };
            FileRun { file, offset, length: end - run.start }
        })
    }

    /// Fills `buffer` from `offset`, waiting for the disk. A range beyond the end is `InvalidInput`; a file
    /// shorter than its run is `UnexpectedEof`.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = buffer;
        for span in self.spans(offset, rest.len() as u64)? {
            let (head, tail) = rest.split_at_mut(span.length as usize);
            match span.place {
                Place::Zeros => head.fill(0),
                Place::File(file, offset) => {
                    let open = self.files.open(file)?;
                    let read = read_file(&open, offset, head);
                    let read =
                        if open.is_stale() { read.and_then(|()| self.files.look(&open)) } else { read };
                    read.map_err(|error| self.files.blame(file, error))?;
                }
            }
            rest = tail;
        }
        Ok(())
    }

    /// Fills `buffers` from `offset` without waiting for the disk, or says that this would mean waiting
    /// (a page that is not in memory, a file that is not open). Errors as in [`Self::read_exact_at`].
    pub fn read_now(&self, offset: u64, buffers: &mut [IoSliceMut<'_>]) -> io::Result<NowRead> {
        let total = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        self.scatter_now(offset, total, &mut Scatter::new(buffers))
    }

    /// [`Self::read_now`] of `total` bytes into the next of `buffers`.
    pub(crate) fn scatter_now(
        &self,
        offset: u64,
        total: u64,
        buffers: &mut Scatter<'_, '_>,
    ) -> io::Result<NowRead> {
        let mut parts = Vec::new();
        for span in self.spans(offset, total)? {
            buffers.take(span.length, &mut parts);
            match span.place {
                Place::Zeros => parts.iter_mut().for_each(|part| part.fill(0)),
                Place::File(file, offset) => {
                    let Some(open) = self.files.opened(file) else { return Ok(NowRead::WouldBlock) };
                    let read = nowait::read_now(&open.file, open.key, offset, &mut parts);
                    let read = read.map_err(|error| self.files.blame(file, error))?;
                    // Written to by others: a look may wait.
                    if read == NowRead::WouldBlock || open.is_stale() {
                        return Ok(NowRead::WouldBlock);
                    }
                }
            }
        }
        Ok(NowRead::Done)
    }

    /// Asks the system to have a range in memory soon. May wait for the disk's queue. Best effort.
    pub(crate) fn advise(&self, range: &Range<u64>) {
        let Ok(spans) = self.spans(range.start, range.end.saturating_sub(range.start)) else { return };
        for Span { place, length } in spans {
            let Place::File(file, offset) = place else { continue };
            let Some(open) = self.files.opened(file) else { continue };
            will_need(&open.file, offset..offset + length);
        }
    }

    /// Whether reading has to undo something.
    pub(crate) fn is_encoded(&self) -> bool {
        self.is_encoded
    }

    /// Writes `portions` end to end from `offset`; what would lie in padding is passed over. An error names its file;
    /// what was written before it stays.
    pub(crate) fn write_all_at(&self, offset: u64, portions: &[&[u8]]) -> io::Result<()> {
        let total = portions.iter().map(|portion| portion.len() as u64).sum();
        let (mut portions, mut rest) = (portions.iter(), [].as_slice());
        let mut slices = Vec::new();
        for span in self.spans(offset, total)? {
            let mut missing = span.length as usize;
            slices.clear();
            while missing > 0 {
                if rest.is_empty() {
                    rest = portions.next().ok_or(io::ErrorKind::InvalidInput)?;
                    continue;
                }
                let (head, tail) = rest.split_at(missing.min(rest.len()));
                slices.push(IoSlice::new(head));
                (rest, missing) = (tail, missing - head.len());
            }
            if let Place::File(file, offset) = span.place {
                self.files.write_all_at(file, offset, &mut slices)?;
            }
        }
        Ok(())
    }

    /// Whether nothing was ever written to any file under a range.
    pub(crate) fn is_hole(&self, offset: u64, length: u64) -> bool {
        let is_hole = |span: Span| match span.place {
            Place::Zeros => true,
            Place::File(file, offset) => self.files.is_hole(file, &(offset..offset + span.length)),
        };
        self.spans(offset, length).is_ok_and(|mut spans| spans.all(is_hole))
    }

    /// The files that the runs lie in.
    pub fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// The same bytes, with a range of them in another file of the same table. Errors as [`ExtentsBuilder::push`].
    pub(crate) fn spliced(&self, range: &Range<u64>, file: FileId, offset: u64) -> Result<Self, PiecesError> {
        let mut builder = ExtentsBuilder::new(Arc::clone(&self.files));
        let keep = |from: u64, to: u64, builder: &mut ExtentsBuilder| -> Result<(), PiecesError> {
            for Span { place, length } in self.spans(from, to.saturating_sub(from))? {
                match place {
                    Place::File(file, offset) => builder.push(file, offset, length)?,
                    Place::Zeros => builder.push_zeros(length)?,
                }
            }
            Ok(())
        };
        keep(0, range.start, &mut builder)?;
        builder.push(file, offset, range.end.saturating_sub(range.start))?;
        keep(range.end, self.length, &mut builder)?;
        Ok(builder.finish())
    }

    /// Where in the torrent bytes of a file are, in order.
    pub(crate) fn ranges_of(&self, file: FileId) -> impl Iterator<Item = Range<u64>> + '_ {
        let ends = self.runs.iter().skip(1).map(|next| next.start).chain([self.length]);
        let of_file = move |run: &Run| matches!(run.place, Place::File(id, _) if id == file);
        self.runs.iter().zip(ends).filter(move |(run, _)| of_file(run)).map(|(run, end)| run.start..end)
    }

    /// The parts of runs that make up `[offset, offset + length)`.
    fn spans(&self, offset: u64, length: u64) -> io::Result<impl Iterator<Item = Span> + '_> {
        let end = offset.checked_add(length).filter(|end| *end <= self.length).ok_or_else(|| {
            let text = format!("{length} bytes at {offset}, of {} bytes", self.length);
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let first = self.runs.partition_point(|run| run.start <= offset).saturating_sub(1);
        let ends = self.runs.iter().skip(first + 1).map(|next| next.start).chain([self.length]);
        let spans = self.runs.iter().skip(first).zip(ends).map_while(move |(run, run_end)| {
            let from = run.start.max(offset);
            let to = run_end.min(end);
            (from < to).then(|| Span { place: run.place.after(from - run.start), length: to - from })
        });
        Ok(spans)
    }
}

/// Bytes read at a time where the XOR is undone: they are still in the nearest caches then.
const XOR_STEP_BYTES: usize = 256 * 1024;

fn read_file(open: &OpenFile, mut offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let Some(key) = open.key else { return open.file.read_exact_at(buffer, offset) };
    for step in buffer.chunks_mut(XOR_STEP_BYTES) {
        open.file.read_exact_at(step, offset)?;
        undo_xor(step, key, offset);
        offset += step.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::{self, File};

    use proptest::prelude::*;

    use super::*;

    /// The number of a file that is none.
    const PADDING: usize = 4;

    /// Runs as (file, offset, length), and the files' plain contents.
    fn build(dir: &Path, keys: &[Option<[u8; 8]>], runs: &[(usize, u64, u64)]) -> (Extents, Vec<u8>) {
        const FILE_BYTES: u64 = 5000;
        let files = Files::new(2);
        let mut contents = Vec::new();
        for (n, key) in keys.iter().enumerate() {
            let plain: Vec<u8> = (0..FILE_BYTES).map(|at| (at * 31 + at / 256 + n as u64) as u8).collect();
            let mut stored = plain.clone();
            for (at, byte) in stored.iter_mut().enumerate() {
                *byte ^= key.map_or(0, |key| key[at % 8]);
            }
            fs::write(dir.join(n.to_string()), stored).unwrap();
            contents.push((files.add(dir.join(n.to_string()), *key), plain));
        }
        let mut builder = ExtentsBuilder::new(files);
        let mut flat = Vec::new();
        for (n, offset, length) in runs {
            if *n == PADDING {
                builder.push_zeros(*length).unwrap();
                flat.resize(flat.len() + *length as usize, 0);
                continue;
            }
            let (id, plain) = &contents[n % contents.len()];
            let (first, end) = (offset % FILE_BYTES, (offset % FILE_BYTES + length).min(FILE_BYTES));
            builder.push(*id, first, end - first).unwrap();
            flat.extend_from_slice(&plain[first as usize..end as usize]);
        }
        (builder.finish(), flat)
    }

    /// Reads until the page cache and the handle table have it all, as a server would.
    fn read_parts(extents: &Extents, offset: u64, sizes: &[usize]) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0xaa; *size]).collect();
        let mut slices: Vec<IoSliceMut<'_>> = parts.iter_mut().map(|part| IoSliceMut::new(part)).collect();
        match extents.read_now(offset, &mut slices).unwrap() {
            NowRead::Done => parts.concat(),
            NowRead::WouldBlock => {
                let mut whole = vec![0; sizes.iter().sum()];
                extents.read_exact_at(offset, &mut whole).unwrap();
                whole
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn reads_are_the_runs_end_to_end(
            keys in proptest::collection::vec(any::<Option<[u8; 8]>>(), 1..4),
            runs in proptest::collection::vec((0..=PADDING, 0..5000u64, 0..700u64), 1..20),
            cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 0..900usize), 1..8),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let (extents, flat) = build(dir.path(), &keys, &runs);
            prop_assert_eq!(extents.length(), flat.len() as u64);
            prop_assert!(extents.run_count() <= runs.len());
            for (at, length) in cuts {
                let first = at.index(flat.len() + 1);
                let end = (first + length).min(flat.len());
                let mut buffer = vec![0; end - first];
                extents.read_exact_at(first as u64, &mut buffer).unwrap();
                prop_assert_eq!(&buffer, &flat[first..end]);
                let half = buffer.len() / 3;
                let sizes = [half, 0, buffer.len() - half];
                prop_assert_eq!(&read_parts(&extents, first as u64, &sizes), &flat[first..end]);
            }
        }
    }

    #[test]
    fn a_run_that_continues_the_one_before_is_joined() {
        let dir = tempfile::tempdir().unwrap();
        let (extents, _) =
            build(dir.path(), &[None, None], &[(0, 10, 5), (0, 15, 5), (1, 20, 5), (0, 25, 0)]);
        assert_eq!((extents.run_count(), extents.length()), (2, 15));
    }

    #[test]
    fn reads_from_memory_need_no_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let (extents, flat) =
            build(dir.path(), &[Some([1, 2, 3, 4, 5, 6, 7, 8])], &[(0, 3, 4000), (0, 0, 9)]);
        let mut buffer = vec![0; flat.len()];
        assert_eq!(
            extents.read_now(0, &mut [IoSliceMut::new(&mut buffer)]).unwrap(),
            NowRead::WouldBlock,
            "the file is not open yet"
        );
        extents.read_exact_at(0, &mut [0]).unwrap();
        // A file system may refuse to promise; it must then say so, and never give wrong bytes.
        if extents.read_now(0, &mut [IoSliceMut::new(&mut buffer)]).unwrap() == NowRead::Done {
            assert_eq!(buffer, flat);
        }
    }

    #[test]
    fn a_truncated_or_missing_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (extents, _) = build(dir.path(), &[None, None], &[(0, 0, 5000), (1, 0, 5000)]);
        extents.read_exact_at(0, &mut [0; 10000]).unwrap();
        File::options().write(true).open(dir.path().join("1")).unwrap().set_len(4999).unwrap();
        let mut buffer = [0; 10000];
        let error = extents.read_exact_at(0, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains(&dir.path().join("1").display().to_string()));
        match extents.read_now(0, &mut [IoSliceMut::new(&mut buffer)]) {
            Ok(read) => assert_eq!(read, NowRead::WouldBlock),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
        }
        fs::remove_file(dir.path().join("0")).unwrap();
        extents.files.close_handles();
        assert_eq!(extents.read_exact_at(0, &mut [0]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn ranges_and_runs_out_of_bounds_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (extents, _) = build(dir.path(), &[None], &[(0, 0, 100)]);
        for (offset, length) in [(100, 1), (0, 101), (u64::MAX, 1), (u64::MAX, 0)] {
            let error = extents.read_exact_at(offset, &mut vec![0; length]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        extents.read_exact_at(100, &mut []).unwrap();
        let files = Files::new(1);
        let id = files.add(dir.path().join("0"), None);
        let mut builder = ExtentsBuilder::new(Files::new(1));
        assert!(matches!(builder.push(id, 0, 1), Err(PiecesError::Run { .. })), "no such file");
        let mut builder = ExtentsBuilder::new(files);
        for (offset, length) in [(u64::MAX, 1), (1 << 63, 1), (0, 1 << 63)] {
            assert!(matches!(builder.push(id, offset, length), Err(PiecesError::Run { .. })));
        }
    }
}
