//! Why the store could not do what it was asked.

/// An error of the store. Carries no value of a row.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is overloaded or did not answer in time: try again
    /// later. Nothing is known to be written.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another row already has this id or this name, or the key is already used elsewhere.
    #[error("a row with the same unique value is there already")]
    Conflict,
    /// The row that was named, or that this one refers to, is not there.
    #[error("the row referred to is not there")]
    Missing,
    /// A key was to be wrapped by a KEK that is retired or compromised.
    #[error("the KEK wraps nothing any more")]
    Retired,
    /// A value that no row may hold.
    #[error("cannot be stored: {0}")]
    Invalid(&'static str),
    /// A row that does not read back: damaged, or written by a newer version.
    #[error("a stored row does not read back: {0}")]
    Corrupt(String),
    /// The database belongs to another version of Strongroom, or the URL to none.
    #[error("{0}")]
    Setup(String),
}

/// How many times a transaction is tried that lost against another one.
pub(crate) const ATTEMPTS: u32 = 3;

impl StoreError {
    pub(crate) fn corrupt(what: &'static str) -> Self {
        Self::Corrupt(what.to_owned())
    }
}

/// What went wrong in a transaction: whether to try it again is in the first word.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Lost against a parallel transaction; the same again may succeed.
    Lost(StoreError),
    /// Will not succeed by repeating.
    Final(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(error) | Failure::Final(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code().map(|code| code.into_owned()));
        // Serialization failure and deadlock (PostgreSQL, appendix A, class 40).
        match code.as_deref() {
            Some("40001" | "40P01") => Self::Lost(error.into()),
            _ => Self::Final(error.into()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match &error {
            sqlx::Error::Database(refused) => match refused.kind() {
                ErrorKind::UniqueViolation => Self::Conflict,
                ErrorKind::ForeignKeyViolation => Self::Missing,
                ErrorKind::CheckViolation | ErrorKind::NotNullViolation => {
                    Self::Invalid("a value outside of what the column allows")
                }
                _ => match refused.code().as_deref() {
                    // data_corrupted and index_corrupted.
                    Some("XX001" | "XX002") => Self::Corrupt(error.to_string()),
                    _ => Self::Unavailable(refused.message().to_owned()),
                },
            },
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. } => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        // A SQLite transaction has the write lock from its beginning, so none loses to another.
        Self::Final(error.into())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        use rusqlite::ffi::{
            SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_NOTNULL,
            SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_TRIGGER, SQLITE_CONSTRAINT_UNIQUE,
        };
        let (rusqlite::Error::SqliteFailure(refused, _)
        | rusqlite::Error::SqlInputError { error: refused, .. }) = &error
        else {
            // What remains is a value that is not of its column's type.
            return Self::Corrupt("a value of the wrong type".to_owned());
        };
        match (refused.code, refused.extended_code) {
            // The trigger is the one that keeps an audit row from being replaced.
            (
                _,
                SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_TRIGGER,
            ) => Self::Conflict,
            (_, SQLITE_CONSTRAINT_FOREIGNKEY) => Self::Missing,
            (_, SQLITE_CONSTRAINT_CHECK | SQLITE_CONSTRAINT_NOTNULL) => {
                Self::Invalid("a value outside of what the column allows")
            }
            // A damaged file, or one that is none.
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
