//! The signed-in viewer behind a request.

use crate::front::issuer_sign_in;
use crate::http::caller::Caller;
use crate::http::cookies;
use crate::http::problem::Refusal;
use crate::service::Service;
use axum::http::header;
use model::{Account, DeviceId, SignInId, Timestamp};
use playback::{SessionToken, TokenRefused};

/// Someone who signed in and whose sign-in stands.
pub struct Viewer {
    /// The account.
    pub account: Account,
    /// The sign-in.
    pub sign_in: SignInId,
    /// When the sign-in ends.
    pub signed_in_until: Timestamp,
    /// What the sign-in stands on.
    pub stands_on: StandsOn,
}

/// What a sign-in stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandsOn {
    /// A session token of ours.
    Session,
    /// Tokens of an identity provider.
    IssuerTokens {
        /// How long an end of the sign-in must be remembered, seconds.
        remember_s: u64,
    },
}

impl Viewer {
    /// The device: a browser that registered none is as many devices as sign-ins.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        DeviceId::of_sign_in(self.sign_in)
    }

    /// The viewer of a request that reads only: `Authorization: Bearer`, or the cookie.
    ///
    /// Errors: [`Refusal::Token`] without a credential that stands.
    pub async fn reading(service: &Service, caller: &Caller) -> Result<Self, Refusal> {
        let token = bearer(caller)?.or_else(|| cookies::read(&caller.headers, cookies::SESSION));
        Self::of_token(service, caller, token.ok_or(TokenRefused::Invalid)?).await
    }

    /// The viewer of a request that changes something, a reserved slot included: a cookie
    /// counts only where one of our own or listed pages sent it.
    ///
    /// Errors: as [`Self::reading`]; [`Refusal::CrossSite`].
    pub async fn acting(service: &Service, caller: &Caller) -> Result<Self, Refusal> {
        let has_bearer = bearer(caller)?.is_some();
        let viewer = Self::reading(service, caller).await?;
        if has_bearer || caller.is_own_page(&service.ground.config.cors.allowed_origins) {
            Ok(viewer)
        } else {
            Err(Refusal::CrossSite)
        }
    }

    /// The device of the sign-in that travels with a request whose credential is another one.
    /// Whether the sign-in still stands is not asked.
    pub fn claimed_device(service: &Service, caller: &Caller) -> Option<DeviceId> {
        let text = credential(caller)?;
        let sign_in = match SessionToken::verify(&service.token_key, text, caller.now) {
            Ok(token) => Some(token.sign_in),
            Err(_) => issuer_sign_in::claimed(service, text, caller.now),
        };
        sign_in.map(DeviceId::of_sign_in)
    }

    async fn of_token(service: &Service, caller: &Caller, text: &str) -> Result<Self, Refusal> {
        let token = match SessionToken::verify(&service.token_key, text, caller.now) {
            // Not ours; it may be an issuer's.
            Err(TokenRefused::Invalid) => {
                return issuer_sign_in::viewer(service, caller, text).await;
            }
            token => token?,
        };
        if !service.store.sign_in_is_live(token.sign_in, caller.now).await? {
            return Err(TokenRefused::Expired.into());
        }
        let account = service.store.account(token.account).await?.ok_or(TokenRefused::Invalid)?;
        let (sign_in, signed_in_until) = (token.sign_in, token.expires);
        Ok(Self { account, sign_in, signed_in_until, stands_on: StandsOn::Session })
    }
}

/// Whether the credential of a request that changes something counts: a cookie does only where
/// one of our own or listed pages sent it.
pub fn is_meant(service: &Service, caller: &Caller) -> bool {
    let has_bearer = matches!(bearer(caller), Ok(Some(_)));
    has_bearer || caller.is_own_page(&service.ground.config.cors.allowed_origins)
}

/// The text of the credential that [`Viewer::reading`] would read.
pub fn credential(caller: &Caller) -> Option<&str> {
    let bearer = bearer(caller).ok().flatten();
    bearer.or_else(|| cookies::read(&caller.headers, cookies::SESSION))
}

/// The token of an `Authorization` header. One that is there and is no bearer token refuses the
/// request: it never falls back to a cookie.
fn bearer(caller: &Caller) -> Result<Option<&str>, Refusal> {
    let Some(value) = caller.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| TokenRefused::Invalid)?;
    match value.split_once(' ') {
        Some((kind, token)) if kind.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(TokenRefused::Invalid.into()),
    }
}
