//! SQLite: one file, connections that read and two that write.
//!
//! A statement runs on the thread that asks for it. A row found by its key is some pages of the
//! system's page cache and takes about five microseconds; handing it to another thread and
//! waking up again takes ten times as long, and that was most of what a license cost. Three
//! bounds keep such a thread from standing still:
//!
//! - Nothing waits for a lock: the busy handler is off.
//! - Nothing runs long: after some steps of SQLite's machine (`link.rs`) the statement is
//!   interrupted. Either way it begins anew on the blocking pool, where it may take its time
//!   and wait for other processes. Only what is undone without a trace
//!   is begun anew: a statement that reads, or one that is a transaction by itself.
//! - Nothing waits for the disk: a commit that a power cut must not undo, a migration, and the
//!   moving of the log into the file ([`LOG_COMMITS`]) go to the blocking pool at once.
//!
//! What remains is a page that the system has to fetch first, and a disk that hangs.
//!
//! Whatever runs on the blocking pool owns what it needs, so that a caller who gives up leaves
//! neither an open transaction nor half a write behind: it runs to its end, and a transaction
//! that nobody commits is undone when it is dropped.

use super::link::Link;
use super::{ACQUIRE, Durability, late, within};
use crate::StoreError;
use crate::error::Failure;
use crate::query::{Query, Row};
use rusqlite::{ErrorCode, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use tokio::sync::OwnedMutexGuard;
use tokio::task::{consume_budget, spawn_blocking};

/// Connections for statements that read for microseconds, on the caller's thread.
const QUICK: usize = 4;
/// Connections for statements that read for longer, on the blocking pool.
const PATIENT: usize = 2;
/// Commits at [`Durability::Process`] after which the log moves into the file: about as many as
/// fill the thousand pages at which SQLite would do it by itself, within a commit.
const LOG_COMMITS: u32 = 200;

/// A file. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Sqlite(Arc<Connections>);

struct Connections {
    quick: [Mutex<Link>; QUICK],
    patient: [Arc<tokio::sync::Mutex<Link>>; PATIENT],
    /// One lock for both: SQLite has one writer at a time, and who waits here waits in turn.
    writers: Arc<tokio::sync::Mutex<Writers>>,
}

struct Writers {
    /// `synchronous` is NORMAL, and the log stays where it is.
    process: Link,
    /// `synchronous` is FULL.
    power: Link,
    /// Commits of `process` since the log moved into the file.
    commits: u32,
}

impl Sqlite {
    /// Opens or creates a file, readable by its owner only.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let opened = spawn_blocking(move || open(&path)).await;
        opened.map_err(|_ended| StoreError::Setup("opening ended".to_owned()))?
    }

    /// Reads every row.
    pub(crate) async fn rows(&self, query: Query) -> Result<Vec<Row>, Failure> {
        self.read(query, usize::MAX).await
    }

    /// Reads the first row, where there is one.
    pub(crate) async fn row(&self, query: Query) -> Result<Option<Row>, Failure> {
        Ok(self.read(query, 1).await?.pop())
    }

    async fn read(&self, query: Query, most: usize) -> Result<Vec<Row>, Failure> {
        query.check()?;
        consume_budget().await;
        if let Some(rows) = unless_impatient(self.quick(|link| link.read(&query, most)))? {
            return Ok(rows);
        }
        let link = self.patient().await?;
        apart(move || link.patiently()?.read(&query, most)).await
    }

    /// Runs `work` on a connection for quick statements. Who holds one waits for nothing, so
    /// waiting for it is a matter of microseconds too.
    fn quick<T>(&self, work: impl FnOnce(&Link) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        for link in &self.0.quick {
            match link.try_lock() {
                Ok(link) => return work(link.hurriedly()?),
                Err(TryLockError::Poisoned(link)) => return work(link.into_inner().hurriedly()?),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let [first, ..] = &self.0.quick;
        work(first.lock().unwrap_or_else(PoisonError::into_inner).hurriedly()?)
    }

    async fn patient(&self) -> Result<OwnedMutexGuard<Link>, StoreError> {
        for link in &self.0.patient {
            if let Ok(link) = Arc::clone(link).try_lock_owned() {
                return Ok(link);
            }
        }
        let [first, ..] = &self.0.patient;
        acquired(first).await
    }

    /// Runs one writing statement by itself and says how many rows it touched.
    pub(crate) async fn run(&self, durability: Durability, query: Query) -> Result<u64, Failure> {
        query.check()?;
        let mut turn = self.turn(durability).await?;
        if !turn.waits_for_the_disk()
            && let Some(touched) = unless_impatient(turn.link().hurriedly()?.write(&query))?
        {
            turn.writers.commits += 1;
            return Ok(touched);
        }
        apart(move || {
            turn.move_the_log();
            turn.link().patiently()?.write(&query)
        })
        .await
    }

    /// Begins a writing transaction, which has the write lock from the start.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Open, Failure> {
        let mut turn = self.turn(durability).await?;
        if !turn.log_is_full() && unless_impatient(turn.link().hurriedly()?.word(BEGIN))?.is_some()
        {
            return Ok(Open(Some(turn)));
        }
        let begun = apart(move || {
            turn.move_the_log();
            turn.link().patiently()?.word(BEGIN)?;
            Ok(turn)
        });
        Ok(Open(Some(begun.await?)))
    }

    async fn turn(&self, durability: Durability) -> Result<Turn, StoreError> {
        consume_budget().await;
        let writers = match Arc::clone(&self.0.writers).try_lock_owned() {
            Ok(writers) => writers,
            Err(_) => acquired(&self.0.writers).await?,
        };
        let log_was_full = writers.commits >= LOG_COMMITS;
        Ok(Turn { writers, durability, log_was_full })
    }
}

const BEGIN: &str = "BEGIN IMMEDIATE";

/// The right to write, for one statement or one transaction.
struct Turn {
    writers: OwnedMutexGuard<Writers>,
    durability: Durability,
    /// The log moved into the file at the beginning of this turn, or is about to.
    log_was_full: bool,
}

impl Turn {
    fn link(&self) -> &Link {
        match self.durability {
            Durability::Process => &self.writers.process,
            Durability::Power => &self.writers.power,
        }
    }

    fn log_is_full(&self) -> bool {
        self.writers.commits >= LOG_COMMITS
    }

    /// Whether a commit waits for the disk: it must be there, or begins the log anew, whose
    /// head must be.
    fn waits_for_the_disk(&self) -> bool {
        self.durability == Durability::Power || self.log_was_full
    }

    /// Moves the log into the file when it is full.
    fn move_the_log(&mut self) {
        if self.log_is_full() {
            // What fails here is lost by nobody: the log is read as before, and moves later.
            let _as_before = self.writers.process.word("PRAGMA wal_checkpoint(PASSIVE)");
            self.writers.commits = 0;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.link().connection.is_autocommit() {
            let _undone_with_the_connection = self.link().connection.execute_batch("ROLLBACK");
        }
    }
}

/// A writing transaction. Dropped without [`Self::commit`], it is undone. Empty while a
/// statement is on the blocking pool, and for good when that one came back too late.
pub(crate) struct Open(Option<Turn>);

impl Open {
    /// Reads every row that a statement finds or, as it writes, returns.
    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, Failure> {
        query.check()?;
        consume_budget().await;
        let turn = self.turn()?;
        if let Some(rows) = unless_impatient(turn.link().read_in_transaction(&query))? {
            return Ok(rows);
        }
        self.apart(move |link| link.patiently()?.read(&query, usize::MAX)).await
    }

    /// Runs a writing statement and says how many rows it touched.
    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, Failure> {
        query.check()?;
        consume_budget().await;
        Ok(self.turn()?.link().patiently()?.write(&query)?)
    }

    /// Runs a text of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), Failure> {
        self.apart(move |link| link.patiently()?.connection.execute_batch(sql)).await
    }

    /// Makes it so.
    pub(crate) async fn commit(mut self) -> Result<(), Failure> {
        let turn = self.turn()?;
        if turn.waits_for_the_disk() {
            return self.apart(|link| link.patiently()?.word(COMMIT)).await;
        }
        turn.link().hurriedly()?.word(COMMIT)?;
        turn.writers.commits += 1;
        Ok(())
    }

    /// The turn, as long as its transaction is open: SQLite ends one by itself when it has to
    /// interrupt a write, and what follows must not be written without it.
    fn turn(&mut self) -> Result<&mut Turn, StoreError> {
        let turn = self.0.as_mut().ok_or_else(late)?;
        if turn.link().connection.is_autocommit() {
            return Err(StoreError::Unavailable("the transaction was undone".to_owned()));
        }
        Ok(turn)
    }

    /// Runs `work` on the blocking pool, which holds the transaction meanwhile.
    async fn apart<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Link) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.turn()?;
        let turn = self.0.take().ok_or_else(late)?;
        let (turn, outcome) = apart(move || {
            let outcome = work(turn.link());
            Ok((turn, outcome))
        })
        .await?;
        self.0 = Some(turn);
        Ok(outcome?)
    }
}

const COMMIT: &str = "COMMIT";

/// Runs `work` on the blocking pool, to its end even when nobody waits for it any more.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let ended = |_| Failure::Final(StoreError::Unavailable("the process ends".to_owned()));
    let outcome = within(async { spawn_blocking(work).await.map_err(ended) }).await?;
    Ok(outcome?)
}

async fn acquired<T>(lock: &Arc<tokio::sync::Mutex<T>>) -> Result<OwnedMutexGuard<T>, StoreError> {
    let held = tokio::time::timeout(ACQUIRE, Arc::clone(lock).lock_owned()).await;
    held.map_err(|_| StoreError::Unavailable("no connection became free in time".to_owned()))
}

/// `None` for a statement that would have had to wait, or took too long where it was called.
fn unless_impatient<T>(outcome: rusqlite::Result<T>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.sqlite_error_code() {
            Some(
                ErrorCode::OperationInterrupted
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked,
            ) => Ok(None),
            _ => Err(error.into()),
        },
    }
}

fn open(path: &Path) -> Result<Sqlite, StoreError> {
    let opening =
        create(path).map_err(|error| StoreError::Setup(format!("{}: {error}", path.display())))?;
    let writer = |synchronous: &str| {
        let link = Link::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        link.connection.pragma_update(None, "synchronous", synchronous)?;
        Ok::<_, rusqlite::Error>(link)
    };
    let power = writer("FULL")?;
    // The first connection turns the file to WAL; read-only ones cannot.
    let journal = |row: &rusqlite::Row<'_>| row.get(0);
    let mode: String =
        power.connection.pragma_update_and_check(None, "journal_mode", "WAL", journal)?;
    if mode != "wal" {
        let text = format!("{}: no write-ahead log is possible here", path.display());
        return Err(StoreError::Setup(text));
    }
    drop(opening);
    let process = writer("NORMAL")?;
    process.connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let reader = || Link::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let patient = || Ok::<_, rusqlite::Error>(Arc::new(tokio::sync::Mutex::new(reader()?)));
    Ok(Sqlite(Arc::new(Connections {
        quick: [
            Mutex::new(reader()?),
            Mutex::new(reader()?),
            Mutex::new(reader()?),
            Mutex::new(reader()?),
        ],
        patient: [patient()?, patient()?],
        writers: Arc::new(tokio::sync::Mutex::new(Writers { process, power, commits: 0 })),
    })))
}

/// Makes the file where it is missing, and holds `PATH.lock` until the value is dropped.
///
/// The turn to WAL takes a lock that SQLite's busy handler does not wait for, so openers take
/// turns. The lock is a file of its own, because closing any handle of the database's file
/// would drop the locks that SQLite holds on it in this process.
fn create(path: &Path) -> std::io::Result<File> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let owned = |options: &mut OpenOptions, path: &Path| options.write(true).mode(0o600).open(path);
    let lock = owned(OpenOptions::new().create(true).truncate(false), Path::new(&lock_path))?;
    lock.lock()?;
    // Its `-wal` and `-shm` take over the mode of the file.
    match owned(OpenOptions::new().create_new(true), path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(lock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::query;
    use std::future::poll_fn;
    use std::os::unix::fs::PermissionsExt as _;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    /// A file with one table.
    async fn file() -> (tempfile::TempDir, Sqlite) {
        let folder = tempfile::tempdir().unwrap();
        let file = Sqlite::open(&folder.path().join("x.db")).await.unwrap();
        let mut open = file.begin(Durability::Power).await.unwrap();
        open.script("CREATE TABLE rows (n BIGINT NOT NULL PRIMARY KEY)").await.unwrap();
        open.commit().await.unwrap();
        (folder, file)
    }

    fn insert(number: i64) -> Query {
        query("INSERT INTO rows (n) VALUES ($1)").bind(number)
    }

    async fn count(file: &Sqlite) -> i64 {
        let row = file.row(query("SELECT COUNT(*) AS n FROM rows")).await.unwrap();
        row.unwrap().integer("n").unwrap()
    }

    /// Begins to wait for `work`, which does not end at once.
    async fn begun<F: Future>(mut work: Pin<&mut F>) {
        poll_fn(|context| {
            assert!(work.as_mut().poll(context).is_pending(), "it has ended");
            Poll::Ready(())
        })
        .await;
    }

    /// Begins to wait for `work` and gives it up.
    async fn give_up(work: impl Future) {
        begun(pin!(work)).await;
    }

    const MANY: &str = "WITH RECURSIVE numbers (n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000) ";

    #[tokio::test]
    async fn a_long_read_ends_on_the_blocking_pool() {
        let (_folder, file) = file().await;
        let sql = format!("{MANY} SELECT COUNT(*) AS n FROM numbers").leak();
        let row = file.row(query(sql)).await.unwrap().unwrap();
        assert_eq!(row.integer("n").unwrap(), 300_000);
        let mut open = file.begin(Durability::Process).await.unwrap();
        open.run(insert(1)).await.unwrap();
        assert_eq!(open.rows(query(sql)).await.unwrap()[0].integer("n").unwrap(), 300_000);
        open.commit().await.unwrap();
        assert_eq!(count(&file).await, 1, "the transaction outlives the interruption");
    }

    #[tokio::test]
    async fn a_long_write_is_made_once() {
        let (_folder, file) = file().await;
        let sql = format!("INSERT INTO rows (n) {MANY} SELECT n FROM numbers").leak();
        assert_eq!(file.run(Durability::Process, query(sql)).await.unwrap(), 300_000);
        assert_eq!(count(&file).await, 300_000);
    }

    #[tokio::test]
    async fn what_nobody_commits_is_undone_and_the_next_one_writes() {
        let (_folder, file) = file().await;
        for durability in [Durability::Process, Durability::Power] {
            let mut open = file.begin(durability).await.unwrap();
            open.run(insert(1)).await.unwrap();
            drop(open);
            assert_eq!(count(&file).await, 0);
        }
        file.run(Durability::Process, insert(1)).await.unwrap();
        assert_eq!(count(&file).await, 1);
    }

    #[tokio::test]
    async fn a_statement_given_up_in_a_transaction_undoes_it() {
        let (_folder, file) = file().await;
        let mut open = file.begin(Durability::Process).await.unwrap();
        open.run(insert(1)).await.unwrap();
        let long = format!("INSERT INTO rows (n) {MANY} SELECT n + 1 FROM numbers").leak();
        give_up(open.script(long)).await;
        assert!(open.run(insert(3)).await.is_err(), "it is gone for who holds it");
        drop(open);
        // Waits for its turn until the pool is done with the other.
        file.run(Durability::Process, insert(4)).await.unwrap();
        assert_eq!(count(&file).await, 1);
    }

    #[tokio::test]
    async fn a_commit_given_up_is_whole_and_leaves_nothing_open() {
        let (_folder, file) = file().await;
        let mut open = file.begin(Durability::Power).await.unwrap();
        open.run(insert(1)).await.unwrap();
        open.run(insert(2)).await.unwrap();
        // Whether it has ended by then or not.
        let mut commit = Box::pin(open.commit());
        poll_fn(|context| {
            let _either = commit.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
        drop(commit);
        file.run(Durability::Process, insert(3)).await.unwrap();
        assert_eq!(count(&file).await, 3);
    }

    #[tokio::test]
    async fn a_write_given_up_in_the_queue_is_not_made() {
        let (_folder, file) = file().await;
        let open = file.begin(Durability::Process).await.unwrap();
        give_up(file.run(Durability::Process, insert(1))).await;
        drop(open);
        file.run(Durability::Power, insert(2)).await.unwrap();
        assert_eq!(count(&file).await, 1);
    }

    #[tokio::test]
    async fn an_interrupted_write_ends_its_transaction_and_nothing_follows_it() {
        let (_folder, file) = file().await;
        let mut open = file.begin(Durability::Process).await.unwrap();
        open.run(insert(1)).await.unwrap();
        let sql = format!("INSERT INTO rows (n) {MANY} SELECT n + 1 FROM numbers").leak();
        let link = open.turn().unwrap().link().hurriedly().unwrap();
        assert!(unless_impatient(link.write(&query(sql))).unwrap().is_none());
        assert!(open.run(insert(2)).await.is_err());
        assert!(open.commit().await.is_err());
        assert_eq!(count(&file).await, 0);
    }

    #[tokio::test]
    async fn a_writer_waits_for_another_process() {
        let (folder, file) = file().await;
        let path = folder.path().join("x.db");
        for begins in [false, true] {
            let other = rusqlite::Connection::open(&path).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let number = i64::from(begins);
            let mut writes = pin!(async {
                if begins {
                    let mut open = file.begin(Durability::Process).await?;
                    open.run(insert(number)).await?;
                    open.commit().await
                } else {
                    file.run(Durability::Process, insert(number)).await.map(drop)
                }
            });
            begun(writes.as_mut()).await;
            other.execute_batch("COMMIT").unwrap();
            writes.await.unwrap();
        }
        assert_eq!(count(&file).await, 2);
    }

    #[tokio::test]
    async fn the_log_does_not_grow_for_ever() {
        let (folder, file) = file().await;
        for number in 0..10 * i64::from(LOG_COMMITS) {
            if number % 2 == 0 {
                file.run(Durability::Process, insert(number)).await.unwrap();
            } else {
                let mut open = file.begin(Durability::Process).await.unwrap();
                open.run(insert(number)).await.unwrap();
                open.commit().await.unwrap();
            }
        }
        let log = std::fs::metadata(folder.path().join("x.db-wal")).unwrap();
        assert!(log.len() < 8 * 1024 * 1024, "{} bytes", log.len());
        assert_eq!(count(&file).await, 10 * i64::from(LOG_COMMITS));
    }

    #[tokio::test]
    async fn a_file_and_its_log_are_their_owners_only() {
        let (folder, _file) = file().await;
        for name in ["x.db", "x.db-wal", "x.db-shm", "x.db.lock"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn each_durability_syncs_as_it_promises() {
        let (_folder, file) = file().await;
        for (durability, level) in [(Durability::Process, 1), (Durability::Power, 2)] {
            let turn = file.turn(durability).await.unwrap();
            let ask =
                |name| turn.link().connection.pragma_query_value(None, name, |row| row.get(0));
            assert_eq!(ask("synchronous"), Ok(level));
            assert_eq!(ask("foreign_keys"), Ok(1));
        }
    }
}
