//! What a viewer keeps: where he left each title and when he watched it, and his queue (R074, R077).

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{ContentId, Plan, Subscription, Timestamp};
use playback::Denial;
use serde::{Deserialize, Serialize};
use store::{QUEUE_MAX, Queue, Viewing};

/// The account behind a sign-in.
#[derive(Serialize)]
pub struct AccountDetails {
    name: String,
    subscription: Subscription,
    /// Null: the plan is gone, and nothing can be watched.
    plan: Option<Plan>,
}

/// What a viewer did with a title.
#[derive(Serialize)]
pub struct MyTitle {
    content_id: ContentId,
    /// Null: he never watched it, or from its begin.
    resume_s: Option<u32>,
    /// The number to change the resume point by; 0 where there is none yet.
    version: u32,
    updated_at: Option<Timestamp>,
    /// The newest first.
    viewings: Vec<MyViewing>,
}

#[derive(Serialize)]
struct MyViewing {
    started_at: Timestamp,
    seen_at: Timestamp,
    position_s: u32,
}

/// A change of the resume point.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    resume_s: u32,
    /// The version that was read; absent: whatever it is.
    version: Option<u32>,
}

/// The queue as it is told.
#[derive(Serialize)]
pub struct MyQueue {
    version: u32,
    content_ids: Vec<ContentId>,
}

/// A change of the queue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewQueue {
    content_ids: Vec<ContentId>,
    /// The version that was read; absent: whatever it is.
    version: Option<u32>,
}

/// Who is signed in, and what his plan allows.
///
/// Errors: [`Refusal::Token`].
pub async fn account(service: &Service, caller: &Caller) -> Result<AccountDetails, Refusal> {
    let account = Viewer::reading(service, caller).await?.account;
    let plan = service.store.plan(&account.plan).await?;
    Ok(AccountDetails { name: account.name, subscription: account.subscription, plan })
}

/// Where the viewer left a title, and when he watched it.
///
/// Errors: [`Refusal::Token`]; [`Denial::TitleNotFound`].
pub async fn my_title(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
) -> Result<MyTitle, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    tell(service, &viewer, content_id).await
}

/// Sets the resume point. Where the caller says which version he read and another one is there by
/// now, nothing changes.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`]; [`Denial::TitleNotFound`];
/// [`Refusal::Outdated`].
pub async fn set_resume(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
    resume: &Resume,
) -> Result<MyTitle, Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    if !service.store.has_title(content_id).await? {
        return Err(Denial::TitleNotFound.into());
    }
    let (account, position_s, now) = (viewer.account.id, resume.resume_s, caller.now);
    match resume.version {
        None => service.store.put_resume(account, content_id, position_s, now).await?,
        Some(version) => {
            let change = service.store.change_resume(account, content_id, position_s, version, now);
            if !change.await? {
                return Err(Refusal::Outdated);
            }
        }
    }
    tell(service, &viewer, content_id).await
}

async fn tell(
    service: &Service,
    viewer: &Viewer,
    content_id: &ContentId,
) -> Result<MyTitle, Refusal> {
    let (store, account) = (&service.store, viewer.account.id);
    if !store.has_title(content_id).await? {
        return Err(Denial::TitleNotFound.into());
    }
    let point = store.resume_point(account, content_id).await?;
    let viewings = store.viewings(account, content_id).await?;
    let told = |Viewing { started, seen, position_s }: Viewing| MyViewing {
        started_at: started,
        seen_at: seen,
        position_s,
    };
    Ok(MyTitle {
        content_id: content_id.clone(),
        resume_s: point.map(|point| point.position_s),
        version: point.map_or(0, |point| point.version),
        updated_at: point.map(|point| point.updated),
        viewings: viewings.into_iter().map(told).collect(),
    })
}

/// What the viewer wants to watch, in his order.
///
/// Errors: [`Refusal::Token`].
pub async fn queue(service: &Service, caller: &Caller) -> Result<MyQueue, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    let Queue { version, content_ids } = service.store.queue(viewer.account.id).await?;
    Ok(MyQueue { version, content_ids })
}

/// Replaces the queue; a title that stands in it twice keeps its first place.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`]; [`Refusal::Malformed`] beyond
/// [`QUEUE_MAX`] titles; [`Refusal::Outdated`].
pub async fn set_queue(
    service: &Service,
    caller: &Caller,
    new: NewQueue,
) -> Result<MyQueue, Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    if new.content_ids.len() > QUEUE_MAX {
        return Err(Refusal::Malformed("too many ids"));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut content_ids = new.content_ids;
    content_ids.retain(|id| seen.insert(id.clone()));
    let account = viewer.account.id;
    if !service.store.put_queue(account, &content_ids, new.version).await? {
        return Err(Refusal::Outdated);
    }
    queue(service, caller).await
}

/// Empties the queue.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`].
pub async fn empty_queue(service: &Service, caller: &Caller) -> Result<(), Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    service.store.put_queue(viewer.account.id, &[], None).await?;
    Ok(())
}
