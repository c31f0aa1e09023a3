#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);
const BYTES: u64 = 64 * 1024;

struct Owner {
    dir: tempfile::TempDir,
    files: Arc<Files>,
    ids: Vec<FileId>,
}

impl Owner {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("node")).unwrap();
        let files = Files::new(2);
        let mut owner = Self { dir, files, ids: Vec::new() };
        for n in 0..4 {
            fs::write(owner.path(n), vec![n as u8 + 1; BYTES as usize]).unwrap();
        }
        owner.again();
        owner
    }

    /// As after a restart.
    fn again(&mut self) {
        self.files = Files::new(2);
        self.ids = (0..4).map(|n| self.files.add(self.path(n), None)).collect();
    }

    fn aged(&self) -> impl Iterator<Item = (u32, FileId)> {
        (0..).zip(self.ids.iter().copied())
    }

    fn path(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("node/blk{n}.dat"))
    }

    fn keep(&self, budget: u64) -> KeptFiles {
        let kept = KeptFiles::open(Arc::clone(&self.files), &self.dir.path().join("kept"), budget).unwrap();
        kept.hold(self.aged());
        kept
    }

    /// The first byte of a file where it is read from now; `None` when it cannot be.
    fn read(&self, n: usize) -> Option<u8> {
        let mut byte = [0];
        self.files.forget_identities();
        self.files.open(self.ids[n]).ok()?.file.read_exact_at(&mut byte, 0).unwrap();
        Some(byte[0])
    }
}

fn pace() -> HashPace {
    HashPace::new(0, 1)
}

#[test]
fn deleted_files_stay_within_the_budget_and_the_oldest_makes_room() {
    let mut owner = Owner::new();
    let kept = owner.keep(2 * BYTES);
    assert_eq!(kept.collect(&pace(), &NEVER), Collected::default());
    fs::remove_file(owner.path(0)).unwrap();
    fs::remove_file(owner.path(1)).unwrap();
    let first = kept.collect(&pace(), &NEVER);
    assert_eq!((first.kept.len(), first.dropped.len(), first.errors.len()), (2, 0, 0));
    assert!(first.kept.iter().all(|file| file.survives && file.bytes == BYTES));
    assert_eq!((owner.read(0), owner.read(1), owner.read(2)), (Some(1), Some(2), Some(3)));

    kept.hold(owner.aged());
    fs::remove_file(owner.path(2)).unwrap();
    let second = kept.collect(&pace(), &NEVER);
    assert_eq!((second.kept.len(), second.dropped), (1, vec![owner.path(0)]));
    assert_eq!((owner.read(0), owner.read(1), owner.read(2)), (None, Some(2), Some(3)));
    assert_eq!((kept.kept().len(), owner.files.unlinked_bytes()), (2, 0));

    // The next run finds them.
    drop(kept);
    owner.again();
    assert_eq!(owner.read(1), None);
    let kept = owner.keep(2 * BYTES);
    assert_eq!(
        (owner.read(0), owner.read(1), owner.read(2), owner.read(3)),
        (None, Some(2), Some(3), Some(4))
    );
    let names: Vec<PathBuf> = kept.kept().into_iter().map(|file| file.path).collect();
    assert_eq!(names, [owner.path(1), owner.path(2)]);
}

#[test]
fn a_file_that_cannot_be_linked_is_copied_from_its_descriptor_and_one_that_cannot_be_copied_stays_open() {
    let owner = Owner::new();
    let kept = owner.keep(8 * BYTES);
    let folder = owner.dir.path().join("kept");
    // As where the system allows no links.
    fs::remove_dir_all(&folder).unwrap();
    for entry in kept.state.lock().values_mut() {
        let id = entry.id.unwrap();
        owner.files.relocate(id, &entry.path);
        (entry.survives, entry.file) = (false, Some(owner.files.hold(id).unwrap()));
    }
    fs::create_dir(&folder).unwrap();
    fs::remove_file(owner.path(0)).unwrap();
    let first = kept.collect(&pace(), &NEVER);
    assert!(first.kept[0].survives && first.errors.is_empty());
    assert_eq!(fs::read(folder.join("blk0.dat")).unwrap(), vec![1; BYTES as usize]);
    assert_eq!((owner.read(0), owner.files.unlinked_bytes()), (Some(1), 0));

    fs::remove_dir_all(&folder).unwrap();
    fs::remove_file(owner.path(1)).unwrap();
    let second = kept.collect(&pace(), &NEVER);
    assert!(!second.kept[0].survives && second.errors.len() == 1);
    assert_eq!((owner.read(1), owner.files.unlinked_bytes()), (Some(2), BYTES));
}

#[test]
fn links_to_files_that_their_owner_still_has_go_with_us() {
    let owner = Owner::new();
    let folder = owner.dir.path().join("kept");
    let kept = owner.keep(BYTES);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "twice the budget");
    fs::write(folder.join("blk9.part"), "half a copy").unwrap();
    kept.release();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    owner.keep(BYTES).release();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!((0..4).all(|n| owner.read(n) == Some(n as u8 + 1)));
}
