//! Signing in and out.

use crate::front::issuer_sign_in::exchange;
use crate::front::password::check_usable;
use crate::front::viewer::{StandsOn, Viewer};
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{AccountId, SignInId, Timestamp};
use playback::SessionToken;
use serde::Deserialize;
use store::StoreError;
use zeroize::Zeroizing;

/// What a sign-in takes: a name and a password, or a token of an identity provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    name: Option<String>,
    password: Option<Zeroizing<String>>,
    id_token: Option<Zeroizing<String>>,
}

/// Signs in and returns the session token.
///
/// 1 find the account, by its password or by a token of an issuer, 2 note the sign-in, 3 issue the
/// token.
///
/// Errors: [`Refusal::Malformed`] for neither or both; as [`by_password`] and [`exchange`].
pub async fn sign_in(
    service: &Service,
    caller: &Caller,
    credentials: Credentials,
) -> Result<String, Refusal> {
    let account = match credentials {
        Credentials { name: Some(name), password: Some(password), id_token: None } => {
            by_password(service, caller, &name, password).await?
        }
        Credentials { name: None, password: None, id_token: Some(token) } => {
            exchange(service, caller, &token).await?
        }
        _ => return Err(Refusal::Malformed("body")),
    };
    let sign_in = service.ground.entropy.with(SignInId::random);
    let expires = caller.now.plus_s(service.ground.config.tokens.session_s);
    service.store.insert_sign_in(sign_in, account, expires, caller.now).await?;
    let token = SessionToken { account, sign_in, issued: caller.now, expires };
    Ok(token.issue(&service.token_key))
}

/// The account of a name and its password.
///
/// 1 bound the input, 2 count the try, 3 check the password, in the same time for unknown
/// names.
///
/// Errors: [`Refusal::SignIn`], whatever was wrong; [`Refusal::RateLimited`].
async fn by_password(
    service: &Service,
    caller: &Caller,
    name: &str,
    password: Zeroizing<String>,
) -> Result<AccountId, Refusal> {
    check_usable(name, &password).map_err(|_| Refusal::SignIn)?;
    service.attempts.count(caller.address, name, caller.now)?;
    let (account, stored) = service.store.account_by_name(name).await?.unzip();
    let fits = service.passwords.check(password, stored).await?;
    account.filter(|_| fits).map(|account| account.id).ok_or(Refusal::SignIn)
}

/// Ends the viewer's sign-in; nothing to do for someone who is not signed in.
///
/// Errors: [`Refusal::CrossSite`]; what the store says.
pub async fn sign_out(service: &Service, caller: &Caller) -> Result<(), Refusal> {
    match Viewer::signed_in(service, caller).await {
        Ok(viewer) => end(service, &viewer, caller.now).await?,
        Err(Refusal::Token(_)) => {}
        Err(refusal) => return Err(refusal),
    }
    Ok(())
}

/// A session of ours is forgotten; tokens of an issuer are not ours to take back, so it is
/// remembered that those until now count no more.
async fn end(service: &Service, viewer: &Viewer, now: Timestamp) -> Result<(), StoreError> {
    let store = &service.store;
    match viewer.stands_on {
        StandsOn::Session => store.end_sign_in(viewer.sign_in).await.map(drop),
        StandsOn::IssuerTokens { remember_s } => {
            let forget = now.plus_s(remember_s);
            store.end_issuer_sign_in(viewer.sign_in, viewer.account.id, now, forget).await
        }
    }
}
