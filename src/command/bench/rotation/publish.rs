//! The event as a channel publishes it: title, policy, keys and the packager's word.

use super::event::{Event, SCHEME};
use super::{Arguments, BEGINS, Horizon};
use anyhow::Context as _;
use keys::SystemEntropy;
use model::{
    CategoryName, ContentId, PackageId, PackagedEvent, PlanAccess, PolicyName, RegionRule,
    Rotation, RotationRight, Title, TitlePolicy, TitleState, TrackClass, TrackClasses,
};
use server::Home;
use std::num::NonZeroU32;

const TITLE: &str = "event";

/// Makes the keys of an event and publishes it. Where its length is not known to anybody, there are
/// keys for more than it will need; where one license serves it whole, it is.
pub async fn publish(
    arguments: &Arguments,
    horizon: Horizon,
    home: &Home,
) -> anyhow::Result<Event> {
    let (batch, more) = match horizon {
        Horizon::WholeEvent => (arguments.periods.get().div_ceil(2), 0),
        Horizon::Seconds(s) => (s.get().div_ceil(arguments.period_s.get()), 2),
    };
    let batch = arguments.batch.or(NonZeroU32::new(batch)).context("a batch of no period")?;
    let rotation = Rotation { period_s: arguments.period_s, batch_periods: batch };
    let periods = arguments.periods.get().saturating_add(more * batch.get());
    let classes: TrackClasses = arguments.classes.iter().copied().collect();
    let title = title(horizon)?;
    home.store.put_policy(&title.policy, BEGINS).await?;
    home.store.put_title(&title).await?;
    let made =
        home.vault.event_keys(&title, classes, SCHEME, periods, (rotation, BEGINS), BEGINS).await?;
    let package = PackageId::random(&mut SystemEntropy);
    let state = TitleState::Published { package };
    let told = announcement(&title, package, rotation);
    home.store.publish_package(&state, &told, BEGINS).await?;
    Event::of(title.content_id, rotation, classes, periods, &made)
}

fn title(horizon: Horizon) -> anyhow::Result<Title> {
    let rotation = match horizon {
        Horizon::WholeEvent => RotationRight { whole_event: true, ..RotationRight::default() },
        Horizon::Seconds(horizon_s) => RotationRight { horizon_s, whole_event: false },
    };
    let name = PolicyName::parse("bench-rotation")?;
    let policy = TitlePolicy { name, rotation, ..TitlePolicy::default() };
    Ok(Title {
        content_id: ContentId::parse(TITLE)?,
        name: "An event".to_owned(),
        category: CategoryName::parse("live")?,
        policy: policy.with_clearkey_max(TrackClass::Uhd),
        access: PlanAccess::Every,
        regions: RegionRule::Everywhere,
        state: TitleState::Draft,
    })
}

/// What a packager says of a live event that it has begun.
fn announcement(title: &Title, package_id: PackageId, rotation: Rotation) -> PackagedEvent {
    PackagedEvent {
        event: PackagedEvent::EVENT.to_owned(),
        version: PackagedEvent::VERSION,
        content_id: title.content_id.clone(),
        package_id,
        schemes: vec![SCHEME],
        variants: vec![],
        texts: vec![],
        images: vec![],
        dash: "manifest.mpd".to_owned(),
        hls: vec!["master.m3u8".to_owned()],
        live: true,
        rotation: Some(rotation),
        duration_ms: 0,
        size_bytes: 0,
        packager: "bench".to_owned(),
        packaged_at: BEGINS,
    }
}
