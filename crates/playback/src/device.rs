//! Devices of an account: how many there may be, and what each may do (R060 to R068, R070).
//!
//! The store loads the account's devices under a lock, asks [`admit`] or [`keep`], writes and
//! commits, so that parallel registrations cannot each take the last place.

use model::{AccountId, Device, DeviceId, Timestamp};
use serde::Deserialize;

/// How long a registration lives, and a ticket with it.
pub const REGISTRATION_S: u64 = 12 * 3600;

/// How far ahead of the last one the number of a control message may be: as many messages may be
/// lost on the way. It keeps the counter from being driven to its end.
pub const MAX_SKIP: u64 = 10_000;

/// Longest name of a device, bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Why a device may not do what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefused {
    /// The account has as many devices as its plan allows.
    #[error("the account has its {max_devices} devices")]
    LimitReached {
        /// How many the plan allows.
        max_devices: u32,
    },
    /// The device is another account's, or registered with another key.
    #[error("the device belongs to another account or key")]
    OtherAccount,
    /// The device was taken away.
    #[error("the device was removed")]
    Inactive,
    /// No such device is registered.
    #[error("the device is not registered")]
    NotRegistered,
    /// The registration or its ticket ended; a renewal helps.
    #[error("the registration has ended")]
    Expired,
    /// The control message's number is not the next; registering anew helps.
    #[error("the message is out of order")]
    OutOfOrder,
}

impl DeviceRefused {
    /// The stable code of problem documents.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::LimitReached { .. } => "device_limit_reached",
            Self::OtherAccount => "device_account_mismatch",
            Self::Inactive => "device_inactive",
            Self::NotRegistered => "device_not_registered",
            Self::Expired => "registration_expired",
            Self::OutOfOrder => "sequence_out_of_order",
        }
    }

    /// One sentence for the viewer, without jargon.
    #[must_use]
    pub fn viewer_sentence(self) -> String {
        match self {
            Self::LimitReached { max_devices } => format!(
                "Your plan allows {max_devices} devices, and all of them are registered. \
                 Remove one and try again."
            ),
            Self::OtherAccount => "This device belongs to another account.".to_owned(),
            Self::Inactive => "This device was removed from your account.".to_owned(),
            Self::NotRegistered => "This device is not registered.".to_owned(),
            Self::Expired => "This device has to be registered again.".to_owned(),
            Self::OutOfOrder => "Something went wrong on this device. Please try again.".to_owned(),
        }
    }
}

/// What the removal of a device does to what it plays (C9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deauthorize {
    /// It is refused from its next message on.
    Immediate,
    /// It plays until its registration ends.
    AtExpiry,
}

/// Whether a device takes a place. One with a key keeps it until it is removed; a sign-in without
/// one gives it up when it shows no sign of life.
#[must_use]
pub fn takes_place(device: &Device, now: Timestamp) -> bool {
    device.removed.is_none() && (device.key.is_some() || device.expires > now)
}

/// Whether there is a place for a device that has none, or `own` that has one.
///
/// `devices` holds those of one account; some may take no place.
///
/// Errors: [`DeviceRefused::LimitReached`] when the others fill the plan.
pub fn admit(
    devices: &[Device],
    max_devices: u32,
    own: Option<DeviceId>,
    now: Timestamp,
) -> Result<(), DeviceRefused> {
    let others =
        devices.iter().filter(|device| takes_place(device, now) && Some(device.id) != own).count();
    if is_below(others, max_devices) {
        Ok(())
    } else {
        Err(DeviceRefused::LimitReached { max_devices })
    }
}

/// Whether a registered device may go on. Where a plan has shrunk below its devices, those that
/// were registered first do.
///
/// Errors: [`DeviceRefused::LimitReached`].
pub fn keep(
    devices: &[Device],
    max_devices: u32,
    own: &Device,
    now: Timestamp,
) -> Result<(), DeviceRefused> {
    let age = |device: &Device| (device.registered, device.id);
    let older =
        devices.iter().filter(|device| takes_place(device, now) && age(device) < age(own)).count();
    if is_below(older, max_devices) {
        Ok(())
    } else {
        Err(DeviceRefused::LimitReached { max_devices })
    }
}

fn is_below(count: usize, most: u32) -> bool {
    u32::try_from(count).is_ok_and(|count| count < most)
}

/// Whether `account`, with `key` proved, may renew a device.
///
/// Errors: [`DeviceRefused::NotRegistered`], [`DeviceRefused::OtherAccount`],
/// [`DeviceRefused::Inactive`].
pub fn may_renew(
    device: Option<&Device>,
    account: AccountId,
    key: &[u8; 32],
) -> Result<(), DeviceRefused> {
    let device = device.ok_or(DeviceRefused::NotRegistered)?;
    // Public values: the thumbprint of a public key.
    if device.account != account || device.key.as_ref() != Some(key) {
        return Err(DeviceRefused::OtherAccount);
    }
    if device.removed.is_some() { Err(DeviceRefused::Inactive) } else { Ok(()) }
}

/// Whether a device may play for `account`. `until` is the end of what it holds: its ticket, or
/// the registration of its sign-in.
///
/// Errors: [`DeviceRefused`].
pub fn may_play(
    device: Option<&Device>,
    account: AccountId,
    until: Timestamp,
    deauthorize: Deauthorize,
    now: Timestamp,
) -> Result<(), DeviceRefused> {
    let device = device.ok_or(DeviceRefused::NotRegistered)?;
    if device.account != account {
        return Err(DeviceRefused::OtherAccount);
    }
    let plays_on = deauthorize == Deauthorize::AtExpiry && until > now;
    if device.removed.is_some() && !plays_on {
        return Err(DeviceRefused::Inactive);
    }
    if until <= now { Err(DeviceRefused::Expired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::DeviceKind;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const OWNER: AccountId = AccountId::from_bytes([1; 16]);
    const STRANGER: AccountId = AccountId::from_bytes([2; 16]);

    fn device(number: u8) -> Device {
        Device {
            id: DeviceId::from_bytes([number; 16]),
            account: OWNER,
            name: "Firefox".to_owned(),
            kind: DeviceKind::Browser,
            key: Some([number; 32]),
            registered: Timestamp(NOW.0 + u64::from(number)),
            renewed: NOW,
            expires: NOW.plus_s(REGISTRATION_S),
            removed: None,
        }
    }

    const FULL: Result<(), DeviceRefused> = Err(DeviceRefused::LimitReached { max_devices: 2 });

    #[test]
    fn the_plan_is_filled_and_not_exceeded() {
        let two = [device(1), device(2)];
        assert_eq!(admit(&two[..1], 2, None, NOW), Ok(()));
        assert_eq!(admit(&two, 2, None, NOW), FULL);
        assert_eq!(admit(&two, 2, Some(two[0].id), NOW), Ok(()), "its own place");
        let none = Err(DeviceRefused::LimitReached { max_devices: 0 });
        assert_eq!(admit(&[], 0, None, NOW), none);
    }

    #[test]
    fn a_key_keeps_its_place_and_a_sign_in_gives_it_up() {
        let late = NOW.plus_s(REGISTRATION_S);
        let keyless = Device { key: None, ..device(1) };
        assert!(takes_place(&device(1), late.plus_s(999)));
        assert!(takes_place(&keyless, Timestamp(late.0 - 1)));
        assert!(!takes_place(&keyless, late));
        assert!(!takes_place(&Device { removed: Some(NOW), ..device(1) }, NOW));
    }

    #[test]
    fn a_plan_that_shrank_keeps_the_first() {
        let three = [device(3), device(1), device(2)];
        for (own, goes_on) in [(1, true), (2, true), (3, false)] {
            assert_eq!(keep(&three, 2, &device(own), NOW).is_ok(), goes_on, "{own}");
        }
        let removed = [device(3), Device { removed: Some(NOW), ..device(1) }, device(2)];
        assert_eq!(keep(&removed, 2, &device(3), NOW), Ok(()));
    }

    #[test]
    fn who_may_renew() {
        let (own, other) = (device(1), [9; 32]);
        assert_eq!(may_renew(Some(&own), OWNER, &[1; 32]), Ok(()));
        assert_eq!(may_renew(None, OWNER, &[1; 32]), Err(DeviceRefused::NotRegistered));
        let mismatch = Err(DeviceRefused::OtherAccount);
        assert_eq!(may_renew(Some(&own), STRANGER, &[1; 32]), mismatch);
        assert_eq!(may_renew(Some(&own), OWNER, &other), mismatch);
        assert_eq!(
            may_renew(Some(&Device { key: None, ..own.clone() }), OWNER, &[1; 32]),
            mismatch
        );
        let removed = Device { removed: Some(NOW), ..own };
        assert_eq!(may_renew(Some(&removed), OWNER, &[1; 32]), Err(DeviceRefused::Inactive));
        assert_eq!(may_renew(Some(&removed), STRANGER, &[1; 32]), mismatch);
    }

    #[test]
    fn a_removed_device_plays_on_only_where_the_operator_says_so() {
        let until = NOW.plus_s(10);
        let ask = |device: &Device, how, now| may_play(Some(device), OWNER, until, how, now);
        let (own, removed) = (device(1), Device { removed: Some(NOW), ..device(1) });
        let inactive = Err(DeviceRefused::Inactive);
        for how in [Deauthorize::Immediate, Deauthorize::AtExpiry] {
            assert_eq!(ask(&own, how, NOW), Ok(()));
            assert_eq!(ask(&own, how, until), Err(DeviceRefused::Expired));
            assert_eq!(ask(&removed, how, until), inactive);
            let stranger = may_play(Some(&removed), STRANGER, until, how, NOW);
            assert_eq!(stranger, Err(DeviceRefused::OtherAccount));
            assert_eq!(may_play(None, OWNER, until, how, NOW), Err(DeviceRefused::NotRegistered));
        }
        assert_eq!(ask(&removed, Deauthorize::Immediate, NOW), inactive);
        assert_eq!(ask(&removed, Deauthorize::AtExpiry, NOW), Ok(()));
    }
}
