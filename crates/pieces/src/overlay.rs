//! Pieces of our own in place of damaged ones in files of others: one file for each, in a folder of ours.
//!
//! A piece is written under another name, synced, and only then given its own: what bears a piece's name is whole. Its
//! bytes are held against the torrent's hashes before they are served all the same.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::at_path;
use crate::piece_bytes::PieceBytes;
use crate::{Geometry, PieceIndex};

/// Behind a piece's number.
const SUFFIX: &str = ".piece";

/// The folder of one torrent.
pub(crate) struct Overlay {
    folder: PathBuf,
}

impl Overlay {
    /// A folder that may be missing as long as no piece is kept.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where a piece is, or would be.
    pub(crate) fn path(&self, piece: PieceIndex) -> PathBuf {
        self.folder.join(format!("{}{SUFFIX}", piece.get()))
    }

    /// The pieces that are kept, as long as they must be.
    pub(crate) fn pieces(&self, geometry: &Geometry) -> io::Result<Vec<PieceIndex>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at_path(&self.folder, &error))?,
        };
        let mut pieces = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
            let Some(piece) = number.and_then(|number| geometry.piece(number)) else { continue };
            if entry.metadata()?.len() == u64::from(geometry.piece_bytes(piece)) {
                pieces.push(piece);
            }
        }
        pieces.sort_unstable();
        Ok(pieces)
    }

    /// Writes a piece so that it survives; where it is.
    pub(crate) fn keep(&self, piece: PieceIndex, bytes: &PieceBytes) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder).map_err(|error| at_path(&self.folder, &error))?;
        let path = self.path(piece);
        let draft = path.with_extension("new");
        let written = Self::write(&draft, bytes).and_then(|()| fs::rename(&draft, &path));
        if written.is_err() {
            // Best effort: the reason that matters is the first one.
            let _ = fs::remove_file(&draft);
        }
        written.map(|()| path).map_err(|error| at_path(&draft, &error))
    }

    fn write(draft: &Path, bytes: &PieceBytes) -> io::Result<()> {
        let mut file = File::create(draft)?;
        for portion in bytes.portions() {
            file.write_all(portion)?;
        }
        file.sync_data()
    }
}
