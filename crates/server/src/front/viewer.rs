//! The signed-in viewer behind a request.

use crate::front::devices::{self, Counted};
use crate::front::issuer_sign_in;
use crate::http::caller::{Caller, Listener};
use crate::http::cookies;
use crate::http::problem::Refusal;
use crate::service::Service;
use axum::http::header;
use model::{Account, AccountId, DeviceId, SignInId, Timestamp};
use playback::device::may_play;
use playback::{DeviceRefused, SessionToken, TokenRefused};
use store::SignInDevice;

/// What the owner reads of a sign-in that plays without a registered device.
const SIGN_IN_NAME: &str = "browser without a registration";

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
    device: DeviceId,
    has_ticket: bool,
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

/// Whom the credentials of a request name. Whether the sign-in still stands is not asked.
pub struct Claimed {
    /// The account; `None`: an identity provider's token, which does not say it.
    pub account: Option<AccountId>,
    /// The device of the ticket, else the sign-in's.
    pub device: DeviceId,
    /// Whether a ticket of the account came along; the proof of its key has not been asked for.
    pub has_ticket: bool,
}

impl Viewer {
    /// The device: the registered one that the request proved, else the sign-in. A browser that
    /// registered none is as many devices as sign-ins.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// The viewer of a request that reads only: `Authorization: Bearer`, or the cookie. A ticket
    /// says which device it is without a proof, for nothing is given for it.
    ///
    /// Errors: [`Refusal::Token`] without a credential that stands.
    pub async fn reading(service: &Service, caller: &Caller) -> Result<Self, Refusal> {
        let token = bearer(caller)?.or_else(|| cookie(caller));
        let mut viewer =
            Self::of_token(service, caller, token.ok_or(TokenRefused::Invalid)?).await?;
        if let Some(ticket) = devices::shown(service, caller)
            && ticket.account == viewer.account.id
        {
            viewer.device = ticket.device;
        }
        Ok(viewer)
    }

    /// The viewer of a request about sign-ins and devices themselves: as [`Self::acting`], but a
    /// ticket neither helps nor hinders, so that a browser without a place can make one.
    ///
    /// Errors: as [`Self::reading`]; [`Refusal::CrossSite`].
    pub async fn signed_in(service: &Service, caller: &Caller) -> Result<Self, Refusal> {
        let has_bearer = bearer(caller)?.is_some();
        let viewer = Self::reading(service, caller).await?;
        if has_bearer || caller.is_own_page(&service.ground.config.cors.allowed_origins) {
            Ok(viewer)
        } else {
            Err(Refusal::CrossSite)
        }
    }

    /// The viewer of a request that changes something, a reserved slot included: a cookie
    /// counts only where one of our own or listed pages sent it, a ticket only with the proof of
    /// its key and the next number.
    ///
    /// Errors: as [`Self::signed_in`]; [`Refusal::Unproved`], [`Refusal::Device`].
    pub async fn acting(service: &Service, caller: &Caller) -> Result<Self, Refusal> {
        Self::by_ticket(service, caller, Counted::Always).await
    }

    /// The viewer of a request that plays: as [`Self::acting`], on a device that may. A sign-in
    /// without a registered one is a device by itself, where the settings allow it (R068).
    ///
    /// Errors: as [`Self::acting`].
    pub async fn playing(
        service: &Service,
        caller: &Caller,
        counted: Counted,
    ) -> Result<Self, Refusal> {
        let viewer = Self::by_ticket(service, caller, counted).await?;
        if !viewer.has_ticket {
            if caller.listener == Listener::Devices {
                return Err(DeviceRefused::NotRegistered.into());
            }
            viewer.admit_sign_in(service, caller).await?;
        }
        Ok(viewer)
    }

    async fn by_ticket(
        service: &Service,
        caller: &Caller,
        counted: Counted,
    ) -> Result<Self, Refusal> {
        let mut viewer = Self::signed_in(service, caller).await?;
        let proved = devices::proved(service, caller, viewer.account.id, counted).await?;
        viewer.has_ticket = proved.is_some();
        viewer.device = proved.unwrap_or(DeviceId::of_sign_in(viewer.sign_in));
        Ok(viewer)
    }

    /// A sign-in without a ticket.
    pub(super) const fn on_its_own(
        account: Account,
        sign_in: SignInId,
        signed_in_until: Timestamp,
        stands_on: StandsOn,
    ) -> Self {
        let device = DeviceId::of_sign_in(sign_in);
        Self { account, sign_in, signed_in_until, stands_on, device, has_ticket: false }
    }

    async fn admit_sign_in(&self, service: &Service, caller: &Caller) -> Result<(), Refusal> {
        let settings = &service.ground.config.devices;
        let request = SignInDevice {
            account: self.account.id,
            sign_in: self.sign_in,
            signed_in_until: self.signed_in_until,
            name: SIGN_IN_NAME.to_owned(),
            now: caller.now,
        };
        let device = service.store.sign_in_device(&request, settings.auto_register).await??;
        let (until, deauthorize) = (device.expires, settings.deauthorize);
        Ok(may_play(Some(&device), self.account.id, until, deauthorize, caller.now)?)
    }

    /// Whom the sign-in and the ticket name that travel with a request whose credential is
    /// another one.
    pub fn claimed(service: &Service, caller: &Caller) -> Option<Claimed> {
        let text = credential(caller)?;
        let (account, sign_in) = match SessionToken::verify(&service.token_key, text, caller.now) {
            Ok(token) => (Some(token.account), token.sign_in),
            // Whose account it is, its row says.
            Err(_) => (None, issuer_sign_in::claimed(service, text, caller.now)?),
        };
        let ticket = devices::shown(service, caller);
        let ticket = ticket.filter(|ticket| account.is_none_or(|own| ticket.account == own));
        Some(Claimed {
            account,
            device: ticket.map_or(DeviceId::of_sign_in(sign_in), |ticket| ticket.device),
            has_ticket: ticket.is_some(),
        })
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
        Ok(Self::on_its_own(account, sign_in, signed_in_until, StandsOn::Session))
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
    bearer.or_else(|| cookie(caller))
}

/// The session in the cookie; boxes have none.
fn cookie(caller: &Caller) -> Option<&str> {
    match caller.listener {
        Listener::Viewers => cookies::read(&caller.headers, cookies::SESSION),
        Listener::Devices => None,
    }
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
