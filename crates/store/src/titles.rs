//! The catalog.

use crate::database::Durability;
use crate::policies::read_policy;
use crate::query::{Query, Row, Value, query};
use crate::{PAGE_MAX, Store, StoreError};
use model::{CategoryName, ContentId, PackageId, Title, TitlePolicy, TitleState, TrackClass};

impl Store {
    /// Adds a title or replaces all of its row, its state too. Of its policy the row has the
    /// name and the title's own word on ClearKey.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such policy.
    pub async fn put_title(&self, title: &Title) -> Result<(), StoreError> {
        let upsert = query(
            "INSERT INTO titles (content_id, state, attempt, package, name, category, \
             policy_name, clearkey_max, access, regions) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (content_id) DO UPDATE SET state = excluded.state, \
             attempt = excluded.attempt, package = excluded.package, name = excluded.name, \
             category = excluded.category, policy_name = excluded.policy_name, \
             clearkey_max = excluded.clearkey_max, access = excluded.access, \
             regions = excluded.regions",
        );
        let upsert = bind_state(upsert.bind(&title.content_id), &title.state)
            .bind(title.name.as_str())
            .bind(title.category.as_str())
            .bind(title.policy.name.as_str())
            .bind(title.policy.clearkey_override.map(TrackClass::name))
            .bind(document(&title.access)?)
            .bind(document(&title.regions)?);
        self.rows.run(Durability::Power, upsert).await.map(drop)
    }

    /// A title.
    pub async fn title(&self, content_id: &ContentId) -> Result<Option<Title>, StoreError> {
        let select = query(
            "SELECT titles.*, policies.document AS policy FROM titles \
             LEFT JOIN policies ON policies.name = titles.policy_name WHERE content_id = $1",
        )
        .bind(content_id);
        self.rows.row(select).await?.as_ref().map(read_title).transpose()
    }

    /// Whether there is a title of this id, whatever its row says.
    pub async fn has_title(&self, content_id: &ContentId) -> Result<bool, StoreError> {
        let select = query("SELECT content_id FROM titles WHERE content_id = $1").bind(content_id);
        Ok(self.rows.row(select).await?.is_some())
    }

    /// The titles that come after `after`, at most `limit`, in the database's order of ids.
    ///
    /// Limits: [`PAGE_MAX`] a call; the last id of a page is `after` of the next one.
    pub async fn titles(
        &self,
        limit: u32,
        after: Option<&ContentId>,
    ) -> Result<Vec<Title>, StoreError> {
        // Every id sorts after the empty text.
        let select = query(
            "SELECT titles.*, policies.document AS policy FROM titles \
             LEFT JOIN policies ON policies.name = titles.policy_name \
             WHERE content_id > $1 ORDER BY content_id LIMIT $2",
        )
        .bind(after.map_or("", ContentId::as_str))
        .bind(limit.min(PAGE_MAX));
        self.rows.rows(select).await?.iter().map(read_title).collect()
    }

    /// Moves a title to another state. False: there is no such title.
    pub async fn set_title_state(
        &self,
        content_id: &ContentId,
        state: &TitleState,
    ) -> Result<bool, StoreError> {
        Ok(self.rows.run(Durability::Power, update_state(content_id, state)).await? > 0)
    }
}

pub(crate) fn update_state(content_id: &ContentId, state: &TitleState) -> Query {
    let update =
        query("UPDATE titles SET state = $2, attempt = $3, package = $4 WHERE content_id = $1");
    bind_state(update.bind(content_id), state)
}

/// Binds the columns `state`, `attempt`, `package`.
fn bind_state(query: Query, state: &TitleState) -> Query {
    let (attempt, package) = match state {
        TitleState::Draft | TitleState::External | TitleState::PackageFailed => (None, None),
        TitleState::Packaging { attempt } => (Some(*attempt), None),
        TitleState::Packaged { package } | TitleState::Published { package } => {
            (None, Some(package))
        }
    };
    query.bind(state.name()).bind(attempt).bind(package.map(|id| *id.as_bytes()))
}

fn read_state(row: &Row) -> Result<TitleState, StoreError> {
    let name = row.text("state")?;
    let attempt = row.optional_u32("attempt")?;
    let package = row.optional_array("package")?.map(PackageId::from_bytes);
    Ok(match (name.as_str(), attempt, package) {
        ("draft", None, None) => TitleState::Draft,
        ("external", None, None) => TitleState::External,
        ("packaging", Some(attempt), None) => TitleState::Packaging { attempt },
        ("packaged", None, Some(package)) => TitleState::Packaged { package },
        ("published", None, Some(package)) => TitleState::Published { package },
        ("package_failed", None, None) => TitleState::PackageFailed,
        _ => return Err(StoreError::corrupt("titles.state")),
    })
}

pub(crate) fn read_title(row: &Row) -> Result<Title, StoreError> {
    Ok(Title {
        content_id: row.content_id("content_id")?,
        name: row.text("name")?,
        category: row.parsed("category", |text| CategoryName::parse(text).ok())?,
        policy: TitlePolicy {
            clearkey_override: row.optional_parsed("clearkey_max", TrackClass::parse)?,
            ..read_policy(row)?
        },
        access: row.json("access")?,
        regions: row.json("regions")?,
        state: read_state(row)?,
    })
}

/// A value as the JSON document that its row holds.
pub(crate) fn document(value: &impl serde::Serialize) -> Result<Value, StoreError> {
    let text = serde_json::to_string(value).map_err(|_| StoreError::Invalid("not JSON"))?;
    Ok(Value::from(text))
}
