//! One connection to a SQLite file: statements in, rows out, within the time they are given.

use super::STATEMENT;
use crate::query::{Query, Row, SqliteRow, Value};
use rusqlite::config::DbConfig;
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for the write lock, which another process may hold.
const BUSY: Duration = Duration::from_secs(4);
/// Steps of SQLite's machine between two looks at the clock or at the turns that are left.
const TURN: i32 = 1000;
/// Turns that a statement may have on the caller's thread: some 200 rows, or 100 microseconds.
const TURNS: u32 = 4;
/// Statements that a connection keeps prepared: more than the store has.
const PREPARED: usize = 128;

/// A connection, and how long its statement may run.
pub(super) struct Link {
    pub(super) connection: Connection,
    patience: Arc<Mutex<Patience>>,
}

/// When a statement is interrupted.
enum Patience {
    /// After so many more times [`TURN`] steps.
    Turns(u32),
    /// At this time.
    Until(Instant),
}

impl Patience {
    fn is_at_its_end(&mut self) -> bool {
        match self {
            Self::Turns(0) => true,
            Self::Turns(left) => {
                *left -= 1;
                false
            }
            Self::Until(end) => *end <= monotonic_now(),
        }
    }
}

impl Link {
    /// Opens a connection to a file that is there.
    pub(super) fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Self> {
        let mut connection =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        // Otherwise SQLite prepares a statement anew for each value that may change its plan,
        // which costs ten times as much as finding a row.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.pragma_update(None, "foreign_keys", true)?;
        let patience = Arc::new(Mutex::new(Patience::Until(monotonic_now() + STATEMENT)));
        let asked = Arc::clone(&patience);
        connection.progress_handler(
            TURN,
            Some(move || asked.lock().unwrap_or_else(PoisonError::into_inner).is_at_its_end()),
        )?;
        Ok(Self { connection, patience })
    }

    /// For a statement on the caller's thread.
    pub(super) fn hurriedly(&self) -> rusqlite::Result<&Self> {
        self.with(Patience::Turns(TURNS), Duration::ZERO)
    }

    /// For a statement on the blocking pool.
    pub(super) fn patiently(&self) -> rusqlite::Result<&Self> {
        self.with(Patience::Until(monotonic_now() + STATEMENT), BUSY)
    }

    fn with(&self, patience: Patience, busy: Duration) -> rusqlite::Result<&Self> {
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner) = patience;
        self.connection.busy_timeout(busy)?;
        Ok(self)
    }

    /// Reads on the caller's thread what is undone by itself when it is interrupted. A
    /// statement that also writes would take its transaction with it, so it gets its time.
    pub(super) fn read_in_transaction(&self, query: &Query) -> rusqlite::Result<Vec<Row>> {
        let only_reads = self.connection.prepare_cached(query.sql)?.readonly();
        let link = if only_reads { self.hurriedly()? } else { self.patiently()? };
        link.read(query, usize::MAX)
    }

    /// Runs a statement and takes at most so many rows of its answer.
    pub(super) fn read(&self, query: &Query, most: usize) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.bound(query)?;
        let mut found = statement.raw_query();
        let (mut names, mut rows) = (None, Vec::new());
        while rows.len() < most
            && let Some(row) = found.next()?
        {
            let of_row = || row.as_ref().column_names().map(Box::from).collect();
            let names: &Arc<[Box<str>]> = names.get_or_insert_with(of_row);
            let values = (0..names.len()).map(|at| taken(at, row.get_ref(at)?));
            let values = values.collect::<rusqlite::Result<_>>()?;
            rows.push(Row::Sqlite(SqliteRow { names: Arc::clone(names), values }));
        }
        Ok(rows)
    }

    /// Runs a writing statement and says how many rows it touched.
    pub(super) fn write(&self, query: &Query) -> rusqlite::Result<u64> {
        Ok(self.bound(query)?.raw_execute()? as u64)
    }

    /// A statement without parameters whose answer, where it gives one, nobody needs.
    pub(super) fn word(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_query().next().map(drop)
    }

    fn bound(&self, query: &Query) -> rusqlite::Result<CachedStatement<'_>> {
        let mut statement = self.connection.prepare_cached(query.sql)?;
        for (at, number) in numbers(query.sql).into_iter().enumerate() {
            let value = number.checked_sub(1).and_then(|number| query.parameters.get(number));
            match value {
                Some(Value::Integer(number)) => statement.raw_bind_parameter(at + 1, number)?,
                Some(Value::Text(text)) => {
                    statement.raw_bind_parameter(at + 1, text.as_deref())?;
                }
                Some(Value::Bytes(bytes)) => {
                    statement.raw_bind_parameter(at + 1, bytes.as_deref())?;
                }
                None => {
                    let given = query.parameters.len();
                    return Err(rusqlite::Error::InvalidParameterCount(given, number));
                }
            }
        }
        Ok(statement)
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a statement runs, no time of a row")]
fn monotonic_now() -> Instant {
    Instant::now()
}

/// The numbers of a text's parameters, `$1`, `$2` …, in the order in which SQLite counts them:
/// each where it stands first. To SQLite the number is a name.
fn numbers(sql: &str) -> Vec<usize> {
    let (mut numbers, mut highest) = (vec![], 0);
    for after in sql.split('$').skip(1) {
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let number = after.get(..digits).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        // Most texts name their parameters in order.
        if number > highest || !numbers.contains(&number) {
            numbers.push(number);
        }
        highest = highest.max(number);
    }
    numbers
}

fn taken(at: usize, value: ValueRef<'_>) -> rusqlite::Result<Stored> {
    Ok(match value {
        ValueRef::Null => Stored::Null,
        ValueRef::Integer(number) => Stored::Integer(number),
        ValueRef::Real(number) => Stored::Real(number),
        ValueRef::Blob(bytes) => Stored::Blob(bytes.to_vec()),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text);
            Stored::Text(text.map_err(|error| rusqlite::Error::Utf8Error(at, error))?.to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::query;
    use rusqlite::StatementStatus;

    /// Counts to a million, a thousand times as long as a statement may take in a hurry.
    const LONG: &str = "WITH RECURSIVE numbers (n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000) \
         SELECT COUNT(*) AS n FROM numbers";

    fn link(folder: &tempfile::TempDir) -> Link {
        let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Link::open(&folder.path().join("x.db"), create).unwrap()
    }

    fn is_interrupted<T>(outcome: rusqlite::Result<T>) -> bool {
        outcome.err().and_then(|error| error.sqlite_error_code())
            == Some(rusqlite::ErrorCode::OperationInterrupted)
    }

    #[test]
    fn a_parameter_is_its_number_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let select = query("SELECT $2 AS a, $1 AS b, $3 AS c, $2 AS d, $11 AS e");
        let select = (1..=11_i64).fold(select, |select, number| select.bind(number));
        let rows = link(&folder).read(&select, 9).unwrap();
        let read: Vec<_> =
            ["a", "b", "c", "d", "e"].iter().map(|name| rows[0].integer(name).unwrap()).collect();
        assert_eq!(read, [2, 1, 3, 2, 11]);
    }

    #[test]
    fn a_parameter_that_was_not_given_is_an_error_and_not_null() {
        let folder = tempfile::tempdir().unwrap();
        for sql in ["SELECT $2 AS a", "SELECT $0 AS a", "SELECT $x AS a"] {
            assert!(link(&folder).read(&query(sql).bind(1_i64), 1).is_err(), "{sql}");
        }
    }

    #[test]
    fn every_kind_of_value_comes_back_and_another_kind_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let select = query("SELECT $1 AS n, $2 AS t, $3 AS b, $4 AS none")
            .bind(-1_i64)
            .bind("ü")
            .bind(&[][..])
            .bind(None::<u32>);
        let row = link(&folder).read(&select, 9).unwrap().remove(0);
        assert_eq!(row.integer("n").unwrap(), -1);
        assert_eq!(row.text("t").unwrap(), "ü");
        assert_eq!(row.bytes("b").unwrap(), b"");
        assert_eq!(row.optional_u32("none").unwrap(), None);
        assert!(row.integer("t").is_err() && row.text("b").is_err() && row.bytes("n").is_err());
        assert!(row.text("none").is_err() && row.integer("absent").is_err());
    }

    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let link = link(&folder);
        let table = "CREATE TABLE rows (n BIGINT PRIMARY KEY, t TEXT); \
                     CREATE INDEX texts ON rows (t)";
        link.connection.execute_batch(table).unwrap();
        let sql = "SELECT n, t = 'a' OR t IN ('b', 'c') AS x FROM rows WHERE t = $1 ORDER BY n";
        for text in ["a", "b", "c", "a"] {
            link.read(&query(sql).bind(text), 1).unwrap();
        }
        let statement = link.connection.prepare_cached(sql).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 4);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn text_that_is_not_utf_8_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let broken = query("SELECT CAST(x'ff' AS TEXT) AS t");
        assert!(link(&folder).read(&broken, 1).is_err());
    }

    #[test]
    fn a_hurried_statement_is_interrupted_and_a_patient_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let link = link(&folder);
        assert!(is_interrupted(link.hurriedly().unwrap().read(&query(LONG), 1)));
        let rows = link.patiently().unwrap().read(&query(LONG), 1).unwrap();
        assert_eq!(rows[0].integer("n").unwrap(), 1_000_000);
        link.hurriedly().unwrap().read(&query("SELECT 1 AS n"), 1).unwrap();
    }

    #[test]
    fn patience_ends() {
        let folder = tempfile::tempdir().unwrap();
        let link = link(&folder);
        let endless = "WITH RECURSIVE numbers (n) AS \
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT COUNT(*) AS n FROM numbers";
        let soon = Patience::Until(monotonic_now() + Duration::from_millis(50));
        assert!(is_interrupted(link.with(soon, BUSY).unwrap().read(&query(endless), 1)));
    }
}
