#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::testdir::{TestBlock, hard_chain};
use super::*;
use crate::encode::sha256d;
use std::fs;
use tempfile::TempDir;

static NEVER: AtomicBool = AtomicBool::new(false);

/// Two segments of three blocks, the second one's files in a folder.
struct Scene {
    dir: TempDir,
    params: Params,
    blocks: Vec<TestBlock>,
}

impl Scene {
    fn new() -> Self {
        let (params, blocks) = hard_chain(6);
        let scene = Self { dir: tempfile::tempdir().unwrap(), params, blocks };
        scene.write("blocks", &scene.blocks[3..].iter().flat_map(TestBlock::record).collect::<Vec<u8>>());
        scene.write("spent", &scene.blocks[3..].iter().flat_map(TestBlock::undo).collect::<Vec<u8>>());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        let file = fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        self.write(name, &bytes);
    }

    fn open(&self) -> Result<SegmentFiles, ScanError> {
        SegmentFiles::open(&self.params, 1, &self.path("blocks"), Some(&self.path("spent")))
    }

    fn hashed(&self, kind: SegmentKind, db: Option<&ResumeDb>) -> Result<HashedFile, ScanError> {
        self.open()?.hashed(kind, 16384, db, &NEVER)
    }
}

#[test]
fn files_are_checked_once_and_remembered() {
    let scene = Scene::new();
    let files = scene.open().unwrap();
    let hashes: Vec<_> = files.headers().iter().map(|header| sha256d([&header[..]])).collect();
    assert_eq!(hashes, scene.blocks[3..].iter().map(|block| block.hash).collect::<Vec<_>>());
    let db = ResumeDb::open(&scene.path("resume.redb"));
    for kind in [SegmentKind::Blocks, SegmentKind::Spent] {
        let first = scene.hashed(kind, Some(&db)).unwrap();
        let again = scene.hashed(kind, Some(&db)).unwrap();
        assert_eq!((first.is_remembered, again.is_remembered), (false, true));
        assert_eq!(first.extents.length(), fs::metadata(scene.path(kind.name())).unwrap().len());
    }
}

#[test]
fn another_length_is_noticed_at_once() {
    let changes: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes.truncate(200), |bytes| bytes.push(0), |bytes| bytes[0] ^= 1];
    for change in changes {
        let scene = Scene::new();
        scene.change("blocks", change);
        assert_eq!(scene.open().err().unwrap().code(), "ERR_BLOCK_DAMAGED");
    }
}

#[test]
fn a_damaged_block_or_record_is_named() {
    let scene = Scene::new();
    scene.change("blocks", |bytes| *bytes.last_mut().unwrap() ^= 1);
    let error = scene.hashed(SegmentKind::Blocks, None).err().unwrap();
    assert!(error.to_string().ends_with("height 5: bad-txnmrklroot"), "{error}");
    let scene = Scene::new();
    scene.change("spent", |bytes| *bytes.last_mut().unwrap() ^= 1);
    let error = scene.hashed(SegmentKind::Spent, None).err().unwrap();
    assert_eq!(error.to_string(), "segment 1 has no spent file: block 5: checksum mismatch");
    scene.change("spent", |bytes| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes.push(0);
    });
    let error = scene.hashed(SegmentKind::Spent, None).err().unwrap();
    assert!(error.to_string().contains("bytes follow its last record"), "{error}");
    scene.write("spent", &[]);
    assert!(scene.hashed(SegmentKind::Spent, None).is_err());
}
