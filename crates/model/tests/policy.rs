//! Whatever a policy says: less rights never give more keys, and what is written reads back.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what it starts")]

use model::{
    AnalogOutput, Hdcp, LevelTable, OfflineRight, OutputRule, OutputTable, PolicyName,
    RenewalRight, Robustness, RotationRight, SecurityLevel, SpanEnd, TitlePolicy, TrackClass,
    TrackClasses,
};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

const LEVELS: [SecurityLevel; 3] = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3];
const ROBUSTNESS: [Robustness; 5] = [
    Robustness::SoftwareKeys,
    Robustness::SoftwareDecoding,
    Robustness::HardwareKeys,
    Robustness::HardwareDecoding,
    Robustness::HardwareAll,
];
const HDCP: [Hdcp; 7] =
    [Hdcp::Unneeded, Hdcp::V1, Hdcp::V2, Hdcp::V2_1, Hdcp::V2_2, Hdcp::V2_3, Hdcp::NoDigitalOutput];

fn class() -> impl Strategy<Value = TrackClass> {
    select(TrackClass::ALL.to_vec())
}

fn end() -> impl Strategy<Value = SpanEnd> {
    select(vec![SpanEnd::Stops, SpanEnd::PlaysOn])
}

fn rule() -> impl Strategy<Value = OutputRule> {
    let analog = select(vec![AnalogOutput::Allowed, AnalogOutput::Refused]);
    (select(HDCP.to_vec()), analog, of(select(ROBUSTNESS.to_vec())))
        .prop_map(|(hdcp, analog, robustness)| OutputRule { hdcp, analog, robustness })
}

prop_compose! {
    fn outputs()(audio in rule(), sd in rule(), hd in rule(), uhd in rule()) -> OutputTable {
        OutputTable { audio, sd, hd, uhd }
    }
}

prop_compose! {
    /// Any table, also one that no document may hold.
    fn levels()(l1 in of(class()), l2 in of(class()), l3 in of(class())) -> LevelTable {
        LevelTable { l1, l2, l3 }
    }
}

prop_compose! {
    fn renewal()(spans in any::<[u32; 3]>(), on_first_use: bool, with_identity: bool) -> RenewalRight {
        let [delay_s, retry_s, recovery_s] = spans.map(|span| span.try_into().ok());
        RenewalRight { allowed: true, delay_s, retry_s, recovery_s, on_first_use, with_identity }
    }
}

prop_compose! {
    fn offline()(license_s in 1_u32.., rental_s: u32, playback_s: u32) -> OfflineRight {
        OfflineRight {
            allowed: true,
            license_s: license_s.try_into().ok(),
            rental_s: rental_s.try_into().ok(),
            playback_s: playback_s.try_into().ok(),
        }
    }
}

prop_compose! {
    fn any_policy()(
        (levels, clearkey_max) in (levels(), of(class())),
        (outputs, capture_protected) in (prop_oneof![Just(OutputTable::default()), outputs()], any::<bool>()),
        license_s in 1_u32..,
        [rental_s, playback_s, grace_s] in any::<[u32; 3]>(),
        (rental_end, playback_end) in (end(), end()),
        (renewal, offline) in (of(renewal()), of(offline())),
        (horizon_s, whole_event) in (1_u32.., any::<bool>()),
    ) -> TitlePolicy {
        TitlePolicy {
            name: PolicyName::parse("any").unwrap(),
            levels,
            clearkey_max,
            clearkey_override: None,
            outputs,
            capture_protected,
            license_s: license_s.try_into().unwrap(),
            rental_s: rental_s.try_into().ok(),
            playback_s: playback_s.try_into().ok(),
            play_start_grace_s: grace_s.try_into().ok(),
            rental_end,
            playback_end,
            renewal: renewal.unwrap_or_default(),
            offline: offline.unwrap_or_default(),
            rotation: RotationRight { horizon_s: horizon_s.try_into().unwrap(), whole_event },
        }
    }
}

fn lower(class: Option<TrackClass>) -> Option<TrackClass> {
    TrackClass::ALL.into_iter().rfind(|lower| Some(*lower) < class)
}

/// Takes something away, whichever `which` says.
fn lessen(policy: &TitlePolicy, which: usize) -> TitlePolicy {
    let mut less = policy.clone();
    let outputs = &mut less.outputs;
    match which {
        0 => less.levels.l1 = lower(less.levels.l1),
        1 => less.levels.l2 = lower(less.levels.l2),
        2 => less.levels.l3 = lower(less.levels.l3),
        3 => less.clearkey_max = lower(less.clearkey_max),
        4 => less.clearkey_override = lower(less.clearkey_max),
        5 => less.capture_protected = true,
        6 => less.levels.l3 = None,
        7 => (less.levels.l2, less.levels.l3) = (None, None),
        8 => outputs.sd.robustness = Some(Robustness::HardwareAll),
        9 => outputs.hd.robustness = Some(Robustness::HardwareAll),
        10 => outputs.uhd.hdcp = Hdcp::NoDigitalOutput,
        _ => outputs.audio.analog = AnalogOutput::Refused,
    }
    less
}

/// What each kind of client gets: L1, L2, L3, ClearKey.
fn given(policy: &TitlePolicy) -> [TrackClasses; 4] {
    let [l1, l2, l3] = LEVELS.map(|level| policy.track_classes(level));
    [l1, l2, l3, policy.clearkey_track_classes()]
}

fn is_within(few: TrackClasses, many: TrackClasses) -> bool {
    few.intersection(many) == few
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn less_rights_never_give_more_keys(policy in any_policy(), which in 0_usize..12) {
        let (few, many) = (given(&lessen(&policy, which)), given(&policy));
        for (few, many) in few.into_iter().zip(many) {
            prop_assert!(is_within(few, many));
        }
    }

    #[test]
    fn a_less_secure_level_never_gets_more(policy in any_policy()) {
        let [l1, l2, l3, _] = given(&policy);
        prop_assert!(is_within(l3, l2) && is_within(l2, l1));
    }

    #[test]
    fn what_leaves_capture_protected_asks_for_hardware_and_protected_outputs(policy in any_policy()) {
        let policy = TitlePolicy { capture_protected: true, ..policy };
        prop_assert_eq!(policy.clearkey_track_classes(), TrackClasses::NONE);
        for class in [TrackClass::Sd, TrackClass::Hd, TrackClass::Uhd] {
            prop_assert!(policy.robustness(class) >= Robustness::HardwareDecoding);
            prop_assert!(policy.hdcp(class) >= Hdcp::V1);
            prop_assert_eq!(policy.analog(class), AnalogOutput::Refused);
            prop_assert!(!policy.track_classes(SecurityLevel::L2).contains(class));
        }
    }

    /// A document says nothing contradictory; of those that do not, each reads back.
    #[test]
    fn what_is_written_reads_back(policy in any_policy()) {
        if let Ok(read) = TitlePolicy::parse(policy.name.clone(), &policy.to_toml()) {
            prop_assert_eq!(&read, &policy);
        }
        let row = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<TitlePolicy>(&row).unwrap(), policy);
    }
}
