//! Who gets which key under a policy, by which rule not, and what each key asks of the device
//! (R110, R111, R113).

use super::{OutputRule, TitlePolicy};
use crate::{AnalogOutput, Hdcp, Robustness, SecurityLevel, TrackClass, TrackClasses};
use serde::Serialize;

/// The rule by which a key is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The level is below the security floor.
    #[error("floor: this level gets no key at all")]
    Floor,
    /// The level table ends below the class.
    #[error("levels: the level's highest class is lower")]
    Levels,
    /// The device could not be what the class asks for.
    #[error("robustness: the class asks for more than this level can be")]
    Robustness,
    /// Pictures are protected from capture, which this device cannot do.
    #[error("capture_protected: only decoding in hardware keeps pictures from capture")]
    CaptureProtected,
    /// ClearKey's own limit is lower.
    #[error("clearkey_max: the highest class for ClearKey is lower")]
    ClearkeyMax,
    /// The class has a rule that ClearKey cannot carry.
    #[error("outputs: the class has a rule, and ClearKey carries none")]
    Outputs,
}

impl TitlePolicy {
    /// The security floor: the least secure level that gets any key. `None` where none does.
    #[must_use]
    pub fn floor(&self) -> Option<SecurityLevel> {
        self.levels.least_with(TrackClass::Audio)
    }

    /// Classes whose keys an attested device of `level` may get.
    #[must_use]
    pub fn track_classes(&self, level: SecurityLevel) -> TrackClasses {
        let all = TrackClass::ALL.into_iter();
        all.filter(|class| self.check(level, *class).is_ok()).collect()
    }

    /// Whether an attested device of `level` may get keys of the class: up to what the level
    /// table says, but none that asks for more robustness than the level can have.
    ///
    /// Errors: the rule that says no.
    pub fn check(&self, level: SecurityLevel, class: TrackClass) -> Result<(), Withheld> {
        let highest = self.levels.highest(level).ok_or(Withheld::Floor)?;
        if class > highest {
            return Err(Withheld::Levels);
        }
        let most = Robustness::most_of(level);
        if self.asked_robustness(class) > most {
            return Err(Withheld::Robustness);
        }
        if self.robustness(class) > most {
            return Err(Withheld::CaptureProtected);
        }
        Ok(())
    }

    /// Classes whose keys a ClearKey client may get.
    #[must_use]
    pub fn clearkey_track_classes(&self) -> TrackClasses {
        let all = TrackClass::ALL.into_iter();
        all.filter(|class| self.check_clearkey(*class).is_ok()).collect()
    }

    /// Whether a title's own word could open anything to ClearKey.
    #[must_use]
    pub fn may_open_clearkey(&self) -> bool {
        let open = Self { clearkey_override: Some(TrackClass::Uhd), ..self.clone() };
        open.clearkey_track_classes() != TrackClasses::NONE
    }

    /// Whether a ClearKey client may get keys of the class.
    ///
    /// It is unattested, so as L3, unless the policy or the title says more or less. Its
    /// answers have no place for a rule: a class with one is withheld, and all are withheld
    /// where the policy has a security floor above L3 or protects from capture.
    ///
    /// Errors: the rule that says no.
    pub fn check_clearkey(&self, class: TrackClass) -> Result<(), Withheld> {
        if self.floor() != Some(SecurityLevel::L3) {
            return Err(Withheld::Floor);
        }
        if self.capture_protected {
            return Err(Withheld::CaptureProtected);
        }
        let highest = self.clearkey_max.map(|max| self.clearkey_override.unwrap_or(max));
        if Some(class) > highest {
            return Err(Withheld::ClearkeyMax);
        }
        if *self.outputs.of(class) != OutputRule::default() {
            return Err(Withheld::Outputs);
        }
        Ok(())
    }

    /// The least robustness under which a key of the class may be used.
    #[must_use]
    pub fn robustness(&self, class: TrackClass) -> Robustness {
        let asked = self.asked_robustness(class);
        if self.hides(class) { asked.max(Robustness::HardwareDecoding) } else { asked }
    }

    /// What the policy says, else what every device of the least level with that class is.
    /// Audio is software's unless the policy says more, because few devices decode it inside
    /// (the norm of PlayReady too: SL3000 video, SL2000 audio).
    fn asked_robustness(&self, class: TrackClass) -> Robustness {
        let by_level = || match (class, self.levels.least_with(class)) {
            (TrackClass::Audio, _) => Robustness::SoftwareKeys,
            (_, Some(level)) => Robustness::least_of(level),
            (_, None) => Robustness::HardwareAll,
        };
        self.outputs.of(class).robustness.unwrap_or_else(by_level)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LevelTable;
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
