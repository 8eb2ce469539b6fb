//! Licenses that devices keep: how many an account may have, and why one is not given (R115, R117).
//!
//! A title on a device counts once, however often it is asked for, from the moment its license is
//! in the making until the license ends or is given back. The store loads the account's rows
//! under a lock, asks [`admit`], writes and commits, so that parallel requests cannot each take
//! the last place.

use model::{ContentId, DeviceId, GrantId, Timestamp};

/// How long a license in the making holds its place: what fails on its way leaves the place free
/// after so long.
pub const RESERVE_S: u64 = 60;

/// A title that a device of an account keeps, as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLicense {
    /// The device.
    pub device: DeviceId,
    /// The title.
    pub content_id: ContentId,
    /// The newest license: the grant it was made under.
    pub license: GrantId,
    /// When that began.
    pub issued: Timestamp,
    /// When the last of the title's licenses on the device ends.
    pub ends: Timestamp,
    /// Until when the place is held for a license in the making; absent once that left.
    pub reserved_until: Option<Timestamp>,
    /// When the device gave it back.
    pub released: Option<Timestamp>,
}

impl KeptLicense {
    /// Whether it takes a place of the account now.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.released.is_none()
            && self.ends > now
            && self.reserved_until.is_none_or(|until| until > now)
    }

    /// Whether the device has a license of the title that it may still use.
    #[must_use]
    pub fn is_kept(&self, now: Timestamp) -> bool {
        self.reserved_until.is_none() && self.counts(now)
    }
}

/// Why a device gets no license to keep. The caller hears one code; this says which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineDenied {
    /// The title's policy has no offline right.
    Title,
    /// The dialect attests no device, so nobody knows what keeps the license.
    Dialect,
    /// The account's plan includes none.
    Plan,
    /// A live event whose keys change: there is nothing to keep yet.
    Live,
    /// The account's devices keep as many as its plan allows.
    LimitReached {
        /// How many the plan allows.
        max_offline: u32,
    },
}

impl OfflineDenied {
    /// The inner reason, for the operator.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Title => "title_gives_no_offline_license",
            Self::Dialect => "dialect_keeps_no_license",
            Self::Plan => "plan_gives_no_offline_license",
            Self::Live => "live_title_is_not_kept",
            Self::LimitReached { .. } => "offline_limit",
        }
    }

    /// One sentence for the viewer, without jargon.
    #[must_use]
    pub fn viewer_sentence(self) -> String {
        match self {
            Self::Title => "This title may not be kept on a device.".to_owned(),
            Self::Dialect => "This player cannot keep titles on a device.".to_owned(),
            Self::Plan => "Your plan does not include titles to keep on a device.".to_owned(),
            Self::Live => "A live event cannot be kept on a device.".to_owned(),
            Self::LimitReached { max_offline: 1 } => {
                "Your plan allows one title kept on a device, and that limit is reached. \
                 Remove it there and try again."
                    .to_owned()
            }
            Self::LimitReached { max_offline } => format!(
                "Your plan allows {max_offline} titles kept on devices, and that limit is reached. \
                 Remove one and try again."
            ),
        }
    }
}

/// Whether `device` may keep `content_id`: how many places the account's other titles take.
///
/// `kept` holds the rows of one account, also those that count no more.
///
/// Errors: [`OfflineDenied::Plan`], [`OfflineDenied::LimitReached`].
pub fn admit(
    kept: &[KeptLicense],
    max_offline: u32,
    device: DeviceId,
    content_id: &ContentId,
    now: Timestamp,
) -> Result<u32, OfflineDenied> {
    if max_offline == 0 {
        return Err(OfflineDenied::Plan);
    }
    let is_other = |row: &&KeptLicense| row.device != device || row.content_id != *content_id;
    let others = kept.iter().filter(|row| row.counts(now)).filter(is_other).count();
    match u32::try_from(others) {
        Ok(others) if others < max_offline => Ok(others),
        _ => Err(OfflineDenied::LimitReached { max_offline }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn film(name: &str) -> ContentId {
        ContentId::parse(name).unwrap()
    }

    fn kept(device: u8, title: &str) -> KeptLicense {
        KeptLicense {
            device: DeviceId::from_bytes([device; 16]),
            content_id: film(title),
            license: GrantId::from_bytes([device; 16]),
            issued: NOW,
            ends: NOW.plus_s(100),
            reserved_until: None,
            released: None,
        }
    }

    fn ask(rows: &[KeptLicense], max: u32, device: u8, title: &str) -> Result<u32, OfflineDenied> {
        admit(rows, max, DeviceId::from_bytes([device; 16]), &film(title), NOW)
    }

    #[test]
    fn titles_on_devices_count_and_requests_do_not() {
        let full = Err(OfflineDenied::LimitReached { max_offline: 2 });
        let rows = [kept(1, "a"), kept(2, "a")];
        assert_eq!(ask(&[], 2, 1, "a"), Ok(0));
        assert_eq!(ask(&rows[..1], 2, 1, "b"), Ok(1));
        assert_eq!((ask(&rows, 2, 1, "b"), ask(&rows, 2, 3, "a")), (full, full));
        assert_eq!((ask(&rows, 2, 1, "a"), ask(&rows, 2, 2, "a")), (Ok(1), Ok(1)));
        let smaller = Err(OfflineDenied::LimitReached { max_offline: 1 });
        assert_eq!(ask(&rows, 1, 1, "a"), smaller, "a plan that shrank is not exceeded");
        assert_eq!(ask(&[], 0, 1, "a"), Err(OfflineDenied::Plan));
    }

    #[test]
    fn a_place_is_free_at_the_end_of_what_took_it() {
        let counts = |row: KeptLicense| ask(&[row], 1, 9, "z").is_err();
        assert!(counts(kept(1, "a")));
        assert!(counts(KeptLicense { ends: Timestamp(NOW.0 + 1), ..kept(1, "a") }));
        assert!(!counts(KeptLicense { ends: NOW, ..kept(1, "a") }));
        let reserved = |until| KeptLicense { reserved_until: Some(until), ..kept(1, "a") };
        assert!(counts(reserved(Timestamp(NOW.0 + 1))) && !counts(reserved(NOW)));
        assert!(!counts(KeptLicense { released: Some(NOW), ..kept(1, "a") }));
        assert!(kept(1, "a").is_kept(NOW) && !reserved(NOW.plus_s(1)).is_kept(NOW));
    }

    #[test]
    fn every_refusal_has_its_own_reason_and_a_sentence() {
        let all = [
            OfflineDenied::Title,
            OfflineDenied::Dialect,
            OfflineDenied::Plan,
            OfflineDenied::Live,
            OfflineDenied::LimitReached { max_offline: 1 },
        ];
        let reasons: std::collections::BTreeSet<_> = all.map(OfflineDenied::reason).into();
        assert_eq!(reasons.len(), all.len());
        assert!(all.into_iter().all(|denied| denied.viewer_sentence().ends_with('.')));
        let many = OfflineDenied::LimitReached { max_offline: 25 }.viewer_sentence();
        assert!(many.starts_with("Your plan allows 25 titles"), "{many}");
    }
}
