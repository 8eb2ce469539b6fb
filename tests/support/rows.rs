//! The rows of a data folder, behind the service's back.

use rusqlite::Connection;
use std::path::Path;

/// The SQLite file of a data folder, foreign keys off.
pub fn behind_the_back(data: &Path) -> Connection {
    let rows = Connection::open(data.join("strongroom.db")).expect("the rows are there");
    rows.pragma_update(None, "foreign_keys", false).expect("SQLite knows foreign keys");
    rows
}

/// Changes rows; how many.
pub fn change(data: &Path, sql: &str) -> usize {
    let rows = behind_the_back(data);
    // A checkpoint answers with a row of its own.
    let done = rows.prepare(sql).and_then(|mut statement| match statement.column_count() {
        0 => statement.execute([]),
        _ => statement.query_row([], |_| Ok(0)),
    });
    done.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Names of a table's columns.
pub fn columns(data: &Path, table: &str) -> Vec<String> {
    let rows = behind_the_back(data);
    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
    let mut names = rows.prepare(&sql).expect("the table is there");
    let names = names.query_map([], |row| row.get(0)).expect("nothing is bound");
    names.collect::<Result<_, _>>().expect("a name is text")
}
