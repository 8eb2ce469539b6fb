//! One statement and one row, the same for both databases.

use crate::StoreError;
use model::{ContentId, Timestamp};
use rusqlite::types::Value as Stored;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row as _, Type};
use std::sync::Arc;

/// A statement and its parameters.
#[derive(Clone)]
pub(crate) struct Query {
    /// The text.
    pub(crate) sql: &'static str,
    /// What `$1`, `$2` … stand for.
    pub(crate) parameters: Vec<Value>,
}

/// A parameter. Typed also when absent, because PostgreSQL wants the type of a null.
#[derive(Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A statement without parameters yet. `sql` names them `$1`, `$2` …, in the order of `bind`.
pub(crate) const fn query(sql: &'static str) -> Query {
    Query { sql, parameters: Vec::new() }
}

/// The text that inserts so many rows at once. `into` names the table and, in parentheses, its
/// columns; the parameters follow row by row.
pub(crate) fn insert_text(into: &str, rows: usize) -> String {
    let columns = into.split(',').count();
    let row = |row: usize| {
        let parameters: Vec<_> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", parameters.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!("INSERT INTO {into} VALUES {}", rows.join(", "))
}

impl Query {
    /// Gives the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// Errors: [`StoreError::Invalid`] for text with a NUL, which PostgreSQL cannot hold and
    /// SQLite must not hold either.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let has_nul =
            |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
        if self.parameters.iter().any(has_nul) {
            return Err(StoreError::Invalid("text with a NUL"));
        }
        Ok(())
    }
}

macro_rules! value_from {
    ($($from:ty => $make:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from(from: $from) -> Self {
                let make: fn($from) -> Value = $make;
                make(from)
            }
        })+
    };
}

value_from! {
    i64 => |number| Self::Integer(Some(number)),
    u32 => |number| Self::Integer(Some(number.into())),
    Option<u32> => |number| Self::Integer(number.map(Into::into)),
    bool => |answer| Self::Integer(Some(answer.into())),
    // Times beyond the year 292 million are the end of time in a row too.
    Timestamp => |at| Self::Integer(Some(i64::try_from(at.0).unwrap_or(i64::MAX))),
    Option<Timestamp> => |at| at.map_or(Self::Integer(None), Self::from),
    &str => |text| Self::Text(Some(text.to_owned())),
    String => |text| Self::Text(Some(text)),
    Option<&str> => |text| Self::Text(text.map(str::to_owned)),
    &ContentId => |id| Self::Text(Some(id.as_str().to_owned())),
    &[u8] => |bytes| Self::Bytes(Some(bytes.to_vec())),
    &[u8; 16] => |bytes| Self::Bytes(Some(bytes.to_vec())),
    &[u8; 32] => |bytes| Self::Bytes(Some(bytes.to_vec())),
    Option<[u8; 32]> => |bytes| Self::Bytes(bytes.map(|bytes| bytes.to_vec())),
    Option<[u8; 16]> => |bytes| Self::Bytes(bytes.map(|bytes| bytes.to_vec())),
}

/// A row of either database. Columns are read by name and become types at once.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A row of SQLite, taken out of the statement that read it.
pub(crate) struct SqliteRow {
    /// The columns' names; the rows of one statement share them.
    pub(crate) names: Arc<[Box<str>]>,
    /// As many values.
    pub(crate) values: Vec<Stored>,
}

/// What a column is read as. `None`: the column of this row holds something else.
trait Column: Sized + for<'r> Decode<'r, Postgres> + Type<Postgres> {
    fn read(stored: &Stored) -> Option<Self>;
}

impl Column for i64 {
    fn read(stored: &Stored) -> Option<Self> {
        if let Stored::Integer(number) = stored { Some(*number) } else { None }
    }
}

impl Column for String {
    fn read(stored: &Stored) -> Option<Self> {
        if let Stored::Text(text) = stored { Some(text.clone()) } else { None }
    }
}

impl Column for Vec<u8> {
    fn read(stored: &Stored) -> Option<Self> {
        if let Stored::Blob(bytes) = stored { Some(bytes.clone()) } else { None }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(stored: &Stored) -> Option<Self> {
        if let Stored::Null = stored { Some(None) } else { T::read(stored).map(Some) }
    }
}

impl SqliteRow {
    fn column<T: Column>(&self, name: &'static str) -> Option<T> {
        let at = self.names.iter().position(|known| **known == *name)?;
        T::read(self.values.get(at)?)
    }
}

impl Row {
    fn column<T: Column>(&self, name: &'static str) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(row) => row.column(name).ok_or_else(|| StoreError::corrupt(name)),
            Self::Postgres(row) => Ok(row.try_get(name)?),
        }
    }

    pub(crate) fn integer(&self, name: &'static str) -> Result<i64, StoreError> {
        self.column(name)
    }

    pub(crate) fn optional_integer(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        self.column(name)
    }

    pub(crate) fn u32(&self, name: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.integer(name)?).map_err(|_| StoreError::corrupt(name))
    }

    pub(crate) fn optional_u32(&self, name: &'static str) -> Result<Option<u32>, StoreError> {
        let number: Option<i64> = self.column(name)?;
        number.map(u32::try_from).transpose().map_err(|_| StoreError::corrupt(name))
    }

    pub(crate) fn boolean(&self, name: &'static str) -> Result<bool, StoreError> {
        match self.integer(name)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StoreError::corrupt(name)),
        }
    }

    pub(crate) fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        let at = u64::try_from(self.integer(name)?).map_err(|_| StoreError::corrupt(name))?;
        Ok(Timestamp(at))
    }

    pub(crate) fn optional_time(
        &self,
        name: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = self.column(name)?;
        let at = at.map(u64::try_from).transpose().map_err(|_| StoreError::corrupt(name))?;
        Ok(at.map(Timestamp))
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<String, StoreError> {
        self.column(name)
    }

    pub(crate) fn optional_text(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.column(name)
    }

    /// Text that is the name of something: state, class, id.
    pub(crate) fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(&self.text(name)?).ok_or_else(|| StoreError::corrupt(name))
    }

    /// As [`Self::parsed`], where the column may be null.
    pub(crate) fn optional_parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        match self.optional_text(name)? {
            None => Ok(None),
            Some(text) => parse(&text).map(Some).ok_or_else(|| StoreError::corrupt(name)),
        }
    }

    /// A JSON document.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(name)?).map_err(|_| StoreError::corrupt(name))
    }

    pub(crate) fn content_id(&self, name: &'static str) -> Result<ContentId, StoreError> {
        self.parsed(name, |text| ContentId::parse(text).ok())
    }

    pub(crate) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, StoreError> {
        self.column(name)
    }

    pub(crate) fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], StoreError> {
        self.bytes(name)?.try_into().map_err(|_| StoreError::corrupt(name))
    }

    pub(crate) fn optional_array<const N: usize>(
        &self,
        name: &'static str,
    ) -> Result<Option<[u8; N]>, StoreError> {
        let bytes: Option<Vec<u8>> = self.column(name)?;
        bytes.map(TryInto::try_into).transpose().map_err(|_| StoreError::corrupt(name))
    }
}
