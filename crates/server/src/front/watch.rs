//! The entry page of a title.

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{ContentId, TitleState};
use playback::Denial;
use playback::entitlement::check_region;

/// Where the watch page of a title leads.
pub enum Entry {
    /// To the player.
    Player,
    /// To sign-in first, and back to this path of our own.
    SignIn {
        /// Path and query of the watch page.
        back_to: String,
    },
}

/// Decides what the watch page shows (R051, R052).
///
/// 1 someone who is not signed in signs in first, 2 the title must be published, 3 and may be
/// watched from where the viewer is. What the account may is the token call's matter.
///
/// Errors: a denial.
pub async fn enter(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
) -> Result<Entry, Refusal> {
    match Viewer::reading(service, caller).await {
        Ok(_) => {}
        // The way back is made of the parsed id, so it cannot lead to another origin.
        Err(Refusal::Token(_)) => {
            return Ok(Entry::SignIn { back_to: format!("/watch/{content_id}") });
        }
        Err(refusal) => return Err(refusal),
    }
    let title = service.store.title(content_id).await?.ok_or(Denial::TitleNotFound)?;
    if !matches!(title.state, TitleState::Published { .. }) {
        return Err(Denial::TitleNotFound.into());
    }
    check_region(&title.regions, caller.country)?;
    Ok(Entry::Player)
}
