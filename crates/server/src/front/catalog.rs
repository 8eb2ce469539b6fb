//! What a signed-in viewer may know of himself and of the catalog.

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{ContentId, PlanName};
use serde::{Deserialize, Serialize};
use store::PAGE_MAX;

/// The catalog.
#[derive(Serialize)]
pub struct Catalog {
    titles: Vec<Entry>,
    /// What to ask for next, where pages were asked for and there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<ContentId>,
}

/// Which part of the catalog.
#[derive(Deserialize)]
pub struct Page {
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Entry {
    content_id: ContentId,
    name: String,
    state: &'static str,
}

/// The viewer.
#[derive(Serialize)]
pub struct Me {
    name: String,
    plan: PlanName,
}

/// The titles, in the order of their ids: the first [`PAGE_MAX`], or `limit` of those `after` an
/// id, with the id that the next page comes after.
///
/// Errors: [`Refusal::Token`]; [`Refusal::Malformed`] for a limit of 0 or beyond [`PAGE_MAX`].
pub async fn titles(service: &Service, caller: &Caller, page: &Page) -> Result<Catalog, Refusal> {
    Viewer::reading(service, caller).await?;
    let after = page.after.as_deref().map(ContentId::parse).transpose();
    let after = after.map_err(|_| Refusal::Malformed("after"))?;
    let limit = page.limit.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::Malformed("limit"));
    }
    let titles = service.store.titles(limit, after.as_ref()).await?;
    let is_paged = page.after.is_some() || page.limit.is_some();
    let is_full = u32::try_from(titles.len()).is_ok_and(|count| count == limit);
    let last = titles.last().filter(|_| is_paged && is_full);
    let next = last.map(|title| title.content_id.clone());
    let entry = |title: model::Title| Entry {
        state: title.state.name(),
        content_id: title.content_id,
        name: title.name,
    };
    Ok(Catalog { titles: titles.into_iter().map(entry).collect(), next })
}

/// Who is signed in.
///
/// Errors: [`Refusal::Token`].
pub async fn me(service: &Service, caller: &Caller) -> Result<Me, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    Ok(Me { name: viewer.account.name, plan: viewer.account.plan })
}
