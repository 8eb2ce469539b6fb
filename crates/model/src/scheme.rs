//! Protection schemes of ISO/IEC 23001-7 that Strongroom writes.

use serde::{Deserialize, Serialize};

/// How samples are encrypted. A sample is stored once, so one segment set has one scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// AES-128-CTR over subsamples (ISO/IEC 23001-7, 10.1).
    Cenc,
    /// AES-128-CBC in a 1:9 block pattern with a constant IV (ISO/IEC 23001-7, 10.4).
    Cbcs,
}

impl Scheme {
    /// Both schemes, in the order in which packages list them.
    pub const ALL: [Self; 2] = [Self::Cbcs, Self::Cenc];

    /// The scheme's four-character code, as in `schm` and in folder names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cenc => "cenc",
            Self::Cbcs => "cbcs",
        }
    }

    /// Reads the four-character code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == text)
    }
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
