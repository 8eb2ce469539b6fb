//! Why a decision fell as it did: every rule, what it looked at, and what it said (R082, R111).
//!
//! A trace is for the operator: it holds states, names and counts, and no token, key, address
//! or password. The rule that decided is the first of those that refuse, in [`Rule`]'s order.

use crate::Denial;
use serde::{Deserialize, Serialize};

/// Longest input of a rule, bytes; what is longer is cut.
pub const INPUT_MAX: usize = 120;

/// The rules of a token call and of a license request, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The request can be read: route, query, size, message.
    Request,
    /// No more requests of one session than a sound player sends.
    Rate,
    /// The credential is ours, of this use and of this time.
    Token,
    /// Playback session and device are those of the credential.
    Session,
    /// The title is there and published.
    Title,
    /// The subscription is paid for.
    Subscription,
    /// The plan includes streaming.
    Plan,
    /// The plan includes the title.
    Access,
    /// The title may be watched from where the viewer is.
    Region,
    /// The plan has room for the stream.
    Streams,
    /// The keys asked for are the title's, are there, and nobody else knows them.
    ContentKeys,
    /// What the device proved, and the track classes that this opens.
    SecurityLevel,
    /// Keys above the level stay here.
    Resolution,
    /// Keys of a live event's periods beyond the policy's horizon stay here.
    Horizon,
    /// A license to keep is asked for only where the title gives one.
    Offline,
    /// The terms that the license carries.
    Policy,
    /// Database, key management and this service answer. No rule about the viewer.
    Service,
}

impl Rule {
    /// Every rule, in order.
    pub const ALL: [Self; 17] = [
        Self::Request,
        Self::Rate,
        Self::Token,
        Self::Session,
        Self::Title,
        Self::Subscription,
        Self::Plan,
        Self::Access,
        Self::Region,
        Self::Streams,
        Self::ContentKeys,
        Self::SecurityLevel,
        Self::Resolution,
        Self::Horizon,
        Self::Offline,
        Self::Policy,
        Self::Service,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Rate => "rate",
            Self::Token => "token",
            Self::Session => "session",
            Self::Title => "title",
            Self::Subscription => "subscription",
            Self::Plan => "plan",
            Self::Access => "access",
            Self::Region => "region",
            Self::Streams => "streams",
            Self::ContentKeys => "content_keys",
            Self::SecurityLevel => "security_level",
            Self::Resolution => "resolution",
            Self::Horizon => "horizon",
            Self::Offline => "offline",
            Self::Policy => "policy",
            Self::Service => "service",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a rule said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Nothing against it.
    #[default]
    Passed,
    /// No.
    Refused,
}

impl Said {
    const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
        }
    }
}

impl<T, E> From<&Result<T, E>> for Said {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Passed } else { Self::Refused }
    }
}

/// One rule that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// What it looked at, in words.
    pub input: String,
    /// What it said; left out of the document where it passed.
    #[serde(default, skip_serializing_if = "Said::is_passed")]
    pub result: Said,
}

/// The rules that were asked, each at most once, in [`Rule`]'s order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Step>", into = "Vec<Step>")]
pub struct Trace(Vec<Step>);

impl Trace {
    /// Notes what a rule said. A rule that is asked again says its last word.
    pub fn note(&mut self, rule: Rule, input: impl Into<String>, result: Said) {
        let mut input = input.into();
        input.truncate(input.floor_char_boundary(INPUT_MAX));
        let step = Step { rule, input, result };
        match self.0.binary_search_by_key(&rule, |step| step.rule) {
            Ok(at) => {
                if let Some(known) = self.0.get_mut(at) {
                    *known = step;
                }
            }
            Err(at) => self.0.insert(at, step),
        }
    }

    /// Notes everything that another trace knows.
    pub fn append(&mut self, other: Self) {
        for Step { rule, input, result } in other.0 {
            self.note(rule, input, result);
        }
    }

    /// The rules that were asked.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The step of a rule, where it was asked.
    #[must_use]
    pub fn step(&self, rule: Rule) -> Option<&Step> {
        self.0.iter().find(|step| step.rule == rule)
    }

    /// The rule that decided; none: nothing refused.
    #[must_use]
    pub fn decided_by(&self) -> Option<Rule> {
        self.0.iter().find(|step| step.result == Said::Refused).map(|step| step.rule)
    }
}

impl From<Vec<Step>> for Trace {
    fn from(steps: Vec<Step>) -> Self {
        let mut trace = Self::default();
        trace.append(Self(steps));
        trace
    }
}

impl From<Trace> for Vec<Step> {
    fn from(trace: Trace) -> Self {
        trace.0
    }
}

impl Denial {
    /// The rule that denies so.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            Self::TitleNotFound => Rule::Title,
            Self::SubscriptionInactive => Rule::Subscription,
            Self::PlanNotEntitled => Rule::Plan,
            Self::TitleNotInPlan => Rule::Access,
            Self::RegionNotAllowed => Rule::Region,
            Self::StreamLimitReached { .. } => Rule::Streams,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_in_their_order_whoever_is_asked_first() {
        let mut trace = Trace::default();
        trace.note(Rule::Region, "FR", Said::Refused);
        trace.note(Rule::Title, "published", Said::Passed);
        trace.note(Rule::Access, "plan gold", Said::Refused);
        let rules: Vec<Rule> = trace.steps().iter().map(|step| step.rule).collect();
        assert_eq!(rules, [Rule::Title, Rule::Access, Rule::Region]);
        assert_eq!(trace.decided_by(), Some(Rule::Access), "the first that refuses");
        trace.note(Rule::Access, "plan gold", Said::Passed);
        assert_eq!((trace.steps().len(), trace.decided_by()), (3, Some(Rule::Region)));
        assert!(Rule::ALL.is_sorted());
    }

    #[test]
    fn a_document_reads_back_and_names_what_refused_alone() {
        let mut trace = Trace::default();
        trace.note(Rule::Title, "published", Said::Passed);
        trace.note(Rule::Plan, "discs, without streaming", Said::Refused);
        let text = serde_json::to_string(&trace).unwrap();
        assert_eq!(
            text,
            r#"[{"rule":"title","input":"published"},{"rule":"plan","input":"discs, without streaming","result":"refused"}]"#
        );
        assert_eq!(serde_json::from_str::<Trace>(&text).unwrap(), trace);
        assert!(serde_json::from_str::<Trace>(r#"[{"rule":"mood","input":""}]"#).is_err());
    }

    #[test]
    fn an_endless_input_is_cut_between_characters() {
        let mut trace = Trace::default();
        trace.note(Rule::Access, "ä".repeat(10_000), Said::Passed);
        assert_eq!(trace.steps()[0].input, "ä".repeat(INPUT_MAX / 2));
    }
}
