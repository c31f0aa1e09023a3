//! The database of a state folder, which never stands in the way: what cannot be read is hashed again.

use std::path::Path;

use redb::TableDefinition;

use super::{DatabaseFile, MadeHashes, ResumeRecord};

type Table = TableDefinition<'static, [u8; 32], &'static [u8]>;

const TORRENTS: Table = TableDefinition::new("torrents");
const MADE: Table = TableDefinition::new("made hashes");

/// Records by key, in one file: see [`DatabaseFile`]. Thread-safe; no call fails.
pub struct ResumeDb {
    file: DatabaseFile,
}

impl ResumeDb {
    /// Opens the file, or makes it; its folder must exist. One process at a time.
    pub fn open(path: &Path) -> Self {
        let file = DatabaseFile::new(path, "what is on disk will be hashed again at the next start");
        let db = Self { file };
        db.file.write(|transaction| {
            // A table that is read must be there.
            transaction.open_table(TORRENTS)?;
            transaction.open_table(MADE)?;
            Ok(())
        });
        db
    }

    /// Lets go of the file; a later call opens it again.
    pub fn close(&self) {
        self.file.close();
    }

    /// What a person should know, since the last call.
    pub fn warnings(&self) -> Vec<String> {
        self.file.warnings()
    }

    /// The record under a key; `None` when there is none, or none that can be read.
    pub fn load(&self, key: &[u8; 32]) -> Option<ResumeRecord> {
        self.get(TORRENTS, key, ResumeRecord::decode)
    }

    /// Keeps a record in the place of an earlier one; on the medium when this returns. False when it is not kept.
    pub fn save(&self, key: &[u8; 32], record: &ResumeRecord) -> bool {
        self.put(TORRENTS, key, &record.encode())
    }

    /// Drops the record under a key.
    pub fn forget(&self, key: &[u8; 32]) {
        self.remove(TORRENTS, key);
    }

    /// The hashes that were made of something under a key; as [`Self::load`].
    pub fn made(&self, key: &[u8; 32]) -> Option<MadeHashes> {
        self.get(MADE, key, MadeHashes::decode)
    }

    /// Keeps hashes; as [`Self::save`].
    pub fn keep_made(&self, key: &[u8; 32], made: &MadeHashes) -> bool {
        self.put(MADE, key, &made.encode())
    }

    fn get<T>(&self, table: Table, key: &[u8; 32], decode: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let found = self.file.read(|transaction| {
            let value = transaction.open_table(table)?.get(key)?;
            Ok(value.map(|value| decode(value.value())))
        })??;
        if found.is_none() {
            self.file.warn("a record is damaged or of another version");
        }
        found
    }

    fn put(&self, table: Table, key: &[u8; 32], value: &[u8]) -> bool {
        self.file.write(|transaction| Ok(transaction.open_table(table)?.insert(key, value).map(drop)?))
    }

    fn remove(&self, table: Table, key: &[u8; 32]) {
        self.file.write(|transaction| Ok(transaction.open_table(table)?.remove(key).map(drop)?));
    }
}

#[cfg(test)]
#[path = "database_test.rs"]
mod tests;
