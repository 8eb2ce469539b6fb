//! Signing in and out.

use crate::front::password::check_usable;
use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::SignInId;
use playback::SessionToken;
use serde::Deserialize;
use zeroize::Zeroizing;

/// What a sign-in takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    name: String,
    password: Zeroizing<String>,
}

/// Signs in and returns the session token.
///
/// 1 bound the input, 2 count the try, 3 check the password, in the same time for unknown
/// names, 4 note the sign-in, 5 issue the token.
///
/// Errors: [`Refusal::SignIn`], whatever was wrong; [`Refusal::RateLimited`].
pub async fn sign_in(
    service: &Service,
    caller: &Caller,
    credentials: Credentials,
) -> Result<String, Refusal> {
    let Credentials { name, password } = credentials;
    check_usable(&name, &password).map_err(|_| Refusal::SignIn)?;
    service.attempts.count(caller.address, &name, caller.now)?;
    let (account, stored) = service.store.account_by_name(&name).await?.unzip();
    let fits = service.passwords.check(password, stored).await?;
    let account = account.filter(|_| fits).ok_or(Refusal::SignIn)?;
    let sign_in = service.ground.entropy.with(SignInId::random);
    let expires = caller.now.plus_s(service.ground.config.tokens.session_s);
    service.store.insert_sign_in(sign_in, account.id, expires, caller.now).await?;
    let token = SessionToken { account: account.id, sign_in, issued: caller.now, expires };
    Ok(token.issue(&service.token_key))
}

/// Ends the viewer's sign-in; nothing to do for someone who is not signed in.
///
/// Errors: [`Refusal::CrossSite`]; what the store says.
pub async fn sign_out(service: &Service, caller: &Caller) -> Result<(), Refusal> {
    match Viewer::acting(service, caller).await {
        Ok(viewer) => service.store.end_sign_in(viewer.sign_in).await.map(drop)?,
        Err(Refusal::Token(_)) => {}
        Err(refusal) => return Err(refusal),
    }
    Ok(())
}
