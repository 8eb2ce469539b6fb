//! Stream leases: how many streams an account runs at once (R085).
//!
//! A token call reserves a slot for [`RESERVE_S`]; the first license or heartbeat turns it into
//! a lease of [`LEASE_S`] that every further heartbeat renews. The store loads the account's
//! rows under a lock, asks [`reserve`], writes and commits, so that parallel starts cannot
//! each take the last slot.

use crate::Denial;
use model::{ContentId, DeviceId, PlaybackSessionId, Timestamp};

/// How long a token call holds a slot for the license that should follow.
pub const RESERVE_S: u64 = 30;

/// How often a player reports.
pub const HEARTBEAT_S: u64 = 60;

/// How long a stream counts after its last sign of life: three missed heartbeats.
pub const LEASE_S: u64 = 3 * HEARTBEAT_S;

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

/// Until when a stream that showed life now counts.
#[must_use]
pub const fn leased_until(now: Timestamp) -> Timestamp {
    now.plus_s(LEASE_S)
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
        assert_eq!(leased_until(NOW), NOW.plus_s(180));
        assert_eq!(reserved_until(NOW), NOW.plus_s(30));
    }
}
