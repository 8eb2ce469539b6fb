//! Entitlement: the one evaluator that page, token and license ask (R052, R082).

use crate::Denial;
use model::{
    Account, AccountId, ContentId, Country, DecisionId, Plan, PlanAccess, RegionRule, Subscription,
    Timestamp, Title, TitlePolicy,
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
    if !title.state.is_licensed() {
        return Err(Denial::TitleNotFound);
    }
    match account.subscription {
        Subscription::Active => {}
        Subscription::Inactive | Subscription::Suspended => {
            return Err(Denial::SubscriptionInactive);
        }
    }
    // A plan row of another name would be a caller's mistake: fail closed.
    let plan = facts
        .plan
        .filter(|plan| plan.name == account.plan && plan.includes_streaming)
        .ok_or(Denial::PlanNotEntitled)?;
    match &title.access {
        PlanAccess::Every => {}
        PlanAccess::Only(plans) if plans.contains(&plan.name) => {}
        PlanAccess::Only(_) => return Err(Denial::TitleNotInPlan),
    }
    check_region(&title.regions, facts.region)?;
    Ok(Entitlement {
        account: account.id,
        content_id: title.content_id.clone(),
        policy: title.policy.clone(),
        max_streams: plan.max_streams,
        decision: facts.decision,
        decided: facts.now,
    })
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
