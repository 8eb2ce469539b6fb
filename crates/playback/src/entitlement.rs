//! Entitlement: the one evaluator that page, token and license ask (R052, R082).

use crate::{Denial, Rule, Said, Trace};
use model::{
    Account, AccountId, ContentId, Country, DecisionId, Plan, PlanAccess, PlanName, RegionRule,
    Subscription, Timestamp, Title, TitlePolicy,
};

/// What a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who asks.
    pub account: &'a Account,
    /// The plan the account names; absent when there is no such plan.
    pub plan: Option<&'a Plan>,
    /// The title asked for.
    pub title: &'a Title,
    /// Where the viewer is; absent when unknown.
    pub region: Option<Country>,
    /// The id that links this decision's token, licenses and audit rows (R087).
    pub decision: DecisionId,
    /// When it is decided.
    pub now: Timestamp,
}

/// A yes with its policy. Only [`decide`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    account: AccountId,
    content_id: ContentId,
    policy: TitlePolicy,
    max_streams: u32,
    max_offline: u32,
    decision: DecisionId,
    decided: Timestamp,
}

impl Entitlement {
    /// Who may watch.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// What may be watched.
    #[must_use]
    pub const fn content_id(&self) -> &ContentId {
        &self.content_id
    }

    /// The policy of its licenses.
    #[must_use]
    pub const fn policy(&self) -> &TitlePolicy {
        &self.policy
    }

    /// How many streams the plan allows at once.
    #[must_use]
    pub const fn max_streams(&self) -> u32 {
        self.max_streams
    }

    /// How many licenses the account's devices may keep.
    #[must_use]
    pub const fn max_offline(&self) -> u32 {
        self.max_offline
    }

    /// The decision's id.
    #[must_use]
    pub const fn decision(&self) -> DecisionId {
        self.decision
    }

    /// When it was decided.
    #[must_use]
    pub const fn decided(&self) -> Timestamp {
        self.decided
    }
}

/// Decides whether the account may play the title.
///
/// The stream limit is not asked here: it races, so the store decides it under lock by
/// [`crate::lease::reserve`].
///
/// Errors: the first [`Denial`] of title, subscription, plan, access, region.
pub fn decide(facts: &Facts) -> Result<Entitlement, Denial> {
    let Facts { account, title, .. } = facts;
    check_title(title)?;
    check_subscription(account)?;
    let plan = streaming_plan(facts)?;
    check_access(&title.access, &plan.name)?;
    check_region(&title.regions, facts.region)?;
    Ok(Entitlement {
        account: account.id,
        content_id: title.content_id.clone(),
        policy: title.policy.clone(),
        max_streams: plan.max_streams,
        max_offline: plan.max_offline,
        decision: facts.decision,
        decided: facts.now,
    })
}

/// What each rule of [`decide`] says to these facts, also those behind the one that decides.
#[must_use]
pub fn trace(facts: &Facts) -> Trace {
    let Facts { account, title, .. } = facts;
    let mut trace = Trace::default();
    trace.note(Rule::Title, title.state.name(), Said::from(&check_title(title)));
    let subscription = Said::from(&check_subscription(account));
    trace.note(Rule::Subscription, account.subscription.name(), subscription);
    let plan = Said::from(&streaming_plan(facts));
    trace.note(Rule::Plan, plan_words(facts), plan);
    let access = Said::from(&check_access(&title.access, &account.plan));
    trace.note(Rule::Access, access_words(&title.access, &account.plan), access);
    let region = Said::from(&check_region(&title.regions, facts.region));
    trace.note(Rule::Region, region_words(&title.regions, facts.region), region);
    trace
}

/// The trace where the catalog has no such title: nothing else was asked.
#[must_use]
pub fn trace_without_title() -> Trace {
    let mut trace = Trace::default();
    trace.note(Rule::Title, "not in the catalog", Said::Refused);
    trace
}

fn check_title(title: &Title) -> Result<(), Denial> {
    if title.state.is_licensed() { Ok(()) } else { Err(Denial::TitleNotFound) }
}

fn check_subscription(account: &Account) -> Result<(), Denial> {
    match account.subscription {
        Subscription::Active => Ok(()),
        Subscription::Inactive | Subscription::Suspended => Err(Denial::SubscriptionInactive),
    }
}

/// The account's plan, where it includes streaming. A plan row of another name would be a
/// caller's mistake: fail closed.
fn streaming_plan<'a>(facts: &Facts<'a>) -> Result<&'a Plan, Denial> {
    facts
        .plan
        .filter(|plan| plan.name == facts.account.plan && plan.includes_streaming)
        .ok_or(Denial::PlanNotEntitled)
}

fn check_access(access: &PlanAccess, plan: &PlanName) -> Result<(), Denial> {
    match access {
        PlanAccess::Every => Ok(()),
        PlanAccess::Only(plans) if plans.contains(plan) => Ok(()),
        PlanAccess::Only(_) => Err(Denial::TitleNotInPlan),
    }
}

fn plan_words(facts: &Facts) -> String {
    let name = &facts.account.plan;
    match facts.plan.filter(|plan| plan.name == *name) {
        None => format!("{name}, which is not there"),
        Some(plan) if plan.includes_streaming => name.to_string(),
        Some(_) => format!("{name}, without streaming"),
    }
}

fn access_words(access: &PlanAccess, plan: &PlanName) -> String {
    match access {
        PlanAccess::Every => "the title is in every plan".to_owned(),
        PlanAccess::Only(plans) => {
            format!("plan {plan}; the title is in {}", few(plans.iter().map(PlanName::as_str)))
        }
    }
}

fn region_words(rule: &RegionRule, region: Option<Country>) -> String {
    let seen = region.map_or_else(|| "unknown".to_owned(), |country| country.to_string());
    match rule {
        RegionRule::Everywhere => format!("{seen}; the title is open everywhere"),
        RegionRule::Only(countries) => {
            let countries: Vec<String> =
                countries.iter().take(NAMED + 1).map(ToString::to_string).collect();
            format!("{seen}; the title is open in {}", few(countries.iter().map(String::as_str)))
        }
    }
}

/// Names in a list that a trace spells out: it is read by people.
const NAMED: usize = 8;

fn few<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let mut text: Vec<&str> = names.by_ref().take(NAMED).collect();
    if names.next().is_some() {
        text.push("…");
    }
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

/// Whether a title with these rules may be watched from there; the watch page asks this alone.
///
/// Errors: [`Denial::RegionNotAllowed`], also where the country is unknown.
pub fn check_region(rule: &RegionRule, region: Option<Country>) -> Result<(), Denial> {
    match rule {
        RegionRule::Everywhere => Ok(()),
        RegionRule::Only(countries) => match region {
            Some(country) if countries.contains(&country) => Ok(()),
            Some(_) | None => Err(Denial::RegionNotAllowed),
        },
    }
}
