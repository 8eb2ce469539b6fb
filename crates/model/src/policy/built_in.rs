//! The two policies that every installation has: `standard` (R110) and `studio-strict` (C4).

use super::TitlePolicy;
use crate::PolicyName;
use std::sync::LazyLock;

pub(super) static STANDARD: LazyLock<TitlePolicy> =
    LazyLock::new(|| read("standard", include_str!("standard.toml")));

pub(super) static STUDIO_STRICT: LazyLock<TitlePolicy> =
    LazyLock::new(|| read("studio-strict", include_str!("studio-strict.toml")));

fn read(name: &str, text: &str) -> TitlePolicy {
    let name = PolicyName::parse(name).expect("the name is a constant");
    TitlePolicy::parse(name, text).expect("the documents of this folder are tested")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnalogOutput, Hdcp, Robustness, SecurityLevel, TrackClass, TrackClasses};
    use std::num::NonZeroU32;

    #[test]
    fn standard_is_the_default_table_and_nothing_else() {
        let policy = TitlePolicy::default();
        assert_eq!(policy.name.as_str(), "standard");
        let classes = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3]
            .map(|level| policy.track_classes(level));
        let expected = [TrackClass::Uhd, TrackClass::Hd, TrackClass::Sd].map(TrackClasses::up_to);
        assert_eq!(classes, expected);
        assert_eq!(policy.clearkey_track_classes(), TrackClasses::up_to(TrackClass::Sd));
        assert_eq!(policy.license_s, NonZeroU32::new(86_400).unwrap());
        for class in TrackClass::ALL {
            let outputs = (policy.hdcp(class), policy.analog(class));
            assert_eq!(outputs, (Hdcp::Unneeded, AnalogOutput::Allowed));
        }
        assert!(!policy.renewal.allowed && !policy.offline.allowed && !policy.capture_protected);
    }

    #[test]
    fn studio_strict_keeps_pictures_above_sd_in_hardware_behind_protected_outputs() {
        let policy = &*STUDIO_STRICT;
        let classes = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3]
            .map(|level| policy.track_classes(level));
        let expected = [TrackClass::Uhd, TrackClass::Sd, TrackClass::Sd].map(TrackClasses::up_to);
        assert_eq!(classes, expected);
        let open = policy.clone().with_clearkey_max(TrackClass::Uhd);
        assert_eq!(open.clearkey_track_classes(), TrackClasses::NONE);
        let asked = |class| (policy.robustness(class), policy.hdcp(class), policy.analog(class));
        let hardware = Robustness::HardwareDecoding;
        assert_eq!(asked(TrackClass::Hd), (hardware, Hdcp::V1, AnalogOutput::Refused));
        assert_eq!(asked(TrackClass::Uhd), (hardware, Hdcp::V2_2, AnalogOutput::Refused));
        assert!(policy.license_s < TitlePolicy::default().license_s);
        assert!(policy.renewal.allowed && !policy.offline.allowed);
    }

    #[test]
    fn built_ins_are_known_by_their_names() {
        for policy in TitlePolicy::built_ins() {
            assert_eq!(TitlePolicy::built_in(&policy.name), Some(policy));
        }
        assert_eq!(TitlePolicy::built_in(&PolicyName::parse("other").unwrap()), None);
    }
}
