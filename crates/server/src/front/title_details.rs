//! What a title is: for the page of one, and for devices that fill their shelves (R073, R077).

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{ContentId, PackagedEvent, PackagedVariant, TitleState};
use playback::Denial;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::{BATCH_MAX, DescribedTitle};

/// A title as viewers read of it.
#[derive(Serialize)]
pub struct TitleDetails {
    content_id: ContentId,
    name: String,
    state: &'static str,
    synopsis: String,
    cast: Vec<String>,
    year: Option<u16>,
    /// Null: nobody has said, or it goes on.
    duration_s: Option<u64>,
    live: bool,
    /// URLs of its pictures, by what they are for.
    art: BTreeMap<&'static str, String>,
    renditions: Renditions,
}

/// What it can be watched in, best first, in words.
#[derive(Default, Serialize)]
struct Renditions {
    video: Vec<String>,
    audio: Vec<String>,
    subtitles: Vec<String>,
}

/// Which titles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    content_ids: Vec<String>,
}

/// Titles by their ids; null: there is none.
#[derive(Serialize)]
pub struct Titles {
    titles: BTreeMap<String, Option<TitleDetails>>,
}

/// What a title is.
///
/// Errors: [`Refusal::Token`]; [`Denial::TitleNotFound`].
pub async fn title(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
) -> Result<TitleDetails, Refusal> {
    Viewer::reading(service, caller).await?;
    let title = service.store.described_title(content_id).await?;
    let title = title.ok_or(Denial::TitleNotFound)?;
    Ok(details(title, &caller.origin))
}

/// What some titles are. It changes nothing, but is a POST, and of those none takes a cookie from
/// a foreign page.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`]; [`Refusal::Malformed`] for more than
/// [`BATCH_MAX`].
pub async fn batch(service: &Service, caller: &Caller, batch: Batch) -> Result<Titles, Refusal> {
    Viewer::signed_in(service, caller).await?;
    if batch.content_ids.len() > BATCH_MAX {
        return Err(Refusal::Malformed("too many ids"));
    }
    let asked: BTreeSet<String> = batch.content_ids.into_iter().collect();
    // What cannot be an id is one that no title has.
    let ids: Vec<_> = asked.iter().filter_map(|text| ContentId::parse(text).ok()).collect();
    let found = service.store.described_titles(&ids).await?.into_iter();
    let mut titles: BTreeMap<String, _> = asked.into_iter().map(|id| (id, None)).collect();
    titles.extend(
        found.map(|(id, title)| (id.as_str().to_owned(), Some(details(title, &caller.origin)))),
    );
    Ok(Titles { titles })
}

fn details(described: DescribedTitle, origin: &str) -> TitleDetails {
    let DescribedTitle { title, description, art, package } = described;
    let package = package.filter(|_| matches!(title.state, TitleState::Published { .. }));
    let measured = package.as_ref().filter(|package| !package.live);
    let measured_s = measured.map(|package| package.duration_ms.div_ceil(1000));
    TitleDetails {
        state: title.state.name(),
        content_id: title.content_id,
        name: title.name,
        synopsis: description.synopsis,
        cast: description.cast,
        year: description.year,
        duration_s: measured_s.or(description.duration_s.map(u64::from)),
        live: package.as_ref().is_some_and(|package| package.live),
        art: art
            .into_iter()
            .map(|(kind, file)| (kind.name(), format!("{origin}/art/{file}")))
            .collect(),
        renditions: package.as_ref().map(renditions).unwrap_or_default(),
    }
}

/// Each rendition once, though it may be packaged in two schemes.
fn renditions(package: &PackagedEvent) -> Renditions {
    let played = || package.variants.iter().filter(|variant| variant.trick_of.is_none());
    let mut pictures: Vec<&PackagedVariant> =
        played().filter(|variant| variant.width.is_some()).collect();
    pictures.sort_by_key(|variant| std::cmp::Reverse((variant.height, variant.bandwidth)));
    let video = pictures.iter().filter_map(|variant| {
        let (width, height) = (variant.width?, variant.height?);
        Some(format!("{width} × {height} ({})", variant.track_class.name()))
    });
    let spoken = |language: Option<&String>, role: Option<model::TrackRole>| {
        let language = language.map_or("und", String::as_str);
        role.map_or_else(|| language.to_owned(), |role| format!("{language} ({})", role.name()))
    };
    let audio = played()
        .filter(|variant| variant.track_class == model::TrackClass::Audio)
        .map(|variant| spoken(variant.language.as_ref(), variant.role));
    let subtitles = package.texts.iter().map(|text| spoken(text.language.as_ref(), text.role));
    Renditions { video: each_once(video), audio: each_once(audio), subtitles: each_once(subtitles) }
}

fn each_once(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    words.filter(|word| seen.insert(word.clone())).collect()
}
