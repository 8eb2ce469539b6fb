//! The rows of a data folder, behind the service's back.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _, SqliteConnection};
use std::path::Path;

/// Runs `work` on the SQLite file of a data folder, foreign keys off.
pub fn behind_the_back<T>(data: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    in_file(&data.join("strongroom.db"), work)
}

/// The same on the audit's file.
pub fn in_the_audit<T>(data: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    in_file(&data.join("strongroom-audit.db"), work)
}

fn in_file<T>(file: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .foreign_keys(false)
            .disable_statement_logging();
        let mut rows = options.connect().await.expect("the rows are there");
        work(&mut rows).await
    })
}

/// Changes rows; how many.
pub fn change(data: &Path, sql: &str) -> u64 {
    behind_the_back(data, async |rows| {
        let done = rows.execute(AssertSqlSafe(sql.to_owned())).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected()
    })
}

/// Names of a table's columns.
pub fn columns(data: &Path, table: &str) -> Vec<String> {
    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
    behind_the_back(data, async |rows| {
        let found = rows.fetch_all(AssertSqlSafe(sql)).await.expect("the table is there");
        found.iter().map(|row| row.get::<String, _>(0)).collect()
    })
}
