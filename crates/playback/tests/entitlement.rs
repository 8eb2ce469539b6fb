//! Decisions: each missing right has its own code, and less rights never give more.

#![expect(clippy::unwrap_used, reason = "a helper of tests may panic")]

use model::{
    Account, AccountId, ContentId, Country, DecisionId, PackageId, Plan, PlanAccess, PlanName,
    RegionRule, Subscription, Timestamp, Title, TitlePolicy, TitleState, TrackClass,
};
use playback::entitlement::{Facts, check_region, decide, trace};
use playback::{Denial, Entitlement, Rule, Said, Trace};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    account: Account,
    plan: Option<Plan>,
    title: Title,
    region: Option<Country>,
}

impl Case {
    fn facts(&self) -> Facts<'_> {
        Facts {
            account: &self.account,
            plan: self.plan.as_ref(),
            title: &self.title,
            region: self.region,
            decision: DecisionId::from_bytes([9; 16]),
            now: Timestamp(1000),
        }
    }

    fn decide(&self) -> Result<Entitlement, Denial> {
        decide(&self.facts())
    }

    fn trace(&self) -> Trace {
        trace(&self.facts())
    }
}

fn plan_name(name: &str) -> PlanName {
    PlanName::parse(name).unwrap()
}

fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

fn published() -> TitleState {
    TitleState::Published { package: PackageId::from_bytes([1; 16]) }
}

/// Everything is as it should be.
fn good() -> Case {
    let name = plan_name("standard");
    let plan =
        Plan { name, includes_streaming: true, max_streams: 2, max_offline: 3, max_devices: 6 };
    Case {
        account: Account {
            id: AccountId::from_bytes([1; 16]),
            name: "ada".to_owned(),
            plan: plan.name.clone(),
            subscription: Subscription::Active,
        },
        title: Title {
            content_id: ContentId::parse("film").unwrap(),
            name: "Film".to_owned(),
            category: model::CategoryName::parse("default").unwrap(),
            policy: TitlePolicy::default(),
            access: PlanAccess::Only(vec![plan.name.clone(), plan_name("other")]),
            regions: RegionRule::Only(vec![country("DE"), country("FR")]),
            state: published(),
        },
        plan: Some(plan),
        region: Some(country("fr")),
    }
}

#[test]
fn all_rights_make_an_entitlement_with_its_policy() {
    let entitlement = good().decide().unwrap();
    assert_eq!(entitlement.account(), good().account.id);
    assert_eq!(entitlement.content_id(), &good().title.content_id);
    assert_eq!(entitlement.policy(), &TitlePolicy::default());
    assert_eq!(entitlement.max_streams(), 2);
    assert_eq!(entitlement.decision(), DecisionId::from_bytes([9; 16]));
    assert_eq!(entitlement.decided(), Timestamp(1000));
}

#[test]
fn each_missing_right_has_its_own_code() {
    type Spoil = fn(&mut Case);
    let table: [(&str, Spoil); 14] = [
        ("subscription_inactive", |c| c.account.subscription = Subscription::Inactive),
        ("subscription_inactive", |c| c.account.subscription = Subscription::Suspended),
        ("plan_not_entitled", |c| c.plan = None),
        ("plan_not_entitled", |c| c.plan.as_mut().unwrap().includes_streaming = false),
        ("plan_not_entitled", |c| c.plan.as_mut().unwrap().name = plan_name("other")),
        ("title_not_in_plan", |c| c.title.access = PlanAccess::Only(vec![plan_name("other")])),
        ("title_not_in_plan", |c| c.title.access = PlanAccess::Only(vec![])),
        ("region_not_allowed", |c| c.region = Some(country("US"))),
        ("region_not_allowed", |c| c.region = None),
        ("region_not_allowed", |c| c.title.regions = RegionRule::Only(vec![])),
        ("title_not_found", |c| c.title.state = TitleState::Draft),
        ("title_not_found", |c| c.title.state = TitleState::Packaging { attempt: 1 }),
        ("title_not_found", |c| {
            c.title.state = TitleState::Packaged { package: PackageId::from_bytes([1; 16]) };
        }),
        ("title_not_found", |c| c.title.state = TitleState::PackageFailed),
    ];
    for (code, spoil) in table {
        let mut case = good();
        spoil(&mut case);
        let denial = case.decide().unwrap_err();
        assert_eq!(denial.code(), code, "{case:?}");
        assert!(denial.viewer_sentence().ends_with('.'));
        assert_eq!(case.trace().decided_by(), Some(denial.rule()), "{case:?}");
    }
}

#[test]
fn a_trace_names_every_rule_and_what_it_looked_at() {
    let mut case = good();
    case.account.subscription = Subscription::Suspended;
    case.region = None;
    let told: Vec<_> = case
        .trace()
        .steps()
        .iter()
        .map(|step| (step.rule, step.input.clone(), step.result))
        .collect();
    let expected = [
        (Rule::Title, "published", Said::Passed),
        (Rule::Subscription, "suspended", Said::Refused),
        (Rule::Plan, "standard", Said::Passed),
        (Rule::Access, "plan standard; the title is in standard, other", Said::Passed),
        (Rule::Region, "unknown; the title is open in DE, FR", Said::Refused),
    ];
    assert_eq!(told, expected.map(|(rule, input, said)| (rule, input.to_owned(), said)));
    case.title.regions = RegionRule::Only(vec![country("DE"); 9]);
    let region = case.trace().step(Rule::Region).unwrap().input.clone();
    assert!(region.ends_with("DE, DE, …"), "{region}");
}

#[test]
fn an_unrestricted_title_needs_no_known_country() {
    assert_eq!(check_region(&RegionRule::Everywhere, None), Ok(()));
    assert_eq!(check_region(&RegionRule::Everywhere, Some(country("US"))), Ok(()));
}

/// Any mixture of rights.
fn any_case() -> impl Strategy<Value = Case> {
    let subscription = prop_oneof![
        3 => Just(Subscription::Active),
        1 => Just(Subscription::Inactive),
        1 => Just(Subscription::Suspended)
    ];
    let access = prop_oneof![
        Just(PlanAccess::Every),
        proptest::sample::subsequence(vec!["standard", "other", "third"], 0..=3)
            .prop_map(|names| PlanAccess::Only(names.into_iter().map(plan_name).collect())),
    ];
    let regions = prop_oneof![
        Just(RegionRule::Everywhere),
        proptest::sample::subsequence(vec!["DE", "FR", "US"], 0..=3)
            .prop_map(|codes| RegionRule::Only(codes.into_iter().map(country).collect())),
    ];
    let region = proptest::option::of(proptest::sample::select(vec!["DE", "FR", "US"]));
    let policy = (proptest::sample::select(TrackClass::ALL.to_vec()), 1_u32..100_000).prop_map(
        |(clearkey_max, license_s)| TitlePolicy {
            license_s: license_s.try_into().unwrap(),
            ..TitlePolicy::default().with_clearkey_max(clearkey_max)
        },
    );
    let plan = proptest::option::weighted(0.9, (proptest::bool::weighted(0.8), 0_u32..5));
    (subscription, access, regions, region, policy, plan).prop_map(
        |(subscription, access, regions, region, policy, plan)| {
            let mut case = good();
            case.account.subscription = subscription;
            case.title = Title { access, regions, policy, ..case.title };
            case.region = region.map(country);
            case.plan = plan.map(|(includes_streaming, max_streams)| Plan {
                name: plan_name("standard"),
                includes_streaming,
                max_streams,
                max_offline: max_streams,
                max_devices: max_streams,
            });
            case
        },
    )
}

/// Takes one right away, whichever `which` says.
fn lessen(case: &Case, which: usize) -> Case {
    let mut less = case.clone();
    match which {
        0 => less.account.subscription = Subscription::Inactive,
        1 => less.plan = None,
        2 => less.plan = less.plan.map(|plan| Plan { includes_streaming: false, ..plan }),
        3 => less.plan = less.plan.map(|plan| Plan { max_streams: plan.max_streams / 2, ..plan }),
        4 => {
            less.title.access = match less.title.access {
                PlanAccess::Every => PlanAccess::Only(vec![plan_name("standard")]),
                PlanAccess::Only(plans) => PlanAccess::Only(plans.into_iter().skip(1).collect()),
            }
        }
        5 => {
            less.title.regions = match less.title.regions {
                RegionRule::Everywhere => RegionRule::Only(vec![country("DE")]),
                RegionRule::Only(countries) => {
                    RegionRule::Only(countries.into_iter().skip(1).collect())
                }
            }
        }
        6 => less.region = None,
        7 => {
            let highest = less.title.policy.clearkey_override;
            let lower = TrackClass::ALL.into_iter().rfind(|class| Some(*class) < highest);
            less.title.policy.clearkey_override = lower.or(Some(TrackClass::Audio));
        }
        _ => less.title.state = TitleState::Draft,
    }
    less
}

proptest! {
    /// The trace is not another opinion.
    #[test]
    fn the_trace_says_what_is_decided(case in any_case(), spoiled in 0_usize..10) {
        let case = if spoiled < 9 { lessen(&case, spoiled) } else { case };
        let denied = case.decide().err();
        prop_assert_eq!(case.trace().decided_by(), denied.map(Denial::rule));
        prop_assert_eq!(case.trace().steps().len(), 5, "every rule is asked");
        // Nothing that identifies the viewer, beyond plan and country.
        let text = serde_json::to_string(&case.trace()).unwrap();
        prop_assert!(!text.contains(&case.account.name) && !text.contains(&case.account.id.to_string()));
    }

    #[test]
    fn less_rights_never_give_more_keys(case in any_case(), which in 0_usize..9) {
        let Ok(less) = lessen(&case, which).decide() else { return Ok(()) };
        let Ok(more) = case.decide() else {
            return Err(TestCaseError::fail("a denial became an entitlement"));
        };
        let (few, many) =
            (less.policy().clearkey_track_classes(), more.policy().clearkey_track_classes());
        prop_assert_eq!(few.intersection(many), few);
        prop_assert!(less.max_streams() <= more.max_streams());
    }
}
