//! What the viewer's devices keep: the list, and a way to free a place for systems whose devices
//! send no release.

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{ContentId, DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

/// What an account's devices keep.
#[derive(Serialize)]
pub struct KeptTitles {
    max_offline: u32,
    items: Vec<KeptTitle>,
}

/// One title on one device.
#[derive(Serialize)]
struct KeptTitle {
    content_id: ContentId,
    device: DeviceId,
    is_this_device: bool,
    issued_at: Timestamp,
    ends_at: Timestamp,
}

/// Which device is meant.
#[derive(Deserialize)]
pub struct Of {
    device: Option<String>,
}

/// Lists the licenses that may still be used.
///
/// Errors: [`Refusal::Token`].
pub async fn list(service: &Service, caller: &Caller) -> Result<KeptTitles, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    let plan = service.store.plan(&viewer.account.plan).await?;
    let rows = service.store.kept_licenses(viewer.account.id).await?;
    let items = rows.into_iter().filter(|row| row.is_kept(caller.now)).map(|row| KeptTitle {
        is_this_device: row.device == viewer.device(),
        content_id: row.content_id,
        device: row.device,
        issued_at: row.issued,
        ends_at: row.ends,
    });
    let max_offline = plan.map_or(0, |plan| plan.max_offline);
    Ok(KeptTitles { max_offline, items: items.collect() })
}

/// Frees the place of a title that a device of the account has removed: this one, unless another
/// is named. Nothing to do where it keeps none.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`], [`Refusal::Malformed`].
pub async fn forget(
    service: &Service,
    caller: &Caller,
    content_id: &ContentId,
    of: &Of,
) -> Result<(), Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    let named = of.device.as_deref().map(DeviceId::parse).transpose();
    let named = named.map_err(|_| Refusal::Malformed("device"))?;
    let device = named.unwrap_or_else(|| viewer.device());
    service.store.free_kept(viewer.account.id, device, content_id, caller.now).await?;
    Ok(())
}
