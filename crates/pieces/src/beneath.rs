//! Files below a folder and nowhere else: names from a torrent are opened so that no symbolic link, wherever it was
//! planted and whenever, leads out of the folder or to another file in it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::PiecesError;
use crate::error::at_path;

/// Bytes in a component that every file system of ours takes.
const MAX_COMPONENT_BYTES: usize = 255;
/// Deeper trees meet `PATH_MAX`, and make each opening slow.
const MAX_DEPTH: usize = 128;
/// Of what is made; the process's own mask is taken off.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);

/// A path below some folder: at least one component, none of them empty, `.` or `..`, none with `/` or NUL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelativePath(PathBuf);

/// An open folder below which files are opened. Its own path may hold symbolic links: its owner chose it.
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl RelativePath {
    /// A path of these components.
    pub fn new<P: AsRef<OsStr>>(components: &[P]) -> Result<Self, PiecesError> {
        let bad = |component: &OsStr, why| {
            Err(PiecesError::Component { component: component.to_string_lossy().into_owned(), why })
        };
        if components.is_empty() || components.len() > MAX_DEPTH {
            return bad(OsStr::new(""), "a path has 1 to 128 components");
        }
        let mut path = PathBuf::new();
        for component in components {
            let component = component.as_ref();
            match component.as_bytes() {
                b"" => return bad(component, "it is empty"),
                b"." | b".." => return bad(component, "it leads out of its folder"),
                bytes if bytes.len() > MAX_COMPONENT_BYTES => return bad(component, "it is too long"),
                bytes if bytes.iter().any(|byte| matches!(byte, b'/' | 0)) => {
                    return bad(component, "it holds a slash or NUL");
                }
                _ => path.push(component),
            }
        }
        Ok(Self(path))
    }

    /// The path, to be put behind its folder's.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The components but the last, and the last.
    fn split(&self) -> (&Path, &OsStr) {
        (self.0.parent().unwrap_or(Path::new("")), self.0.file_name().unwrap_or_default())
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Folder {
    /// Opens a folder; with `make` it is made when missing, its parents too.
    pub(crate) fn open(path: &Path, make: bool) -> io::Result<Self> {
        if make {
            std::fs::create_dir_all(path).map_err(|error| at_path(path, &error))?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty());
        let fd = fd.map_err(|errno| at_path(path, &errno.into()))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Where a file is, for messages.
    pub(crate) fn full_path(&self, name: &RelativePath) -> PathBuf {
        self.path.join(name.as_path())
    }

    /// Opens a file that exists. Never waits for the other end of a pipe. Errors do not name the file.
    pub(crate) fn file(&self, name: &RelativePath, write: bool) -> io::Result<File> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        Ok(self.open_at(name.as_path(), access | FILE_FLAGS, Mode::empty())?.into())
    }

    /// Makes a file and the folders above it; `AlreadyExists` when there is one.
    pub(crate) fn make_file(&self, name: &RelativePath) -> io::Result<File> {
        let (parent, last) = name.split();
        let parent = walk(self.fd.as_fd(), parent, true)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
        let parent = parent.as_ref().unwrap_or(&self.fd);
        Ok(rustix::fs::openat(parent, last, flags | OFlags::NOFOLLOW, FILE_MODE)?.into())
    }

    /// Deletes a file.
    pub(crate) fn remove(&self, name: &RelativePath) -> io::Result<()> {
        let (parent, last) = name.split();
        let parent = walk(self.fd.as_fd(), parent, false)?;
        Ok(rustix::fs::unlinkat(parent.as_ref().unwrap_or(&self.fd), last, AtFlags::empty())?)
    }

    fn open_at(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        if has_openat2() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            for _ in 0..OPEN_TRIES {
                match rustix::fs::openat2(&self.fd, path, flags, mode, resolve) {
                    // A rename or mount elsewhere came between: nothing is wrong with the file.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    // An old kernel, or a sandbox that knows no such call.
                    Err(Errno::NOSYS | Errno::PERM) => {
                        NO_OPENAT2.store(true, Ordering::Relaxed);
                        break;
                    }
                    opened => return Ok(opened?),
                }
            }
        }
        open_by_steps(self.fd.as_fd(), path, flags, mode)
    }
}

/// A pipe or device in the way must neither be waited for nor become our terminal.
const FILE_FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const OPEN_TRIES: u32 = 16;

/// `openat2` (Linux 5.6) was refused once.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

fn has_openat2() -> bool {
    !NO_OPENAT2.load(Ordering::Relaxed)
}

/// The same without `openat2`: every component is opened by itself and must be no link.
fn open_by_steps(folder: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let folder = folder.as_fd();
    let parent = walk(folder, path.parent().unwrap_or(Path::new("")), false)?;
    let parent = parent.as_ref().map_or(folder, AsFd::as_fd);
    let last = path.file_name().unwrap_or_default();
    Ok(rustix::fs::openat(parent, last, flags | OFlags::NOFOLLOW, mode)?)
}

/// Opens the folder at `path` below `folder`, component by component, and makes what is missing when asked to. `None`
/// when the path is empty. A symbolic link is `NOTDIR`.
fn walk(folder: impl AsFd, path: &Path, make: bool) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: Option<OwnedFd> = None;
    for component in path {
        let parent = at.as_ref().map_or(folder.as_fd(), AsFd::as_fd);
        let next = match rustix::fs::openat(parent, component, flags, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match rustix::fs::mkdirat(parent, component, FOLDER_MODE) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                rustix::fs::openat(parent, component, flags, Mode::empty())?
            }
            opened => opened?,
        };
        at = Some(next);
    }
    Ok(at)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::new(&text.split('/').collect::<Vec<_>>()).unwrap()
    }

    /// Both ways to open, with and without `openat2`.
    fn open_both(folder: &Folder, name: &str) -> [io::Result<File>; 2] {
        let name = path(name);
        let flags = OFlags::RDWR | FILE_FLAGS;
        [
            folder.file(&name, true),
            open_by_steps(&folder.fd, name.as_path(), flags, Mode::empty()).map(File::from),
        ]
    }

    #[test]
    fn components_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(256);
        for bad in [&["a", ""][..], &[], &["."], &["a", "..", "b"], &["a/b"], &["/a"], &["a\0"], &[&long]] {
            let error = RelativePath::new(bad).unwrap_err();
            assert!(matches!(error, PiecesError::Component { .. }), "{bad:?}");
            assert_eq!(error.code(), "ERR_METAINFO");
        }
        assert!(RelativePath::new(&vec!["a"; MAX_DEPTH + 1]).is_err());
        assert_eq!(RelativePath::new(&["a", "...", "b c"]).unwrap().as_path(), Path::new("a/.../b c"));
    }

    #[test]
    fn files_are_made_and_found_below_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("new/root"), true).unwrap();
        folder.make_file(&path("a/b/c")).unwrap();
        assert_eq!(folder.make_file(&path("a/b/c")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        for opened in open_both(&folder, "a/b/c") {
            assert!(opened.unwrap().metadata().unwrap().is_file());
        }
        folder.remove(&path("a/b/c")).unwrap();
        for opened in open_both(&folder, "a/b/c") {
            assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn no_symbolic_link_is_followed_wherever_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let folder = Folder::open(&root, true).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "").unwrap();
        symlink(outside.join("secret"), root.join("to-file")).unwrap();
        symlink(&outside, root.join("to-folder")).unwrap();
        symlink("real/file", root.join("inside")).unwrap();
        symlink("real", root.join("inside-folder")).unwrap();
        symlink(outside.join("nothing"), root.join("dangling")).unwrap();
        for name in ["to-file", "to-folder/secret", "inside", "inside-folder/file", "dangling"] {
            for opened in open_both(&folder, name) {
                opened.unwrap_err();
            }
            folder.make_file(&path(name)).unwrap_err();
        }
        folder.make_file(&path("to-folder/made")).unwrap_err();
        folder.remove(&path("to-folder/secret")).unwrap_err();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    }
}
