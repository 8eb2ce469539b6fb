//! What a signed-in viewer may know of himself and of the catalog.

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{ContentId, PlanName};
use serde::Serialize;
use store::PAGE_MAX;

/// The catalog.
#[derive(Serialize)]
pub struct Catalog {
    titles: Vec<Entry>,
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

/// The titles, in the order of their ids. Limits: the first [`PAGE_MAX`].
///
/// Errors: [`Refusal::Token`].
pub async fn titles(service: &Service, caller: &Caller) -> Result<Catalog, Refusal> {
    Viewer::reading(service, caller).await?;
    let titles = service.store.titles(PAGE_MAX, None).await?;
    let entry = |title: model::Title| Entry {
        state: title.state.name(),
        content_id: title.content_id,
        name: title.name,
    };
    Ok(Catalog { titles: titles.into_iter().map(entry).collect() })
}

/// Who is signed in.
///
/// Errors: [`Refusal::Token`].
pub async fn me(service: &Service, caller: &Caller) -> Result<Me, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    Ok(Me { name: viewer.account.name, plan: viewer.account.plan })
}
