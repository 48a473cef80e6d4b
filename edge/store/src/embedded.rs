//! The embedded store: one redb file for a machine that has no other master.
//!
//! Every commit is on the disk when it returns. The file belongs to one process at a time. After any error the file is
//! closed and opened again on the next use, because redb refuses to go on after a failed write.
//!
//! After a kill redb walks the whole file before it opens: half a second for a million records of 200 bytes, and reading
//! them takes another quarter. Its `quick_repair` would save the walk and cost a third of the commits a second at 64
//! writes a commit, so it stays off.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use model::id::Term;
use model::turn::Write;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition,
};

use crate::format;
use crate::{Each, Store, StoreError};

const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// In the meta table: the highest term so far, a big-endian number.
const TERM: &str = "term";

/// Pages that stay in memory. All reads are served from snapshots, so this need only hold what commits touch.
const CACHE_BYTES: usize = 64 << 20;
/// What has to be free before the store goes on after it ran out of space.
const PROBE_BYTES: u64 = 16 << 20;

/// The state has in it what tasks are told in confidence.
const FILE_MODE: u32 = 0o600;

/// The whole state in `state.redb` of one directory.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    open: Option<Database>,
    term: Term,
}

impl Embedded {
    /// Opens the store in `dir`, and makes both if they are missing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir)
            .map_err(|cause| mishap(cause, format!("making the directory {}", dir.display())))?;
        let mut store = Self { path: dir.join("state.redb"), open: None, term: Term(0) };
        store.database()?;
        Ok(store)
    }

    /// Opens the file again after an error closed it.
    fn database(&mut self) -> Result<&Database, StoreError> {
        if self.open.is_none() {
            keep_private(&self.path)
                .map_err(|cause| mishap(cause, format!("making {}", self.path.display())))?;
            let (database, term) = self.unless_damaged(|| {
                let database = Database::builder().set_cache_size(CACHE_BYTES).create(&self.path);
                let database = database.map_err(|cause| self.explain(cause))?;
                let term = prepare(&database, &self.path)?;
                Ok((database, term))
            })?;
            (self.term, self.open) = (term, Some(database));
        }
        Ok(self.open.as_ref().expect("opened above"))
    }

    fn explain(&self, cause: DatabaseError) -> StoreError {
        let strange = |cause: String| StoreError::Damaged { path: self.path.clone(), cause };
        match cause {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: self.path.clone() },
            DatabaseError::Storage(StorageError::Corrupted(cause)) => strange(cause),
            DatabaseError::Storage(StorageError::Io(cause))
                if cause.kind() == io::ErrorKind::InvalidData =>
            {
                strange(cause.to_string())
            }
            cause @ (DatabaseError::Storage(_)
            | DatabaseError::LockProtocolMismatch
            | DatabaseError::RepairAborted
            | DatabaseError::UpgradeRequired(_)
            | DatabaseError::TransactionInProgress
            | _) => failed(cause, format!("opening {}", self.path.display())),
        }
    }

    /// redb takes it for granted that pages which it reads are pages that it wrote, and panics where they are not.
    fn unless_damaged<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = catch_unwind(AssertUnwindSafe(work));
        done.unwrap_or_else(|_| {
            let cause = "what is in it is not what was written".to_owned();
            Err(StoreError::Damaged { path: self.path.clone(), cause })
        })
    }

    /// Runs `work`; an error closes the file.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = work(self.database()?);
        if done.is_err() {
            self.open = None;
        }
        done
    }
}

impl Store for Embedded {
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError> {
        self.database()?;
        let loaded = self.unless_damaged(|| {
            let database = self.open.as_ref().expect("opened above");
            let reading = database.begin_read().map_err(|e| failed(e, "reading the state"))?;
            let state = reading.open_table(STATE).map_err(|e| failed(e, "reading the state"))?;
            for entry in state.iter().map_err(|e| failed(e, "reading the state"))? {
                let (key, value) = entry.map_err(|e| failed(e, "reading the state"))?;
                each(key.value(), value.value())?;
            }
            Ok(())
        });
        if loaded.is_err() {
            self.open = None;
        }
        loaded
    }

    fn lead(&mut self) -> Result<Term, StoreError> {
        self.database()?;
        let term = Term(self.term.0 + 1);
        self.set_meta(TERM, &term.0.to_be_bytes())?;
        self.term = term;
        Ok(term)
    }

    fn commit(&mut self, term: Term, writes: &[Write]) -> Result<(), StoreError> {
        self.database()?;
        if term < self.term {
            return Err(StoreError::Fenced { term, by: self.term });
        }
        self.with(|database| write(database, writes))
    }

    fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| read_meta(database, name))
    }

    fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.with(|database| write_meta(database, &[(name, value)]))
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        let path = self.path.with_extension("probe");
        let asked = File::create(&path).and_then(|file| {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, PROBE_BYTES)?;
            Ok(())
        });
        // It may not have come into being.
        let _ = fs::remove_file(&path);
        asked.map_err(|cause| mishap(cause, format!("probing for space at {}", path.display())))
    }
}

/// Makes the file, which redb takes as it is, before anything is in it.
fn keep_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

/// Settles the format and makes the tables; gives the last term.
fn prepare(database: &Database, path: &Path) -> Result<Term, StoreError> {
    let writing = database.begin_write().map_err(|e| failed(e, "opening the state"))?;
    writing.open_table(STATE).map_err(|e| failed(e, "opening the state"))?;
    writing.open_table(META).map_err(|e| failed(e, "opening the state"))?;
    writing.commit().map_err(|e| failed(e, "opening the state"))?;
    let found = format::Stamp::read(|name| read_meta(database, name))?;
    if let Some(stamp) = format::settle(found, path)? {
        let [needed, release] = stamp.facts();
        write_meta(database, &[(needed.0, &needed.1), (release.0, &release.1)])?;
    }
    let term = read_meta(database, TERM)?;
    let term = term.map(|bytes| number(TERM, &bytes)).transpose()?;
    Ok(Term(term.unwrap_or_default()))
}

fn write(database: &Database, writes: &[Write]) -> Result<(), StoreError> {
    let mut writing = database.begin_write().map_err(|e| failed(e, "writing the state"))?;
    writing.set_durability(Durability::Immediate).expect("a new transaction takes any durability");
    {
        let mut state = writing.open_table(STATE).map_err(|e| failed(e, "writing the state"))?;
        for (key, value) in writes {
            match value {
                Some(value) => state.insert(key.as_slice(), value.as_slice()).map(drop),
                None => state.remove(key.as_slice()).map(drop),
            }
            .map_err(|e| failed(e, "writing the state"))?;
        }
    }
    writing.commit().map_err(|e| failed(e, "committing the state"))
}

fn read_meta(database: &Database, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let reading = database.begin_read().map_err(|e| failed(e, "reading the meta table"))?;
    let meta = reading.open_table(META).map_err(|e| failed(e, "reading the meta table"))?;
    let value = meta.get(name).map_err(|e| failed(e, "reading the meta table"))?;
    Ok(value.map(|value| value.value().to_vec()))
}

fn write_meta(database: &Database, facts: &[(&str, &[u8])]) -> Result<(), StoreError> {
    let writing = database.begin_write().map_err(|e| failed(e, "writing the meta table"))?;
    {
        let mut meta = writing.open_table(META).map_err(|e| failed(e, "writing the meta table"))?;
        for (name, value) in facts {
            meta.insert(*name, *value).map_err(|e| failed(e, "writing the meta table"))?;
        }
    }
    writing.commit().map_err(|e| failed(e, "writing the meta table"))
}

fn number(name: &str, bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes.try_into().map_err(|_| anyhow!("`{name}` of the store is not a number"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Tells a full disk from all other mishaps.
fn failed(cause: impl Into<redb::Error>, doing: impl Into<String>) -> StoreError {
    let cause = cause.into();
    if let redb::Error::Io(cause) = cause {
        return mishap(cause, doing);
    }
    StoreError::Mishap(anyhow!(cause).context(doing.into()))
}

fn mishap(cause: io::Error, doing: impl Into<String>) -> StoreError {
    if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return StoreError::NoSpace;
    }
    StoreError::Mishap(anyhow::Error::new(cause).context(doing.into()))
}
