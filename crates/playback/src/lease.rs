//! Stream leases: how many streams an account runs at once (R085).
//!
//! A token call reserves a slot for [`RESERVE_S`]; the first license or heartbeat turns it into
//! a lease that every further heartbeat renews and that ends after [`MISSED_BEATS`], and after
//! [`STREAM_S`] in any case. The store loads the account's rows under a lock, asks [`reserve`],
//! writes and commits, so that parallel starts cannot each take the last slot.

use crate::Denial;
use model::{ContentId, DeviceId, PlaybackSessionId, Subscription, Timestamp};

/// How long a token call holds a slot for the license that should follow.
pub const RESERVE_S: u64 = 30;

/// How often a browser's player reports, unless the settings say otherwise (R150).
pub const BROWSER_BEAT_S: u32 = 60;

/// How often a device's player reports, unless the settings say otherwise (R150).
pub const DEVICE_BEAT_S: u32 = 30;

/// A stream counts for so many intervals after its last sign of life.
pub const MISSED_BEATS: u32 = 3;

/// The longest a stream goes on without another token call.
pub const STREAM_S: u64 = 24 * 3600;

/// How a stream ended that was not left to lapse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// Its own device stopped it.
    Stopped,
    /// Someone of the account ended it from another device.
    ByAccount,
}

impl StreamEnd {
    /// The name in rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::ByAccount => "ended_by_account",
        }
    }

    /// The end of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Stopped, Self::ByAccount].into_iter().find(|end| end.name() == name)
    }
}

/// Why a player that plays must stop: what its heartbeat is told (R153).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// Someone of the account ended the stream.
    EndedByAccount,
    /// The account is suspended.
    Suspended,
    /// The subscription lapsed.
    SubscriptionEnded,
    /// The account's plan no longer includes the title, or streaming.
    PlanChanged,
    /// The title is no longer published.
    TitleWithdrawn,
    /// The title may not be watched from where the viewer is now.
    RegionNotAllowed,
    /// The plan allows fewer streams than before, and others are older.
    LimitShrunk,
    /// The lease had lapsed, and its slot is another stream's by now.
    SlotTaken,
}

impl Withdrawal {
    /// The stable name in problem documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndedByAccount => "ended_by_account",
            Self::Suspended => "suspended",
            Self::SubscriptionEnded => "subscription_ended",
            Self::PlanChanged => "plan_changed",
            Self::TitleWithdrawn => "title_withdrawn",
            Self::RegionNotAllowed => "region_not_allowed",
            Self::LimitShrunk => "limit_shrunk",
            Self::SlotTaken => "slot_taken",
        }
    }

    /// What a denial means to a stream that runs. `was_running`: its lease had not lapsed.
    #[must_use]
    pub const fn of(denial: Denial, subscription: Subscription, was_running: bool) -> Self {
        match (denial, subscription) {
            (Denial::TitleNotFound, _) => Self::TitleWithdrawn,
            (Denial::SubscriptionInactive, Subscription::Suspended) => Self::Suspended,
            (Denial::SubscriptionInactive, _) => Self::SubscriptionEnded,
            (Denial::PlanNotEntitled | Denial::TitleNotInPlan, _) => Self::PlanChanged,
            (Denial::RegionNotAllowed, _) => Self::RegionNotAllowed,
            (Denial::StreamLimitReached { .. }, _) if was_running => Self::LimitShrunk,
            (Denial::StreamLimitReached { .. }, _) => Self::SlotTaken,
        }
    }
}

/// One stream of an account as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveStream {
    /// The playback session.
    pub session: PlaybackSessionId,
    /// The device it runs on.
    pub device: DeviceId,
    /// The title.
    pub content_id: ContentId,
    /// When it stops counting.
    pub expires: Timestamp,
    /// Whether a license or heartbeat has turned the reservation into a lease.
    pub is_leased: bool,
}

/// A slot for a starting stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The same device already plays the title: its own slot serves again.
    Reuse(PlaybackSessionId),
    /// A slot is free.
    New,
}

/// Finds the slot in which `device` may start `content_id`.
///
/// `live` holds the rows of one account, expired ones may be among them and do not count.
///
/// Errors: [`Denial::StreamLimitReached`] when other streams fill the plan.
pub fn reserve(
    live: &[LiveStream],
    max_streams: u32,
    device: DeviceId,
    content_id: &ContentId,
    now: Timestamp,
) -> Result<Reserved, Denial> {
    let running = || live.iter().filter(|stream| stream.expires > now);
    // A plan may have shrunk below what runs: then even a stream's own slot is not renewed
    // beyond the plan, because the count includes it.
    let is_full = |count: usize| u32::try_from(count).map_or(true, |count| count >= max_streams);
    let own = running().find(|stream| stream.device == device && stream.content_id == *content_id);
    let others = running().count() - usize::from(own.is_some());
    if is_full(others) {
        return Err(Denial::StreamLimitReached { max_streams });
    }
    Ok(own.map_or(Reserved::New, |stream| Reserved::Reuse(stream.session)))
}

/// Until when a slot reserved now is held.
#[must_use]
pub const fn reserved_until(now: Timestamp) -> Timestamp {
    now.plus_s(RESERVE_S)
}

/// How long a stream counts after a sign of life, milliseconds, where players report so often.
#[must_use]
pub fn lease_ms(interval_s: u32) -> u64 {
    u64::from(MISSED_BEATS) * u64::from(interval_s) * 1000
}

/// When a stream that a token call starts now ends at the latest.
#[must_use]
pub const fn ends_by(now: Timestamp) -> Timestamp {
    now.plus_s(STREAM_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn film(name: &str) -> ContentId {
        ContentId::parse(name).unwrap()
    }

    fn stream(number: u8, device: u8, title: &str, expires: Timestamp) -> LiveStream {
        LiveStream {
            session: PlaybackSessionId::from_bytes([number; 16]),
            device: DeviceId::from_bytes([device; 16]),
            content_id: film(title),
            expires,
            is_leased: true,
        }
    }

    fn ask(live: &[LiveStream], max: u32, device: u8, title: &str) -> Result<Reserved, Denial> {
        reserve(live, max, DeviceId::from_bytes([device; 16]), &film(title), NOW)
    }

    #[test]
    fn the_plan_is_filled_and_not_exceeded() {
        let live = [stream(1, 1, "a", NOW.plus_s(9)), stream(2, 2, "a", NOW.plus_s(9))];
        assert_eq!(ask(&live[..1], 2, 3, "a"), Ok(Reserved::New));
        assert_eq!(ask(&live, 2, 3, "a"), Err(Denial::StreamLimitReached { max_streams: 2 }));
        assert_eq!(ask(&[], 0, 3, "a"), Err(Denial::StreamLimitReached { max_streams: 0 }));
    }

    #[test]
    fn the_same_device_and_title_reuse_their_slot() {
        let live = [stream(1, 1, "a", NOW.plus_s(9)), stream(2, 2, "b", NOW.plus_s(9))];
        let own = PlaybackSessionId::from_bytes([1; 16]);
        assert_eq!(ask(&live, 2, 1, "a"), Ok(Reserved::Reuse(own)));
        assert!(ask(&live, 2, 1, "b").is_err(), "another title is another stream");
        assert!(ask(&live, 2, 2, "a").is_err(), "another device is another stream");
        assert!(ask(&live, 1, 1, "a").is_err(), "a plan that shrank is not exceeded");
    }

    #[test]
    fn an_expired_stream_frees_its_slot_at_its_expiry() {
        assert!(ask(&[stream(1, 1, "a", Timestamp(NOW.0 + 1))], 1, 2, "a").is_err());
        assert_eq!(ask(&[stream(1, 1, "a", NOW)], 1, 2, "a"), Ok(Reserved::New));
        assert_eq!(ask(&[stream(1, 1, "a", NOW)], 1, 1, "a"), Ok(Reserved::New));
    }

    #[test]
    fn a_lost_player_counts_for_three_heartbeats() {
        assert_eq!(lease_ms(BROWSER_BEAT_S), 180_000);
        assert_eq!(lease_ms(DEVICE_BEAT_S), 90_000);
        assert_eq!(reserved_until(NOW), NOW.plus_s(30));
        assert_eq!(ends_by(NOW), NOW.plus_s(86_400));
    }

    #[test]
    fn every_denial_has_its_reason_for_a_stream_that_runs() {
        use Subscription::{Active, Inactive, Suspended};
        let full = Denial::StreamLimitReached { max_streams: 1 };
        for (denial, subscription, was_running, reason) in [
            (Denial::TitleNotFound, Active, true, "title_withdrawn"),
            (Denial::SubscriptionInactive, Suspended, true, "suspended"),
            (Denial::SubscriptionInactive, Inactive, true, "subscription_ended"),
            (Denial::PlanNotEntitled, Active, true, "plan_changed"),
            (Denial::TitleNotInPlan, Active, true, "plan_changed"),
            (Denial::RegionNotAllowed, Active, true, "region_not_allowed"),
            (full, Active, true, "limit_shrunk"),
            (full, Active, false, "slot_taken"),
        ] {
            assert_eq!(Withdrawal::of(denial, subscription, was_running).name(), reason);
        }
        for end in [StreamEnd::Stopped, StreamEnd::ByAccount] {
            assert_eq!(StreamEnd::from_name(end.name()), Some(end));
        }
        assert_eq!(StreamEnd::from_name("lapsed"), None);
    }
}
