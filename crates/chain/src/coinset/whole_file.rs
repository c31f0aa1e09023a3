//! A file that is there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const BUFFER_BYTES: usize = 1 << 20;

/// Written beside its place, as `NAME.part`, and renamed at the end; what another one left there is overwritten. Dropped
/// before that, it is gone.
pub(super) struct WholeFile {
    path: PathBuf,
    part: PathBuf,
    sink: Option<BufWriter<File>>,
}

impl WholeFile {
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().map(OsString::from).ok_or(io::ErrorKind::IsADirectory)?;
        name.push(".part");
        let part = path.with_file_name(name);
        let sink = BufWriter::with_capacity(BUFFER_BYTES, File::create(&part)?);
        Ok(Self { path: path.to_owned(), part, sink: Some(sink) })
    }

    /// Puts it in its place, on disk; its length in bytes.
    pub fn finish(mut self) -> io::Result<u64> {
        let Some(sink) = self.sink.take() else { return Ok(0) };
        let outcome = sink.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.sync_all()?;
            fs::rename(&self.part, &self.path)?;
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file.metadata()?.len())
        });
        if outcome.is_err() {
            let _ = fs::remove_file(&self.part);
        }
        outcome
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.as_mut().map_or(Ok(0), |sink| sink.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.sink.take().is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}
