//! Accounts and plans.

use crate::{AccountId, id::IdError, id::check_name};
use serde::{Deserialize, Serialize};

/// Someone who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// The name it signs in with.
    pub name: String,
    /// The plan it is on.
    pub plan: PlanName,
    /// Whether the plan is paid for.
    pub subscription: Subscription,
}

/// Whether an account may use its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subscription {
    /// Paid for.
    Active,
    /// Lapsed or canceled.
    Inactive,
    /// Stopped by the operator.
    Suspended,
}

impl Subscription {
    /// The name in rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Suspended].into_iter().find(|s| s.name() == text)
    }
}

/// Name of a plan: `[a-z0-9._-]`, 1 to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanName(String);

impl PlanName {
    /// Reads a name. Errors: [`IdError`] on other characters or length.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check_name(text).map(|()| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PlanName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<PlanName> for String {
    fn from(name: PlanName) -> Self {
        name.0
    }
}

impl std::fmt::Display for PlanName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a plan buys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The plan.
    pub name: PlanName,
    /// Whether it includes streaming at all.
    pub includes_streaming: bool,
    /// How many streams may run at once.
    pub max_streams: u32,
    /// How many licenses the devices of one account may keep; 0: none at all.
    pub max_offline: u32,
    /// How many devices one account may have.
    pub max_devices: u32,
}

impl Plan {
    /// How many licenses may be kept where nobody says another number.
    pub const MAX_OFFLINE: u32 = 25;

    /// How many devices an account may have where nobody says another number.
    pub const MAX_DEVICES: u32 = 6;
}
