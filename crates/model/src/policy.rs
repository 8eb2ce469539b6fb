//! What a title's owner allows, in terms no DRM system owns: one policy for all of them
//! (R119). A dialect's compiler turns it into license terms (`dialect::terms`).

use crate::time::{Seconds, SpanEnd};
use crate::{AnalogOutput, Hdcp, PolicyName, Robustness, SecurityLevel, TrackClass};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

mod built_in;
mod document;
mod rulings;

pub use document::{MAX_POLICY_BYTES, PolicyError};
pub use rulings::Withheld;

/// The policy of one title. Whatever its fields say, less secure devices never get more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TitlePolicy {
    /// The policy's name.
    pub name: PolicyName,
    /// The highest track class of each security level.
    pub levels: LevelTable,
    /// Highest class that ClearKey, which attests nothing, may get; `None` is no key at all.
    #[serde(with = "class_or_none")]
    pub clearkey_max: Option<TrackClass>,
    /// The title's own word in the place of `clearkey_max`; of no effect where that is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearkey_override: Option<TrackClass>,
    /// What the outputs must do, by track class.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs: OutputTable,
    /// Whether pictures must be out of reach of screen capture (R113): video keys then leave
    /// only for decoding in hardware, with HDCP and without analog output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub capture_protected: bool,
    /// How long a license lives, from its start.
    pub license_s: NonZeroU32,
    /// How long playback may begin, from the license's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rental_s: Seconds,
    /// How long playback may go on, once begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playback_s: Seconds,
    /// How long playback may run before the playback span counts as begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play_start_grace_s: Seconds,
    /// What happens at the end of the rental span.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rental_end: SpanEnd,
    /// What happens at the end of the playback span.
    #[serde(default, skip_serializing_if = "is_default")]
    pub playback_end: SpanEnd,
    /// How a device asks for more time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub renewal: RenewalRight,
    /// Whether and how long a license may be kept on the device.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offline: OfflineRight,
    /// How far ahead licenses carry keys that change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rotation: RotationRight,
}

/// The highest track class of each level; `None` is no key at all, not even audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelTable {
    /// Of L1.
    #[serde(rename = "L1", with = "class_or_none")]
    pub l1: Option<TrackClass>,
    /// Of L2; never more than L1 gets.
    #[serde(rename = "L2", with = "class_or_none")]
    pub l2: Option<TrackClass>,
    /// Of L3; never more than L2 gets.
    #[serde(rename = "L3", with = "class_or_none")]
    pub l3: Option<TrackClass>,
}

impl Default for LevelTable {
    /// L1 up to UHD, L2 up to HD, L3 up to SD (R110).
    fn default() -> Self {
        Self { l1: Some(TrackClass::Uhd), l2: Some(TrackClass::Hd), l3: Some(TrackClass::Sd) }
    }
}

impl LevelTable {
    /// The highest class of a level. A row that gives a less secure level more is cut.
    #[must_use]
    pub fn highest(&self, level: SecurityLevel) -> Option<TrackClass> {
        match level {
            SecurityLevel::L1 => self.l1,
            SecurityLevel::L2 => self.l2.min(self.l1),
            SecurityLevel::L3 => self.l3.min(self.l2).min(self.l1),
        }
    }

    /// The least secure level that gets the class; `None` where none does.
    #[must_use]
    pub fn least_with(&self, class: TrackClass) -> Option<SecurityLevel> {
        let up = [SecurityLevel::L3, SecurityLevel::L2, SecurityLevel::L1];
        up.into_iter().find(|level| self.highest(*level) >= Some(class))
    }
}

/// What the outputs must do, by track class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "UPPERCASE")]
pub struct OutputTable {
    /// For audio.
    #[serde(skip_serializing_if = "is_default")]
    pub audio: OutputRule,
    /// For video up to SD.
    #[serde(skip_serializing_if = "is_default")]
    pub sd: OutputRule,
    /// For video up to HD.
    #[serde(skip_serializing_if = "is_default")]
    pub hd: OutputRule,
    /// For video above HD.
    #[serde(skip_serializing_if = "is_default")]
    pub uhd: OutputRule,
}

impl OutputTable {
    /// The rule of a class.
    #[must_use]
    pub const fn of(&self, class: TrackClass) -> &OutputRule {
        match class {
            TrackClass::Audio => &self.audio,
            TrackClass::Sd => &self.sd,
            TrackClass::Hd => &self.hd,
            TrackClass::Uhd => &self.uhd,
        }
    }
}

/// What is asked of the outputs, and of the device in front of them, for one track class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputRule {
    /// The link protection.
    #[serde(skip_serializing_if = "is_default")]
    pub hdcp: Hdcp,
    /// Whether pictures may leave by an analog output.
    #[serde(skip_serializing_if = "is_default")]
    pub analog: AnalogOutput,
    /// The least robustness; what the level table says when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
}

/// How a device asks for more time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RenewalRight {
    /// Whether it may.
    pub allowed: bool,
    /// When it asks first, after the license's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_s: Seconds,
    /// When it asks again, after no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_s: Seconds,
    /// How long it may play on without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_s: Seconds,
    /// Whether it asks when playback begins.
    #[serde(skip_serializing_if = "is_default")]
    pub on_first_use: bool,
    /// Whether it says again who it is.
    #[serde(skip_serializing_if = "is_default")]
    pub with_identity: bool,
}

/// Whether and how long a license may be kept on the device (R117).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfflineRight {
    /// Whether it may.
    pub allowed: bool,
    /// How long a kept license lives; as long as one that is not kept when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_s: Seconds,
    /// How long playback of it may begin; the policy's own rental span when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rental_s: Seconds,
    /// How long playback of it may go on; the policy's own playback span when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playback_s: Seconds,
}

/// How far ahead of the moment a license carries the keys of a live event whose keys change
/// (R125): a viewer who may not watch any more has lost the picture by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotationRight {
    /// The horizon.
    pub horizon_s: NonZeroU32,
    /// Whether there is none, so that the first license carries every key that is there: fewest
    /// requests, and nobody is shut out before the license ends.
    #[serde(skip_serializing_if = "is_default")]
    pub whole_event: bool,
}

impl RotationRight {
    /// The horizon where a policy names none: 10 minutes.
    pub const HORIZON_S: NonZeroU32 = NonZeroU32::new(600).expect("600 is not 0");
}

impl Default for RotationRight {
    fn default() -> Self {
        Self { horizon_s: Self::HORIZON_S, whole_event: false }
    }
}

impl Default for TitlePolicy {
    /// The policy `standard`.
    fn default() -> Self {
        built_in::STANDARD.clone()
    }
}

impl TitlePolicy {
    /// The policies that every installation has, by name; nobody changes them.
    #[must_use]
    pub fn built_ins() -> [&'static Self; 2] {
        [&built_in::STANDARD, &built_in::STUDIO_STRICT]
    }

    /// The built-in policy of this name.
    #[must_use]
    pub fn built_in(name: &PolicyName) -> Option<&'static Self> {
        Self::built_ins().into_iter().find(|policy| policy.name == *name)
    }

    /// The policy of an imported title: `standard`, but open to ClearKey at every resolution.
    #[must_use]
    pub fn without_floor() -> Self {
        Self::default().with_clearkey_max(TrackClass::Uhd)
    }

    /// The same policy with the title's own word on ClearKey.
    #[must_use]
    pub fn with_clearkey_max(self, highest: TrackClass) -> Self {
        Self { clearkey_override: Some(highest), ..self }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A track class by its name, or `none`, which TOML has no value for.
pub(crate) mod class_or_none {
    use crate::TrackClass;
    use serde::{Deserialize as _, Deserializer, Serializer, de};
    use std::borrow::Cow;

    const NONE: &str = "none";

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(
        class: &Option<TrackClass>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(class.map_or(NONE, TrackClass::name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<TrackClass>, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        if text == NONE {
            return Ok(None);
        }
        TrackClass::parse(&text).map(Some).ok_or_else(|| {
            let expected = "one of `none`, `AUDIO`, `SD`, `HD`, `UHD`";
            de::Error::invalid_value(de::Unexpected::Str(&text), &expected)
        })
    }
}
