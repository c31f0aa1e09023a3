#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::{BLOCK_BYTES, ResumeDb, hash_extents};

struct Scene {
    dir: tempfile::TempDir,
    files: Arc<Files>,
    extents: Extents,
    ids: Vec<FileId>,
}

/// Two files that have been quiet for a while, with runs in both.
fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::new(4);
    let mut ids = Vec::new();
    for n in 0..2_u8 {
        let path = dir.path().join(n.to_string());
        fs::write(&path, vec![n + 1; 100_000]).unwrap();
        age(&path);
        ids.push(files.add(path, Some([n; 8])));
    }
    let mut builder = ExtentsBuilder::new(Arc::clone(&files));
    for (n, offset, length) in [(1, 5, 40_000), (0, 0, 30_000), (1, 60_000, 40_000)] {
        builder.push(ids[n], offset, length).unwrap();
    }
    Scene { dir, files, extents: builder.finish(), ids }
}

fn hash(extents: &Extents) -> PieceHashes {
    hash_extents(extents, BLOCK_BYTES, &AtomicBool::new(false)).unwrap()
}

fn age(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
}

impl Scene {
    fn path(&self, n: usize) -> PathBuf {
        self.dir.path().join(n.to_string())
    }

    fn before(&self) -> Before {
        Before::of(&self.files, self.ids.iter().copied()).unwrap()
    }

    fn hashes(&self) -> PieceHashes {
        hash(&self.extents)
    }

    fn made(&self) -> MadeHashes {
        MadeHashes::new(self.before(), &self.extents, &self.hashes()).unwrap()
    }

    fn restore(&self, made: &MadeHashes) -> Option<(Extents, PieceHashes)> {
        let id = |path: &Path| self.ids.iter().copied().find(|id| self.files.path(*id).unwrap() == path);
        made.restore(&self.files, id)
    }
}

#[test]
fn hashes_of_files_that_did_not_change_are_not_made_again() {
    let scene = scene();
    let db = ResumeDb::open(&scene.dir.path().join("resume.redb"));
    let key = [3; 32];
    assert!(db.made(&key).is_none());
    assert!(db.keep_made(&key, &scene.made()));
    let (extents, hashes) = scene.restore(&db.made(&key).unwrap()).unwrap();
    assert_eq!(hashes, scene.hashes());
    assert_eq!(hash(&extents), hashes);
}

#[test]
fn a_file_that_changed_or_is_not_known_makes_its_hashes_worthless_and_one_that_is_gone_does_not() {
    let scene = scene();
    let (made, hashes) = (scene.made(), scene.hashes());
    assert!(made.restore(&scene.files, |_| None).is_none());
    let mut bytes = fs::read(scene.path(0)).unwrap();
    bytes[9] ^= 1;
    fs::write(scene.path(0), &bytes).unwrap();
    assert!(scene.restore(&made).is_none());
    fs::remove_file(scene.path(0)).unwrap();
    assert_eq!(scene.restore(&made).unwrap().1, hashes);
}

#[test]
fn hashes_of_files_that_changed_meanwhile_or_a_moment_ago_are_not_kept() {
    let scene = scene();
    let (before, hashes) = (scene.before(), scene.hashes());
    fs::write(scene.path(1), vec![9; 100_000]).unwrap();
    assert!(MadeHashes::new(before, &scene.extents, &hashes).is_none(), "meanwhile");
    assert!(MadeHashes::new(scene.before(), &scene.extents, &hashes).is_none(), "a moment ago");
    age(&scene.path(1));
    assert!(MadeHashes::new(scene.before(), &scene.extents, &hashes).is_some());
    fs::remove_file(scene.path(1)).unwrap();
    assert!(Before::of(&scene.files, scene.ids.iter().copied()).is_none(), "gone");
}

proptest! {
    #[test]
    fn damage_is_found(at: proptest::sample::Index, flip in 1..=255u8, cut: proptest::sample::Index) {
        static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| scene().made().encode());
        let bytes = &*BYTES;
        let mut spoiled = bytes.clone();
        spoiled[at.index(bytes.len())] ^= flip;
        prop_assert_eq!(MadeHashes::decode(&spoiled), None);
        prop_assert_eq!(MadeHashes::decode(&bytes[..cut.index(bytes.len())]), None);
    }

    /// Fields that lie about their lengths, behind a digest that is right.
    #[test]
    fn any_fields_decode_to_hashes_or_to_nothing(fields in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = RecordWriter::new(VERSION);
        out.bytes(&fields);
        if let Some(made) = MadeHashes::decode(&out.finish()) {
            let v1 = made.hashes.v1.as_ref().map_or(0, Vec::len);
            prop_assert!(made.files.len() + made.runs.len() + v1 <= fields.len());
            prop_assert!(made.restore(&Files::new(1), |_| None).is_none());
        }
    }
}
