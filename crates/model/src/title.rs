//! Titles: what a content id stands for on the service.

use crate::{CategoryName, ContentId, PackageId, PlanName, TitlePolicy};
use serde::{Deserialize, Serialize};

/// One title of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// The title's id.
    pub content_id: ContentId,
    /// What viewers read.
    pub name: String,
    /// Content category: decides the KEK.
    pub category: CategoryName,
    /// The policy of its licenses.
    pub policy: TitlePolicy,
    /// Which plans include it.
    pub access: PlanAccess,
    /// Where it may be watched.
    pub regions: RegionRule,
    /// How far it has come.
    pub state: TitleState,
}

/// Which plans include a title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAccess {
    /// Every plan that includes streaming.
    Every,
    /// The named plans only.
    Only(Vec<PlanName>),
}

/// Where a title may be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionRule {
    /// Everywhere, also where the country is unknown.
    Everywhere,
    /// In the named countries only; an unknown country is refused.
    Only(Vec<Country>),
}

/// ISO 3166-1 alpha-2 country code, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two ASCII letters, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b] = self.0;
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

impl TryFrom<String> for Country {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a country is two letters (ISO 3166-1 alpha-2)")
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

/// Where a title stands (R018). Only a published one is delivered; only a published or an
/// external one is licensed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TitleState {
    /// Known, nothing packaged.
    Draft,
    /// Its media is served elsewhere; licenses for its imported keys come from here.
    External,
    /// A packaging job runs or waits for its next attempt.
    Packaging {
        /// Attempts begun, 1 to 3.
        attempt: u32,
    },
    /// Packaged and verified, not yet visible.
    Packaged {
        /// The package.
        package: PackageId,
    },
    /// Visible to viewers.
    Published {
        /// The package.
        package: PackageId,
    },
    /// All attempts failed.
    PackageFailed,
}

impl TitleState {
    /// Whether licenses may be issued for the title.
    #[must_use]
    pub const fn is_licensed(&self) -> bool {
        match self {
            Self::External | Self::Published { .. } => true,
            Self::Draft | Self::Packaging { .. } | Self::Packaged { .. } | Self::PackageFailed => {
                false
            }
        }
    }

    /// The name in rows and answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::External => "external",
            Self::Packaging { .. } => "packaging",
            Self::Packaged { .. } => "packaged",
            Self::Published { .. } => "published",
            Self::PackageFailed => "package_failed",
        }
    }
}
