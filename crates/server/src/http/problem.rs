//! Problem documents (RFC 9457): every refusal has a stable code, a status and a sentence for
//! the viewer. The cause goes to the log, never to the caller.

use crate::front::issuers::IssuerRefused;
use crate::vault_link::{LicenseRefused, ProvisionRefused};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use edge::{PassRefused, RangeRefused};
use model::CorrelationId;
use playback::lease::Withdrawal;
use playback::{Denial, DeviceRefused, Rule, TokenRefused};
use serde_json::{Value, json};
use std::borrow::Cow;
use store::StoreError;

/// How long a caller should wait when something behind the service is away, seconds.
const AWAY_S: u64 = 5;
/// How long a caller should wait when the service is busy, seconds.
const BUSY_S: u64 = 2;

/// Why a request is not answered as asked: the one error of all routes.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The rules say no.
    #[error("denied: {}", .0.code())]
    Denied(Denial),
    /// The plan is full: the streams of the account that run.
    #[error("denied: {}", .denial.code())]
    StreamsFull {
        /// The denial.
        denial: Denial,
        /// What the document says of it.
        said: Value,
        /// Whether a player hears it that plays: its resource is locked, not in conflict.
        is_playing: bool,
    },
    /// A player that plays must stop.
    #[error("withdrawn: {}", .reason.name())]
    Withdrawn {
        /// The denial behind it; absent where someone of the account ended the stream.
        denial: Option<Denial>,
        /// The reason for the player.
        reason: Withdrawal,
    },
    /// A number of a message that was there before, or a later one was.
    #[error("a message out of order")]
    OutOfOrder,
    /// No credential, or one that is not accepted.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// No credential of the vault's, or one that is not accepted.
    #[error("at the vault: {0}")]
    Unauthenticated(TokenRefused),
    /// The credential is for other routes of the vault.
    #[error("the credential has no scope for this route")]
    ScopeNotAllowed,
    /// The credential is for other titles.
    #[error("the credential is not for this content")]
    ContentNotAllowed,
    /// The device may not do that, or not now.
    #[error(transparent)]
    Device(#[from] DeviceRefused),
    /// What a device shows beside its sign-in is not accepted.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// The playback session ended; a new token call may start another.
    #[error("the playback session has ended")]
    PlaybackEnded,
    /// The playback session or the license URL belongs to another account or device.
    #[error("a playback session of another account or device")]
    OtherDevice,
    /// The vault says no.
    #[error(transparent)]
    License(#[from] LicenseRefused),
    /// The vault certifies no device.
    #[error(transparent)]
    Provision(#[from] ProvisionRefused),
    /// An identity provider's token signs nobody in.
    #[error(transparent)]
    Issuer(#[from] IssuerRefused),
    /// Name or password is wrong.
    #[error("name or password is wrong")]
    SignIn,
    /// Too many tries.
    #[error("too many tries")]
    RateLimited {
        /// When to try again, seconds.
        retry_after_s: u64,
    },
    /// A cookie came with a request that no page of ours sent.
    #[error("a cookie on a request of a foreign page")]
    CrossSite,
    /// The request is not what the route takes.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The body is not JSON by its own word.
    #[error("the body is not application/json")]
    MediaType,
    /// The body is larger than the route takes.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// What is to be changed is not what the caller read.
    #[error("changed by another request meanwhile")]
    Outdated,
    /// No such route or object.
    #[error("nothing here")]
    NotFound,
    /// The route has no such method.
    #[error("no such method here")]
    Method,
    /// The pass in a delivery URL does not open.
    #[error(transparent)]
    Pass(#[from] PassRefused),
    /// The same for players that know the status of 2009.
    #[error("{0}")]
    PassAsOfOld(PassRefused),
    /// The byte range cannot be served from an object of this length.
    #[error("{refused}")]
    Range {
        /// Why.
        refused: RangeRefused,
        /// The object's length.
        len_bytes: u64,
    },
    /// The database or the object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// All hands are busy.
    #[error("overloaded")]
    Overloaded,
    /// Our own fault.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why what a device shows beside its sign-in is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// The ticket is not one of ours, of this account and of this key.
    #[error("the ticket is not valid")]
    Ticket,
    /// The proof of the key is missing or does not hold.
    #[error("the proof of the key is not valid: {0}")]
    Proof(&'static str),
    /// The proof of the key was used before.
    #[error("the proof of the key was used before")]
    ProofReplayed,
    /// Devices of this kind ask at another listener.
    #[error("a device of the other listener")]
    OtherListener,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// What a refusal says to its caller.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The stable code.
    pub code: &'static str,
    /// The status.
    pub status: StatusCode,
    /// The sentence for the viewer.
    pub sentence: Cow<'static, str>,
    /// When to try again, seconds.
    pub retry_after_s: Option<u64>,
    /// The length to name in `Content-Range`.
    pub len_bytes: Option<u64>,
    /// What the log says.
    pub cause: String,
    /// The rule that decided.
    pub rule: Rule,
    /// The inner reason.
    pub reason: &'static str,
    /// Further members of the document (RFC 9457, 3.2): an object.
    pub extra: Option<Value>,
}

impl Refusal {
    /// Code, status and sentence: the only place that pairs them (DESIGN §4).
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (code, status, sentence) = self.parts();
        let retry_after_s = match self {
            Self::RateLimited { retry_after_s } => Some(*retry_after_s),
            Self::Overloaded
            | Self::License(LicenseRefused::Overloaded)
            | Self::Provision(ProvisionRefused::Overloaded) => Some(BUSY_S),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(AWAY_S),
            _ => None,
        };
        let len_bytes = match self {
            Self::Range { len_bytes, .. } => Some(*len_bytes),
            _ => None,
        };
        let (rule, reason) = self.reason();
        let cause = self.to_string();
        let extra = self.extra();
        Problem { code, status, sentence, retry_after_s, len_bytes, cause, rule, reason, extra }
    }

    fn extra(&self) -> Option<Value> {
        match self {
            Self::StreamsFull { said, .. } => Some(said.clone()),
            Self::Withdrawn { reason, .. } => Some(json!({ "reason": reason.name() })),
            _ => None,
        }
    }

    fn parts(&self) -> (&'static str, StatusCode, Cow<'static, str>) {
        let (code, status, sentence) = self.plain_parts();
        let sentence = match self {
            Self::License(LicenseRefused::OfflineNotAllowed(denied)) => {
                denied.viewer_sentence().into()
            }
            Self::Denied(denial)
            | Self::StreamsFull { denial, .. }
            | Self::Withdrawn { denial: Some(denial), .. } => denial.viewer_sentence().into(),
            Self::Device(refused) => refused.viewer_sentence().into(),
            _ => sentence.into(),
        };
        (code, status, sentence)
    }

    /// The sentences of denials are their own.
    fn plain_parts(&self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Denied(denial) => (denial.code(), denial_status(*denial), ""),
            Self::StreamsFull { denial, is_playing: true, .. } => (denial.code(), S::LOCKED, ""),
            Self::StreamsFull { denial, .. } => (denial.code(), S::CONFLICT, ""),
            Self::Withdrawn { denial: Some(denial), .. } => (denial.code(), S::GONE, ""),
            Self::Withdrawn { denial: None, .. } => {
                ("playback_ended", S::GONE, "This playback was ended from another device.")
            }
            Self::OutOfOrder => {
                ("sequence_out_of_order", S::CONFLICT, "The player's messages are out of order.")
            }
            Self::Device(refused) => (refused.code(), device_status(*refused), ""),
            Self::Unproved(unproved) => unproved_parts(*unproved),
            Self::License(refused) => license_parts(*refused),
            Self::Provision(refused) => provision_parts(*refused),
            Self::Issuer(refused) => issuer_parts(*refused),
            Self::Token(TokenRefused::Invalid) => {
                ("token_invalid", S::UNAUTHORIZED, "Please sign in.")
            }
            Self::Token(TokenRefused::Expired) | Self::PlaybackEnded => {
                ("token_expired", S::UNAUTHORIZED, "This has taken too long. Please try again.")
            }
            Self::Unauthenticated(refused) => vault_parts(*refused),
            Self::ScopeNotAllowed => {
                ("scope_not_allowed", S::FORBIDDEN, "This credential is for other routes.")
            }
            Self::ContentNotAllowed => {
                ("content_not_allowed", S::FORBIDDEN, "This credential is for other titles.")
            }
            Self::OtherDevice => (
                "device_account_mismatch",
                S::FORBIDDEN,
                "This playback was started on another device or by another account.",
            ),
            Self::SignIn => {
                ("sign_in_failed", S::UNAUTHORIZED, "The name or the password is not right.")
            }
            Self::RateLimited { .. } => {
                ("rate_limited", S::TOO_MANY_REQUESTS, "Too many tries. Please wait a moment.")
            }
            Self::CrossSite => {
                ("cross_site_request", S::FORBIDDEN, "This page may not do that for you.")
            }
            Self::Malformed(_) => {
                ("malformed_request", S::BAD_REQUEST, "The request was not understood.")
            }
            Self::MediaType => {
                ("malformed_request", S::UNSUPPORTED_MEDIA_TYPE, "The request must be JSON.")
            }
            Self::TooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, "The request is too large."),
            Self::TooSlow => ("body_timeout", S::REQUEST_TIMEOUT, "The request took too long."),
            Self::Outdated => {
                ("version_outdated", S::CONFLICT, "This was changed on another device meanwhile.")
            }
            Self::NotFound => ("not_found", S::NOT_FOUND, "There is nothing here."),
            Self::Method => {
                ("method_not_allowed", S::METHOD_NOT_ALLOWED, "That is not possible here.")
            }
            Self::Pass(refused) => pass_parts(*refused, S::FORBIDDEN),
            Self::PassAsOfOld(refused) => pass_parts(*refused, S::BAD_REQUEST),
            Self::Range { refused, .. } => range_parts(*refused),
            Self::Store(StoreError::Unavailable(_)) => {
                ("store_unavailable", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
            }
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "Please try again shortly."),
            Self::Store(_) | Self::Internal(_) => {
                ("internal", S::INTERNAL_SERVER_ERROR, "Something went wrong on our side.")
            }
        }
    }
}

const fn range_parts(refused: RangeRefused) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as S;
    match refused {
        RangeRefused::Malformed => {
            ("malformed_request", S::BAD_REQUEST, "The byte range was not understood.")
        }
        RangeRefused::Several | RangeRefused::Outside => {
            ("range_not_satisfiable", S::RANGE_NOT_SATISFIABLE, "The byte range cannot be served.")
        }
    }
}

const fn denial_status(denial: Denial) -> StatusCode {
    match denial {
        Denial::TitleNotFound => StatusCode::NOT_FOUND,
        Denial::SubscriptionInactive | Denial::PlanNotEntitled | Denial::TitleNotInPlan => {
            StatusCode::FORBIDDEN
        }
        Denial::RegionNotAllowed => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
        Denial::StreamLimitReached { .. } => StatusCode::CONFLICT,
    }
}

const fn issuer_parts(refused: IssuerRefused) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as S;
    match refused {
        IssuerRefused::NoAccount => {
            ("account_unknown", S::FORBIDDEN, "There is no account for this sign-in here.")
        }
        IssuerRefused::Away => {
            ("provider_unavailable", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
        }
    }
}

const fn pass_parts(
    refused: PassRefused,
    status: StatusCode,
) -> (&'static str, StatusCode, &'static str) {
    match refused {
        PassRefused::Invalid => ("pass_invalid", status, "This address is not valid."),
        PassRefused::Expired => {
            ("pass_expired", status, "This address has expired. Please start again.")
        }
    }
}

const fn unproved_parts(unproved: Unproved) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as S;
    match unproved {
        Unproved::Ticket => {
            ("ticket_invalid", S::UNAUTHORIZED, "This device has to be registered again.")
        }
        Unproved::Proof(_) => {
            ("proof_invalid", S::UNAUTHORIZED, "This device could not prove what it is.")
        }
        Unproved::ProofReplayed => {
            ("token_replayed", S::UNAUTHORIZED, "This was sent before. Please try again.")
        }
        Unproved::OtherListener => ("other_listener", S::FORBIDDEN, "This is not possible here."),
    }
}

const fn device_status(refused: DeviceRefused) -> StatusCode {
    match refused {
        DeviceRefused::LimitReached { .. } | DeviceRefused::OutOfOrder => StatusCode::CONFLICT,
        DeviceRefused::OtherAccount | DeviceRefused::NotRegistered => StatusCode::FORBIDDEN,
        DeviceRefused::Inactive => StatusCode::GONE,
        DeviceRefused::Expired => StatusCode::UNAUTHORIZED,
    }
}

/// For an engineer: nobody signs in at the vault.
const fn vault_parts(refused: TokenRefused) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as S;
    match refused {
        TokenRefused::Invalid => {
            ("token_invalid", S::UNAUTHORIZED, "A token or certificate of the vault is needed.")
        }
        TokenRefused::Expired => ("token_expired", S::UNAUTHORIZED, "The token has expired."),
    }
}

const fn license_parts(refused: LicenseRefused) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as S;
    match refused {
        LicenseRefused::Grant => {
            ("internal", S::INTERNAL_SERVER_ERROR, "Something went wrong on our side.")
        }
        LicenseRefused::Integrity => {
            ("key_integrity", S::INTERNAL_SERVER_ERROR, "Something went wrong on our side.")
        }
        LicenseRefused::Malformed => {
            ("malformed_request", S::BAD_REQUEST, "The player's request was not understood.")
        }
        // One outer reason: who probes learns nothing about what was checked.
        LicenseRefused::Challenge(_)
        | LicenseRefused::OtherSession
        | LicenseRefused::NotRenewed
        | LicenseRefused::RenewedTooLate
        | LicenseRefused::BeyondHorizon => {
            ("challenge_refused", S::FORBIDDEN, "This device cannot play this title.")
        }
        LicenseRefused::OfflineNotAllowed(_) => {
            ("offline_not_allowed", S::FORBIDDEN, "This title may not be kept on a device.")
        }
        LicenseRefused::DialectNotAnswered => {
            ("dialect_not_answered", S::NOT_FOUND, "This player is not supported here.")
        }
        LicenseRefused::KidNotInContent => {
            ("kid_not_in_content", S::FORBIDDEN, "The player asked for another title's key.")
        }
        LicenseRefused::TokenReplayed => {
            ("token_replayed", S::UNAUTHORIZED, "This address was used before. Please try again.")
        }
        // To the viewer a key that nobody may have is one that is not there.
        LicenseRefused::CekNotFound | LicenseRefused::KeyCompromised => {
            ("cek_not_found", S::NOT_FOUND, "This title cannot be played at the moment.")
        }
        LicenseRefused::KmsUnavailable => {
            ("kms_unavailable", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
        }
        LicenseRefused::StoreUnavailable => {
            ("store_unavailable", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
        }
        LicenseRefused::Overloaded => {
            ("overloaded", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
        }
    }
}

/// For the engineer of a client: no viewer sees it.
const fn provision_parts(refused: ProvisionRefused) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as S;
    match refused {
        ProvisionRefused::NotOffered => {
            ("provisioning_not_offered", S::NOT_FOUND, "Devices are not provisioned here.")
        }
        ProvisionRefused::Malformed => {
            ("malformed_request", S::BAD_REQUEST, "The request was not understood.")
        }
        ProvisionRefused::Key => {
            ("device_key_refused", S::BAD_REQUEST, "The key must be RSA of 2048 to 4096 bits.")
        }
        ProvisionRefused::Time => {
            ("clock_skewed", S::BAD_REQUEST, "The device's clock differs from the server's.")
        }
        ProvisionRefused::Signature => {
            ("key_not_proved", S::FORBIDDEN, "The signature is not that of the device's key.")
        }
        ProvisionRefused::StoreUnavailable => {
            ("store_unavailable", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
        }
        ProvisionRefused::Overloaded => {
            ("overloaded", S::SERVICE_UNAVAILABLE, "Please try again shortly.")
        }
    }
}

impl IntoResponse for Refusal {
    /// An empty answer that carries the problem; [`super::envelope`] writes the document,
    /// because it knows the request's correlation id.
    fn into_response(self) -> Response {
        let problem = self.problem();
        let mut response = problem.status.into_response();
        response.extensions_mut().insert(problem);
        response
    }
}

impl Problem {
    /// The document.
    #[must_use]
    pub fn render(&self, correlation: CorrelationId) -> Response {
        let mut document = json!({
            "type": format!("urn:strongroom:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or(self.code),
            "status": self.status.as_u16(),
            "detail": self.sentence,
            "code": self.code,
            "correlation_id": correlation.to_string(),
        });
        if let (Value::Object(document), Some(Value::Object(extra))) = (&mut document, &self.extra)
        {
            for (name, value) in extra {
                // What every document has is never another's.
                document.entry(name.as_str()).or_insert_with(|| value.clone());
            }
        }
        let mut response = (self.status, document.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9449, 7.1.
            let scheme = match self.code {
                "proof_invalid" => "DPoP error=\"invalid_dpop_proof\", algs=\"ES256\"",
                _ => "Bearer",
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        if let Some(length) = self.len_bytes
            && let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}"))
        {
            headers.insert(header::CONTENT_RANGE, range);
        }
        response
    }
}
