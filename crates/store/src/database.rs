//! The two databases behind one door: transactions, timeouts, repetition.

mod link;
mod postgres;
mod sqlite;

use crate::StoreError;
use crate::error::{ATTEMPTS, Failure};
use crate::query::{Query, Row};
use postgres::Postgres;
use sqlite::Sqlite;
use std::path::Path;
use std::time::Duration;

/// Longest wait for a free connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// Longest wait for one statement. A database that hangs is noticed after this time.
const STATEMENT: Duration = Duration::from_secs(5);

/// What a committed write survives.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Database {
    /// Opens or creates a SQLite file, readable by its owner only.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Sqlite::open(path).await.map(Self::Sqlite)
    }

    /// Connects to a PostgreSQL database.
    pub(crate) async fn postgres(url: &str) -> Result<Self, StoreError> {
        Postgres::connect(url).await.map(Self::Postgres)
    }

    /// Reads every row.
    pub(crate) async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(file) => file.rows(query).await?,
            Self::Postgres(database) => database.rows(query).await?,
        })
    }

    /// Reads the first row, where there is one.
    pub(crate) async fn row(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(file) => file.row(query).await?,
            Self::Postgres(database) => database.row(query).await?,
        })
    }

    /// Runs one writing statement by itself and says how many rows it touched.
    pub(crate) async fn run(
        &self,
        durability: Durability,
        query: Query,
    ) -> Result<u64, StoreError> {
        repeated(|| async {
            match self {
                Self::Sqlite(file) => file.run(durability, query.clone()).await,
                Self::Postgres(database) => database.run(durability, query.clone()).await,
            }
        })
        .await
    }

    /// Begins a writing transaction. On SQLite it has the write lock from the start.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Transaction, Failure> {
        Ok(match self {
            Self::Sqlite(file) => Transaction::Sqlite(file.begin(durability).await?),
            Self::Postgres(database) => Transaction::Postgres(database.begin(durability).await?),
        })
    }
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

/// Waits for a statement, and not for ever.
async fn within<T, E: Into<Failure>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    tokio::time::timeout(STATEMENT, work).await.map_err(|_| late())?.map_err(Into::into)
}

fn late() -> StoreError {
    StoreError::Unavailable("no answer in time".to_owned())
}

/// A writing transaction. Dropped without [`Self::commit`], it is undone.
pub(crate) enum Transaction {
    Sqlite(sqlite::Open),
    Postgres(postgres::Open),
}

impl Transaction {
    /// Reads every row.
    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, Failure> {
        match self {
            Self::Sqlite(open) => open.rows(query).await,
            Self::Postgres(open) => open.rows(query).await,
        }
    }

    /// Reads the only row. Errors: [`StoreError::Missing`] where there is none.
    pub(crate) async fn row(&mut self, query: Query) -> Result<Row, Failure> {
        let first = self.rows(query).await?.into_iter().next();
        first.ok_or(Failure::Final(StoreError::Missing))
    }

    /// Runs a writing statement and says how many rows it touched.
    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, Failure> {
        match self {
            Self::Sqlite(open) => open.run(query).await,
            Self::Postgres(open) => open.run(query).await,
        }
    }

    /// Locks rows until the end of the transaction: decide under lock (STYLE §1).
    ///
    /// `for_update` is a `SELECT … FOR UPDATE` and is sent to PostgreSQL alone: a SQLite
    /// transaction holds the only write lock since its beginning.
    pub(crate) async fn lock(&mut self, for_update: Query) -> Result<(), Failure> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(open) => open.rows(for_update).await.map(drop),
        }
    }

    /// Runs a text of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(open) => open.script(sql).await,
            Self::Postgres(open) => open.script(sql).await,
        }
    }

    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(open) => open.commit().await,
            Self::Postgres(open) => open.commit().await,
        }
    }
}
