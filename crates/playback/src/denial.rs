//! Denials: each no with its own reason (R082).

/// Why an account may not play a title now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No such title, or one that is not published.
    TitleNotFound,
    /// The subscription lapsed or was stopped.
    SubscriptionInactive,
    /// The plan does not include streaming.
    PlanNotEntitled,
    /// The plan includes streaming, but not this title.
    TitleNotInPlan,
    /// The title may not be watched from where the viewer is, or that is unknown.
    RegionNotAllowed,
    /// As many streams as the plan allows are running.
    StreamLimitReached {
        /// How many the plan allows.
        max_streams: u32,
    },
}

impl Denial {
    /// The stable code of problem documents and audit rows.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TitleNotFound => "title_not_found",
            Self::SubscriptionInactive => "subscription_inactive",
            Self::PlanNotEntitled => "plan_not_entitled",
            Self::TitleNotInPlan => "title_not_in_plan",
            Self::RegionNotAllowed => "region_not_allowed",
            Self::StreamLimitReached { .. } => "stream_limit_reached",
        }
    }

    /// One sentence for the viewer, without jargon.
    #[must_use]
    pub fn viewer_sentence(self) -> String {
        match self {
            Self::TitleNotFound => "This title is not available.".to_owned(),
            Self::SubscriptionInactive => "Your subscription is not active.".to_owned(),
            Self::PlanNotEntitled => "Your plan does not include streaming.".to_owned(),
            Self::TitleNotInPlan => "Your plan does not include this title.".to_owned(),
            Self::RegionNotAllowed => {
                "This title is not available where you are right now.".to_owned()
            }
            Self::StreamLimitReached { max_streams: 1 } => {
                "Your plan allows one stream at a time, and it is already running. \
                 Stop it and try again."
                    .to_owned()
            }
            Self::StreamLimitReached { max_streams } => format!(
                "Your plan allows {max_streams} streams at a time, and all of them are running. \
                 Stop one and try again."
            ),
        }
    }
}
