//! The two databases behind one door: pools, transactions, timeouts, repetition.

use crate::StoreError;
use crate::error::{ATTEMPTS, Failure};
use crate::query::{Query, Row};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

/// Longest wait for a free connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// Longest wait for one statement. A database that hangs is noticed after this time.
const STATEMENT: Duration = Duration::from_secs(5);
/// Longest wait for the write lock of SQLite, which another process may hold.
const BUSY: Duration = Duration::from_secs(4);
/// Reading connections to a SQLite file.
const SQLITE_READERS: u32 = 4;
/// PostgreSQL connections for reads and for writes that a power cut may undo.
const POSTGRES_QUICK: u32 = 16;
/// PostgreSQL connections for durable writes.
const POSTGRES_DURABLE: u32 = 8;

/// What a committed write survives.
#[derive(Clone, Copy)]
pub(crate) enum Durability {
    /// The end of the process. A power cut may undo the last moments: stream slots, resume
    /// points. Does not wait for the disk.
    Process,
    /// A power cut too: everything that cannot be had again.
    Power,
}

/// One database: a SQLite file or a PostgreSQL database.
#[derive(Clone)]
pub(crate) enum Database {
    /// `reads` sees every committed write. Writers wait for each other in the pools of one
    /// connection, and for other processes in SQLite's busy handler.
    Sqlite { reads: SqlitePool, process: SqlitePool, power: SqlitePool },
    /// `process` has `synchronous_commit` off and serves reads too.
    Postgres { process: PgPool, power: PgPool },
}

impl Database {
    /// Opens or creates a SQLite file, readable by its owner only.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        let own = path.to_owned();
        let opening = tokio::task::spawn_blocking(move || create(&own)).await;
        let opening = opening.map_err(|_ended| StoreError::Setup("opening ended".to_owned()))?;
        let opening =
            opening.map_err(|error| StoreError::Setup(format!("{}: {error}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .synchronous(SqliteSynchronous::Full);
        // The first connection turns the file to WAL; read-only ones cannot.
        let power = sqlite_pool(1, options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
        drop(opening);
        let process = options.clone().synchronous(SqliteSynchronous::Normal);
        Ok(Self::Sqlite {
            process: sqlite_pool(1, process).await?,
            reads: sqlite_pool(SQLITE_READERS, options.read_only(true)).await?,
            power,
        })
    }

    /// Connects to a PostgreSQL database.
    pub(crate) async fn postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Setup(format!("the database's URL: {error}")))?
            .application_name("strongroom")
            .options([
                ("statement_timeout", "5s"),
                ("lock_timeout", "4s"),
                ("idle_in_transaction_session_timeout", "10s"),
            ]);
        let pool = |size: u32, commit| {
            PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(ACQUIRE)
                .connect_with(options.clone().options([("synchronous_commit", commit)]))
        };
        Ok(Self::Postgres {
            process: pool(POSTGRES_QUICK, "off").await?,
            power: pool(POSTGRES_DURABLE, "on").await?,
        })
    }

    /// Reads every row.
    pub(crate) async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { reads, .. } => {
                let rows = within(query.prepare()?.fetch_all(reads)).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres { process, .. } => {
                let rows = within(query.prepare()?.fetch_all(process)).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Reads the first row, where there is one.
    pub(crate) async fn row(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { reads, .. } => {
                within(query.prepare()?.fetch_optional(reads)).await?.map(Row::Sqlite)
            }
            Self::Postgres { process, .. } => {
                within(query.prepare()?.fetch_optional(process)).await?.map(Row::Postgres)
            }
        })
    }

    /// Runs one writing statement by itself and says how many rows it touched.
    pub(crate) async fn run(
        &self,
        durability: Durability,
        query: Query,
    ) -> Result<u64, StoreError> {
        repeated(|| async {
            match (self, durability) {
                (Self::Sqlite { process: pool, .. }, Durability::Process)
                | (Self::Sqlite { power: pool, .. }, Durability::Power) => {
                    Ok(within(query.clone().prepare()?.execute(pool)).await?.rows_affected())
                }
                (Self::Postgres { process: pool, .. }, Durability::Process)
                | (Self::Postgres { power: pool, .. }, Durability::Power) => {
                    Ok(within(query.clone().prepare()?.execute(pool)).await?.rows_affected())
                }
            }
        })
        .await
    }

    /// Begins a writing transaction. On SQLite it has the write lock from the start.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Transaction, Failure> {
        Ok(match (self, durability) {
            (Self::Sqlite { process: pool, .. }, Durability::Process)
            | (Self::Sqlite { power: pool, .. }, Durability::Power) => {
                Transaction::Sqlite(within(pool.begin_with("BEGIN IMMEDIATE")).await?)
            }
            (Self::Postgres { process: pool, .. }, Durability::Process)
            | (Self::Postgres { power: pool, .. }, Durability::Power) => {
                Transaction::Postgres(within(pool.begin()).await?)
            }
        })
    }
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

async fn sqlite_pool(size: u32, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    // A connection to a file cannot go stale: no test before each use, no end of life.
    let pool = SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options);
    Ok(within(pool).await?)
}

/// Runs `attempt` again when it lost against a parallel transaction, [`ATTEMPTS`] times in all.
pub(crate) async fn repeated<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Failure>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Failure::Lost(_)) => {}
            Err(Failure::Final(error)) => return Err(error),
            Ok(value) => return Ok(value),
        }
    }
    Ok(attempt().await?)
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(STATEMENT, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned()).into()),
    }
}

/// A writing transaction. Dropped without [`Self::commit`], it is undone.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    /// Reads every row.
    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, Failure> {
        Ok(match self {
            Self::Sqlite(open) => {
                let rows = within(query.prepare()?.fetch_all(&mut **open)).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(open) => {
                let rows = within(query.prepare()?.fetch_all(&mut **open)).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Reads the only row. Errors: [`StoreError::Missing`] where there is none.
    pub(crate) async fn row(&mut self, query: Query) -> Result<Row, Failure> {
        let first = self.rows(query).await?.into_iter().next();
        first.ok_or(Failure::Final(StoreError::Missing))
    }

    /// Runs a writing statement and says how many rows it touched.
    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, Failure> {
        Ok(match self {
            Self::Sqlite(open) => {
                within(query.prepare()?.execute(&mut **open)).await?.rows_affected()
            }
            Self::Postgres(open) => {
                within(query.prepare()?.execute(&mut **open)).await?.rows_affected()
            }
        })
    }

    /// Locks rows until the end of the transaction: decide under lock (STYLE §1).
    ///
    /// `for_update` is a `SELECT … FOR UPDATE` and is sent to PostgreSQL alone: a SQLite
    /// transaction holds the only write lock since its beginning.
    pub(crate) async fn lock(&mut self, for_update: Query) -> Result<(), Failure> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => self.rows(for_update).await.map(drop),
        }
    }

    /// Runs a text of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(open) => within(sqlx::raw_sql(sql).execute(&mut **open)).await.map(drop),
            Self::Postgres(open) => within(sqlx::raw_sql(sql).execute(&mut **open)).await.map(drop),
        }
    }

    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(open) => within(open.commit()).await,
            Self::Postgres(open) => within(open.commit()).await,
        }
    }
}
