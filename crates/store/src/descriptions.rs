//! What viewers read of titles, and which pictures they have (R073, R077).

use crate::database::Durability;
use crate::query::{Query, Row, query};
use crate::titles::{document, read_title};
use crate::{Store, StoreError};
use model::{ArtFile, ArtKind, ContentId, ImageFormat, PackagedEvent, Title, TitleDescription};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Most titles of one batch.
pub const BATCH_MAX: usize = 100;

/// A title as viewers read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTitle {
    /// The title.
    pub title: Title,
    /// What is said of it; empty where nothing is.
    pub description: TitleDescription,
    /// Its pictures, in the order of their kinds.
    pub art: Vec<(ArtKind, ArtFile)>,
    /// The package that viewers get; absent where there is none.
    pub package: Option<PackagedEvent>,
}

impl Store {
    /// Says of a title what viewers read, in place of what was said before.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such title.
    pub async fn describe_title(
        &self,
        content_id: &ContentId,
        description: &TitleDescription,
    ) -> Result<(), StoreError> {
        let upsert = query(
            "INSERT INTO title_descriptions (content_id, document) VALUES ($1, $2) \
             ON CONFLICT (content_id) DO UPDATE SET document = excluded.document",
        )
        .bind(content_id)
        .bind(document(description)?);
        self.rows.run(Durability::Power, upsert).await.map(drop)
    }

    /// Gives a title a picture, in place of the one of its kind. The file is there already.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such title.
    pub async fn put_art(
        &self,
        content_id: &ContentId,
        kind: ArtKind,
        file: ArtFile,
    ) -> Result<(), StoreError> {
        let upsert = query(
            "INSERT INTO title_art (content_id, kind, sha256, format) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (content_id, kind) DO UPDATE SET sha256 = excluded.sha256, \
             format = excluded.format",
        )
        .bind(content_id)
        .bind(kind.name())
        .bind(&file.sha256)
        .bind(file.format.extension());
        self.rows.run(Durability::Power, upsert).await.map(drop)
    }

    /// Whether a title has the picture.
    pub async fn is_art_used(&self, file: ArtFile) -> Result<bool, StoreError> {
        let select = query("SELECT kind FROM title_art WHERE sha256 = $1").bind(&file.sha256);
        Ok(self.rows.row(select).await?.is_some())
    }

    /// A title with all that viewers read of it.
    pub async fn described_title(
        &self,
        content_id: &ContentId,
    ) -> Result<Option<DescribedTitle>, StoreError> {
        Ok(self.described_titles(std::slice::from_ref(content_id)).await?.remove(content_id))
    }

    /// Those of the titles that there are, with all that viewers read of them.
    ///
    /// Errors: [`StoreError::Invalid`] for more than [`BATCH_MAX`].
    pub async fn described_titles(
        &self,
        content_ids: &[ContentId],
    ) -> Result<BTreeMap<ContentId, DescribedTitle>, StoreError> {
        if content_ids.len() > BATCH_MAX {
            return Err(StoreError::Invalid("too many titles at once"));
        }
        let one = content_ids.len() == 1;
        let (titles, art) = if one { (&*ONE, &*ART_OF_ONE) } else { (&*BATCH, &*ART_OF_BATCH) };
        let titles = self.rows.rows(bound(titles, content_ids)).await?;
        let mut found = titles
            .iter()
            .map(|row| read(row).map(|read| (read.title.content_id.clone(), read)))
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        for row in self.rows.rows(bound(art, content_ids)).await? {
            if let Some(title) = found.get_mut(&row.content_id("content_id")?) {
                title.art.push(read_art(&row)?);
            }
        }
        found.values_mut().for_each(|title| title.art.sort_by_key(|(kind, _)| *kind));
        Ok(found)
    }
}

const TITLES: &str = "SELECT titles.*, policies.document AS policy, \
     title_descriptions.document AS description, outbox.event AS package_event FROM titles \
     LEFT JOIN policies ON policies.name = titles.policy_name \
     LEFT JOIN title_descriptions ON title_descriptions.content_id = titles.content_id \
     LEFT JOIN outbox ON outbox.package = titles.package \
     WHERE titles.content_id IN ";
const ART: &str = "SELECT content_id, kind, sha256, format FROM title_art WHERE content_id IN ";

// Two texts of each, so that both are prepared once.
static ONE: LazyLock<String> = LazyLock::new(|| with_parameters(TITLES, 1));
static BATCH: LazyLock<String> = LazyLock::new(|| with_parameters(TITLES, BATCH_MAX));
static ART_OF_ONE: LazyLock<String> = LazyLock::new(|| with_parameters(ART, 1));
static ART_OF_BATCH: LazyLock<String> = LazyLock::new(|| with_parameters(ART, BATCH_MAX));

/// The text with a list of so many parameters behind it.
fn with_parameters(text: &str, count: usize) -> String {
    let parameters: Vec<_> = (1..=count).map(|number| format!("${number}")).collect();
    format!("{text}({})", parameters.join(", "))
}

/// Gives the ids, and to what is left of the parameters the empty text, which is no id.
fn bound(text: &'static str, content_ids: &[ContentId]) -> Query {
    let given = content_ids.iter().fold(query(text), |query, id| query.bind(id));
    let wanted = if content_ids.len() == 1 { 1 } else { BATCH_MAX };
    (content_ids.len()..wanted).fold(given, |query, _| query.bind(""))
}

fn read(row: &Row) -> Result<DescribedTitle, StoreError> {
    let is_there = |column| Ok::<_, StoreError>(row.optional_text(column)?.is_some());
    Ok(DescribedTitle {
        title: read_title(row)?,
        description: match is_there("description")? {
            true => row.json("description")?,
            false => TitleDescription::default(),
        },
        art: Vec::new(),
        package: is_there("package_event")?.then(|| row.json("package_event")).transpose()?,
    })
}

fn read_art(row: &Row) -> Result<(ArtKind, ArtFile), StoreError> {
    let kind = row.parsed("kind", ArtKind::parse)?;
    let format = row.parsed("format", ImageFormat::parse)?;
    Ok((kind, ArtFile { sha256: row.array("sha256")?, format }))
}
