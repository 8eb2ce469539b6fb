//! What a title's owner allows, in terms no DRM system owns: one policy for all of them
//! (R119). A dialect's compiler turns it into license terms (`dialect::terms`).

use crate::time::{Seconds, SpanEnd};
use crate::{AnalogOutput, Hdcp, PolicyName, Robustness, SecurityLevel, TrackClass, TrackClasses};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

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
    #[serde(default, skip_serializing_if = "OutputTable::is_open")]
    pub outputs: OutputTable,
    /// Whether pictures must be out of reach of screen capture (R113): video keys then leave
    /// only for decoding in hardware, with HDCP and without analog output.
    #[serde(default, skip_serializing_if = "is_false")]
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
    #[serde(default)]
    pub rental_end: SpanEnd,
    /// What happens at the end of the playback span.
    #[serde(default)]
    pub playback_end: SpanEnd,
    /// How a device asks for more time.
    #[serde(default, skip_serializing_if = "RenewalRight::is_none")]
    pub renewal: RenewalRight,
    /// Whether and how long a license may be kept on the device.
    #[serde(default, skip_serializing_if = "OfflineRight::is_none")]
    pub offline: OfflineRight,
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
    pub audio: OutputRule,
    /// For video up to SD.
    pub sd: OutputRule,
    /// For video up to HD.
    pub hd: OutputRule,
    /// For video above HD.
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

    fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// What is asked of the outputs, and of the device in front of them, for one track class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputRule {
    /// The link protection.
    pub hdcp: Hdcp,
    /// Whether pictures may leave by an analog output.
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
    pub on_first_use: bool,
    /// Whether it says again who it is.
    pub with_identity: bool,
}

impl RenewalRight {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
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

impl OfflineRight {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TitlePolicy {
    /// The policy `standard`.
    fn default() -> Self {
        Self {
            name: PolicyName::standard(),
            levels: LevelTable::default(),
            clearkey_max: Some(TrackClass::Sd),
            clearkey_override: None,
            outputs: OutputTable::default(),
            capture_protected: false,
            license_s: NonZeroU32::new(86_400).expect("a day is not zero"),
            rental_s: None,
            playback_s: None,
            play_start_grace_s: None,
            rental_end: SpanEnd::Stops,
            playback_end: SpanEnd::Stops,
            renewal: RenewalRight::default(),
            offline: OfflineRight::default(),
        }
    }
}

impl TitlePolicy {
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

    /// The security floor: the least secure level that gets any key. `None` where none does.
    #[must_use]
    pub fn floor(&self) -> Option<SecurityLevel> {
        self.levels.least_with(TrackClass::Audio)
    }

    /// Classes whose keys an attested device of `level` may get: up to what the level table
    /// says, without those that ask for more robustness than the level can have.
    #[must_use]
    pub fn track_classes(&self, level: SecurityLevel) -> TrackClasses {
        let most = Robustness::most_of(level);
        up_to(self.levels.highest(level)).filter(|class| self.robustness(*class) <= most).collect()
    }

    /// Classes whose keys a ClearKey client may get.
    ///
    /// It is unattested, so as L3, unless the policy or the title says more or less. Its
    /// answers have no place for a rule: a class with one is withheld, and all are withheld
    /// where the policy has a security floor above L3 or protects from capture.
    #[must_use]
    pub fn clearkey_track_classes(&self) -> TrackClasses {
        if self.floor() != Some(SecurityLevel::L3) || self.capture_protected {
            return TrackClasses::NONE;
        }
        let highest = self.clearkey_max.map(|max| self.clearkey_override.unwrap_or(max));
        up_to(highest).filter(|class| *self.outputs.of(*class) == OutputRule::default()).collect()
    }

    /// The least robustness under which a key of the class may be used: what the policy says,
    /// else what every device of the least level with that class is. Audio is software's
    /// unless the policy says more, because few devices decode it inside (the norm of
    /// PlayReady too: SL3000 video, SL2000 audio).
    #[must_use]
    pub fn robustness(&self, class: TrackClass) -> Robustness {
        let by_level = || match (class, self.levels.least_with(class)) {
            (TrackClass::Audio, _) => Robustness::SoftwareKeys,
            (_, Some(level)) => Robustness::least_of(level),
            (_, None) => Robustness::HardwareAll,
        };
        let asked = self.outputs.of(class).robustness.unwrap_or_else(by_level);
        if self.hides(class) { asked.max(Robustness::HardwareDecoding) } else { asked }
    }

    /// The link protection that pictures of the class need.
    #[must_use]
    pub fn hdcp(&self, class: TrackClass) -> Hdcp {
        let asked = self.outputs.of(class).hdcp;
        if self.hides(class) { asked.max(Hdcp::V1) } else { asked }
    }

    /// Whether pictures of the class may leave by an analog output.
    #[must_use]
    pub fn analog(&self, class: TrackClass) -> AnalogOutput {
        if self.hides(class) { AnalogOutput::Refused } else { self.outputs.of(class).analog }
    }

    fn hides(&self, class: TrackClass) -> bool {
        self.capture_protected && class != TrackClass::Audio
    }
}

fn up_to(highest: Option<TrackClass>) -> impl Iterator<Item = TrackClass> {
    TrackClass::ALL.into_iter().filter(move |class| Some(*class) <= highest)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_false(answer: &bool) -> bool {
    !*answer
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

#[cfg(test)]
mod tests {
    use super::*;
    use SecurityLevel::{L1, L2, L3};
    use TrackClass::{Audio, Hd, Sd, Uhd};

    fn classes(of: &TitlePolicy, level: SecurityLevel) -> Vec<TrackClass> {
        of.track_classes(level).iter().collect()
    }

    fn clearkey(of: &TitlePolicy) -> Vec<TrackClass> {
        of.clearkey_track_classes().iter().collect()
    }

    fn with_levels(
        l1: Option<TrackClass>,
        l2: Option<TrackClass>,
        l3: Option<TrackClass>,
    ) -> TitlePolicy {
        TitlePolicy { levels: LevelTable { l1, l2, l3 }, ..TitlePolicy::default() }
    }

    #[test]
    fn the_default_table_gives_exactly_these_classes() {
        let standard = TitlePolicy::default();
        assert_eq!(classes(&standard, L1), [Audio, Sd, Hd, Uhd]);
        assert_eq!(classes(&standard, L2), [Audio, Sd, Hd]);
        assert_eq!(classes(&standard, L3), [Audio, Sd]);
        assert_eq!(clearkey(&standard), [Audio, Sd]);
        let asked = TrackClass::ALL.map(|class| standard.robustness(class));
        use Robustness::{HardwareDecoding, HardwareKeys, SoftwareKeys};
        assert_eq!(asked, [SoftwareKeys, SoftwareKeys, HardwareKeys, HardwareDecoding]);
    }

    #[test]
    fn a_less_secure_level_never_gets_more_whatever_the_row_says() {
        let upside_down = with_levels(Some(Sd), Some(Uhd), Some(Hd));
        for level in [L1, L2, L3] {
            assert_eq!(classes(&upside_down, level), [Audio, Sd], "{level}");
        }
    }

    #[test]
    fn below_the_floor_there_is_no_key_and_no_clearkey() {
        let floors = [
            (with_levels(Some(Uhd), None, None), Some(L1)),
            (with_levels(Some(Uhd), Some(Hd), None), Some(L2)),
            (with_levels(None, Some(Hd), Some(Sd)), None),
        ];
        for (policy, floor) in floors {
            assert_eq!(policy.floor(), floor);
            for level in [L1, L2, L3] {
                let has_some = policy.track_classes(level) != TrackClasses::NONE;
                assert_eq!(has_some, Some(level) <= floor, "{floor:?} {level}");
            }
            assert_eq!(clearkey(&policy.with_clearkey_max(Uhd)), [], "{floor:?}");
        }
        assert_eq!(TitlePolicy::default().floor(), Some(L3));
    }

    #[test]
    fn a_level_gets_no_key_that_it_could_not_use() {
        let mut policy = TitlePolicy::default();
        policy.outputs.hd.robustness = Some(Robustness::HardwareDecoding);
        assert_eq!(classes(&policy, L1), [Audio, Sd, Hd, Uhd]);
        assert_eq!(classes(&policy, L2), [Audio, Sd]);
    }

    #[test]
    fn capture_protection_leaves_video_to_hardware_with_protected_outputs() {
        let policy = TitlePolicy { capture_protected: true, ..TitlePolicy::without_floor() };
        assert_eq!(classes(&policy, L1), [Audio, Sd, Hd, Uhd]);
        assert_eq!((classes(&policy, L2), classes(&policy, L3)), (vec![Audio], vec![Audio]));
        assert_eq!(clearkey(&policy), []);
        for class in [Sd, Hd, Uhd] {
            assert!(policy.robustness(class) >= Robustness::HardwareDecoding);
            assert!(policy.hdcp(class) >= Hdcp::V1);
            assert_eq!(policy.analog(class), AnalogOutput::Refused);
        }
        assert_eq!(policy.hdcp(Audio), Hdcp::Unneeded);
    }

    #[test]
    fn clearkey_gets_no_key_with_a_rule_that_it_cannot_carry() {
        let mut policy = TitlePolicy::without_floor();
        assert_eq!(clearkey(&policy), [Audio, Sd, Hd, Uhd]);
        policy.outputs.hd.hdcp = Hdcp::V1;
        policy.outputs.uhd.analog = AnalogOutput::Refused;
        assert_eq!(clearkey(&policy), [Audio, Sd]);
        policy.outputs.sd.robustness = Some(Robustness::SoftwareKeys);
        assert_eq!(clearkey(&policy), [Audio]);
    }

    #[test]
    fn a_titles_own_word_changes_clearkey_but_does_not_open_what_is_shut() {
        let policy = TitlePolicy::default();
        assert_eq!(clearkey(&policy.clone().with_clearkey_max(Hd)), [Audio, Sd, Hd]);
        assert_eq!(clearkey(&policy.clone().with_clearkey_max(Audio)), [Audio]);
        let shut = TitlePolicy { clearkey_max: None, ..policy };
        assert_eq!(clearkey(&shut.with_clearkey_max(Uhd)), []);
    }
}
