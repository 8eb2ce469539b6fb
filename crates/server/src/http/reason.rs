//! Which rule a refusal comes from, and its inner reason: for the operator, never for the caller.

use crate::front::issuers::IssuerRefused;
use crate::http::problem::{Refusal, Unproved};
use crate::vault_link::{LicenseRefused, ProvisionRefused};
use playback::{Denial, DeviceRefused, Rule, TokenRefused};
use store::StoreError;

impl Refusal {
    /// The rule that decided, and why: a stable name, finer than the code that the caller reads.
    #[must_use]
    pub const fn reason(&self) -> (Rule, &'static str) {
        match self {
            Self::Denied(denial)
            | Self::StreamsFull { denial, .. }
            | Self::Withdrawn { denial: Some(denial), .. } => (denial.rule(), denied(*denial)),
            Self::Withdrawn { denial: None, .. } => (Rule::Session, "ended_by_account"),
            Self::OutOfOrder => (Rule::Session, "sequence_out_of_order"),
            Self::Token(TokenRefused::Invalid) | Self::Unauthenticated(TokenRefused::Invalid) => {
                (Rule::Token, "token_not_accepted")
            }
            Self::Token(TokenRefused::Expired) | Self::Unauthenticated(TokenRefused::Expired) => {
                (Rule::Token, "token_time_is_over")
            }
            Self::ScopeNotAllowed => (Rule::Token, "scope_of_other_routes"),
            Self::ContentNotAllowed => (Rule::Token, "credential_of_other_titles"),
            Self::Issuer(IssuerRefused::NoAccount) => (Rule::Token, "subject_without_account"),
            Self::Issuer(IssuerRefused::Away) => (Rule::Service, "issuer_away"),
            Self::SignIn => (Rule::Token, "name_or_password_wrong"),
            Self::CrossSite => (Rule::Token, "cookie_from_a_foreign_page"),
            Self::PlaybackEnded => (Rule::Session, "playback_session_ended"),
            Self::OtherDevice => (Rule::Session, "other_account_or_device"),
            Self::Device(refused) => (Rule::Session, device(*refused)),
            Self::Unproved(refused) => (Rule::Session, unproved(*refused)),
            Self::License(refused) => license(*refused),
            Self::RateLimited { .. } => (Rule::Rate, "too_many_requests"),
            Self::Malformed(_) => (Rule::Request, "not_understood"),
            Self::MediaType => (Rule::Request, "not_json"),
            Self::TooLarge => (Rule::Request, "body_too_large"),
            Self::TooSlow => (Rule::Request, "body_too_slow"),
            Self::Outdated => (Rule::Request, "changed_meanwhile"),
            Self::NotFound => (Rule::Request, "no_such_place"),
            Self::Method => (Rule::Request, "no_such_method"),
            Self::Pass(_) | Self::PassAsOfOld(_) => (Rule::Token, "pass_not_accepted"),
            Self::Range { .. } => (Rule::Request, "range_not_served"),
            Self::Store(error) => (Rule::Service, stored(error)),
            Self::Provision(refused) => provisioning(*refused),
            Self::Overloaded => (Rule::Service, "all_hands_busy"),
            Self::Internal(_) => (Rule::Service, "internal"),
        }
    }
}

const fn denied(denial: Denial) -> &'static str {
    match denial {
        Denial::TitleNotFound => "title_unknown_or_unpublished",
        Denial::SubscriptionInactive => "subscription_not_active",
        Denial::PlanNotEntitled => "plan_without_streaming",
        Denial::TitleNotInPlan => "title_in_other_plans",
        Denial::RegionNotAllowed => "country_outside_or_unknown",
        Denial::StreamLimitReached { .. } => "plan_is_full",
    }
}

const fn unproved(refused: Unproved) -> &'static str {
    match refused {
        Unproved::Ticket => "ticket_not_accepted",
        Unproved::Proof(why) => why,
        Unproved::ProofReplayed => "proof_used_before",
        Unproved::OtherListener => "kind_of_the_other_listener",
    }
}

const fn device(refused: DeviceRefused) -> &'static str {
    match refused {
        DeviceRefused::LimitReached { .. } => "plan_has_no_place_for_the_device",
        DeviceRefused::OtherAccount => "device_of_another_account_or_key",
        DeviceRefused::Inactive => "device_removed",
        DeviceRefused::NotRegistered => "device_unknown",
        DeviceRefused::Expired => "registration_or_ticket_ended",
        DeviceRefused::OutOfOrder => "message_number_used_or_far_ahead",
    }
}

const fn license(refused: LicenseRefused) -> (Rule, &'static str) {
    match refused {
        LicenseRefused::Grant => (Rule::Service, "grant_refused"),
        LicenseRefused::Malformed => (Rule::Request, "challenge_malformed"),
        LicenseRefused::Challenge(name) => (Rule::SecurityLevel, name),
        LicenseRefused::OtherSession => (Rule::Session, "license_of_another_session"),
        LicenseRefused::NotRenewed => (Rule::ContentKeys, "key_no_longer_allowed"),
        LicenseRefused::RenewedTooLate => (Rule::Policy, "license_ended_too_long_ago"),
        LicenseRefused::OfflineNotAllowed(denied) => (Rule::Offline, denied.reason()),
        LicenseRefused::DialectNotAnswered => (Rule::Request, "dialect_not_answered"),
        LicenseRefused::KidNotInContent => (Rule::ContentKeys, "kid_of_another_title"),
        LicenseRefused::TokenReplayed => (Rule::Token, "kid_answered_to_another_challenge"),
        LicenseRefused::CekNotFound => (Rule::ContentKeys, "key_row_missing"),
        LicenseRefused::KeyCompromised => (Rule::ContentKeys, "only_compromised_keys_asked"),
        LicenseRefused::BeyondHorizon => (Rule::Horizon, "keys_beyond_the_horizon"),
        LicenseRefused::KmsUnavailable => (Rule::Service, "kms_unavailable"),
        LicenseRefused::StoreUnavailable => (Rule::Service, "store_unavailable"),
        LicenseRefused::Overloaded => (Rule::Service, "vault_overloaded"),
        LicenseRefused::Integrity => (Rule::Service, "key_integrity"),
    }
}

const fn provisioning(refused: ProvisionRefused) -> (Rule, &'static str) {
    match refused {
        ProvisionRefused::NotOffered => (Rule::Request, "provisioning_not_offered"),
        ProvisionRefused::Malformed => (Rule::Request, "provisioning_malformed"),
        ProvisionRefused::Key => (Rule::SecurityLevel, "device_key_unusable"),
        ProvisionRefused::Time => (Rule::Request, "device_clock_differs"),
        ProvisionRefused::Signature => (Rule::SecurityLevel, "device_key_not_proved"),
        ProvisionRefused::StoreUnavailable => (Rule::Service, "store_unavailable"),
        ProvisionRefused::Overloaded => (Rule::Service, "vault_overloaded"),
    }
}

const fn stored(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "store_unavailable",
        StoreError::Corrupt(_) => "stored_row_damaged",
        StoreError::Conflict
        | StoreError::Missing
        | StoreError::Retired
        | StoreError::Invalid(_)
        | StoreError::Setup(_) => "store_refused",
    }
}
