//! Pieces fetched in place of damaged ones in files of others, kept in a folder of ours.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Backing, Store};
use crate::overlay::Overlay;
use crate::piece_bytes::PieceBytes;
use crate::{PieceIndex, PiecesError};

impl Store {
    /// Lets pieces that are not servable come in, each into a file of its own in `folder`, from where it is served. Those
    /// that an earlier run kept there take the place of what lies under them, and are assumed; how many these are. Nothing
    /// is ever written to the files of others. Blocks: call on a worker.
    pub fn repair_into(&self, folder: &Path) -> Result<u32, PiecesError> {
        let overlay = Arc::new(Overlay::new(folder));
        let kept = overlay.pieces(&self.geometry)?;
        {
            let mut current = self.backing.write();
            let Backing { extents, writable, .. } = &**current;
            *current = Arc::new(Backing {
                extents: extents.clone(),
                writable: *writable,
                overlay: Some(Arc::clone(&overlay)),
            });
        }
        for piece in &kept {
            self.splice(*piece, overlay.path(*piece))?;
            self.servable.set(piece.get());
        }
        Ok(kept.len() as u32)
    }

    /// Makes a good piece servable from a file of its own.
    pub(super) fn lay_over(&self, piece: PieceIndex, bytes: &PieceBytes) -> io::Result<()> {
        let overlay = self.backing().overlay.clone().ok_or(io::ErrorKind::NotFound)?;
        let path = overlay.keep(piece, bytes)?;
        self.splice(piece, path).map_err(io::Error::other)?;
        self.believe(piece);
        Ok(())
    }

    /// Serves a piece from a file of its own from now on; it is assumed.
    fn splice(&self, piece: PieceIndex, path: PathBuf) -> Result<(), PiecesError> {
        let start = self.geometry.piece_offset(piece);
        let range = start..start + u64::from(self.geometry.piece_bytes(piece));
        let mut current = self.backing.write();
        let file = current.extents.files().add(path, None);
        let extents = current.extents.spliced(&range, file, 0)?;
        // Before the bytes can be read.
        self.trust_nothing(piece);
        self.watch_file(&extents, file);
        let (writable, overlay) = (current.writable, current.overlay.clone());
        *current = Arc::new(Backing { extents, writable, overlay });
        drop(current);
        self.forget_hot();
        Ok(())
    }
}
