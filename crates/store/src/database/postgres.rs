//! PostgreSQL: two pools over the network, through sqlx.

use super::{ACQUIRE, Durability, within};
use crate::StoreError;
use crate::error::Failure;
use crate::query::{Query, Row, Value};
use sqlx::PgPool;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow};
use std::str::FromStr as _;

/// Connections for reads and for writes that a power cut may undo.
const QUICK: u32 = 16;
/// Connections for durable writes.
const DURABLE: u32 = 8;

/// A database. Clones share its pools.
#[derive(Clone)]
pub(crate) struct Postgres {
    /// Has `synchronous_commit` off and serves reads too.
    process: PgPool,
    power: PgPool,
}

impl Postgres {
    /// Connects.
    ///
    /// Errors: [`StoreError::Setup`] for a URL that is none; [`StoreError::Unavailable`].
    pub(crate) async fn connect(url: &str) -> Result<Self, StoreError> {
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
        Ok(Self { process: pool(QUICK, "off").await?, power: pool(DURABLE, "on").await? })
    }

    const fn pool(&self, durability: Durability) -> &PgPool {
        match durability {
            Durability::Process => &self.process,
            Durability::Power => &self.power,
        }
    }

    /// Reads every row.
    pub(crate) async fn rows(&self, query: Query) -> Result<Vec<Row>, Failure> {
        Ok(wrapped(within(prepare(query)?.fetch_all(&self.process)).await?))
    }

    /// Reads the first row, where there is one.
    pub(crate) async fn row(&self, query: Query) -> Result<Option<Row>, Failure> {
        Ok(within(prepare(query)?.fetch_optional(&self.process)).await?.map(Row::Postgres))
    }

    /// Runs one writing statement by itself and says how many rows it touched.
    pub(crate) async fn run(&self, durability: Durability, query: Query) -> Result<u64, Failure> {
        let done = within(prepare(query)?.execute(self.pool(durability))).await?;
        Ok(done.rows_affected())
    }

    /// Begins a writing transaction.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Open, Failure> {
        Ok(Open(within(self.pool(durability).begin()).await?))
    }
}

/// A writing transaction. Dropped without [`Self::commit`], it is undone.
pub(crate) struct Open(sqlx::Transaction<'static, sqlx::Postgres>);

impl Open {
    /// Reads every row.
    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, Failure> {
        Ok(wrapped(within(prepare(query)?.fetch_all(&mut *self.0)).await?))
    }

    /// Runs a writing statement and says how many rows it touched.
    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, Failure> {
        Ok(within(prepare(query)?.execute(&mut *self.0)).await?.rows_affected())
    }

    /// Runs a text of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<(), Failure> {
        within(sqlx::raw_sql(sql).execute(&mut *self.0)).await.map(drop)
    }

    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        within(self.0.commit()).await
    }
}

fn wrapped(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}

/// The statement as sqlx's own. Errors: as [`Query::check`].
fn prepare(
    query: Query,
) -> Result<sqlx::query::Query<'static, sqlx::Postgres, PgArguments>, StoreError> {
    query.check()?;
    Ok(query.parameters.into_iter().fold(sqlx::query(query.sql), |prepared, value| match value {
        Value::Integer(number) => prepared.bind(number),
        Value::Text(text) => prepared.bind(text),
        Value::Bytes(bytes) => prepared.bind(bytes),
    }))
}
