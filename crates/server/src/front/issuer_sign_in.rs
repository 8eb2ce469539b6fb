//! Signing in by a token of an identity provider: as the credential of a request, or exchanged for
//! a session of ours.

use crate::front::issuers::{Issuer, IssuerRefused};
use crate::front::password::check_name;
use crate::front::viewer::{StandsOn, Viewer};
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{Account, AccountId, PlanName, SignInId, Subscription, Timestamp};
use playback::issuer::IssuerToken;
use playback::{Denial, TokenRefused};
use std::sync::Arc;
use store::{IssuerSignIn, StoreError, SubjectRow};

/// The viewer whose credential is a token of an issuer.
///
/// 1 check the token, 2 find its account, or make it, 3 note the sign-in, unless it was ended here.
///
/// Errors: [`Refusal::Token`], [`IssuerRefused`], a denial.
pub async fn viewer(service: &Service, caller: &Caller, text: &str) -> Result<Viewer, Refusal> {
    let (issuer, token) = service.issuers.verify(text, caller.now).await?;
    let row = account_of(service, issuer, &token, caller.now).await?;
    let sign_in = IssuerSignIn {
        id: token.sign_in(),
        account: row.account.id,
        issued: token.issued(),
        expires: token.expires(),
        now: caller.now,
    };
    if !row.is_noted && !service.store.note_issuer_sign_in(&sign_in).await? {
        return Err(TokenRefused::Expired.into());
    }
    let stands_on = StandsOn::IssuerTokens { remember_s: remember_s(issuer) };
    Ok(Viewer::on_its_own(row.account, token.sign_in(), token.expires(), stands_on))
}

/// The account that a token of an issuer signs in, for a session of ours.
///
/// 1 check the token, 2 find its account, or make it, 3 count the sign-in.
///
/// Errors: as [`viewer`]; [`Refusal::RateLimited`].
pub async fn exchange(
    service: &Service,
    caller: &Caller,
    text: &str,
) -> Result<AccountId, Refusal> {
    let (issuer, token) = service.issuers.verify(text, caller.now).await?;
    let account = account_of(service, issuer, &token, caller.now).await?.account.id;
    service.attempts.count(caller.address, &account.to_string(), caller.now)?;
    Ok(account)
}

/// The sign-in that a token of an issuer stands for, by keys that are known already. Whether it
/// still stands is not asked.
pub fn claimed(service: &Service, text: &str, now: Timestamp) -> Option<SignInId> {
    service.issuers.verify_by_held_keys(text, now).map(|token| token.sign_in())
}

/// How long it must be remembered that a sign-in was ended: until the last of its tokens ends.
fn remember_s(issuer: &Issuer) -> u64 {
    let settings = issuer.settings();
    settings.max_token_s.saturating_add(settings.leeway_s.saturating_mul(2))
}

/// The account of a token's subject, on the plan that the newest token names.
async fn account_of(
    service: &Service,
    issuer: &Arc<Issuer>,
    token: &IssuerToken,
    now: Timestamp,
) -> Result<SubjectRow, Refusal> {
    let plan = issuer.plan_of(token)?;
    let mut row = match find(service, token).await? {
        Some(row) => row,
        None if issuer.settings().provision => {
            provision(service, issuer, token, plan.as_ref(), now).await?
        }
        None => return Err(IssuerRefused::NoAccount.into()),
    };
    if let Some(plan) = plan.filter(|plan| row.account.plan != *plan && row.told < token.issued()) {
        let subject = (token.issuer(), token.subject());
        if service.store.follow_plan(subject, &plan, token.issued()).await? {
            row.account.plan = plan;
        }
    }
    Ok(row)
}

async fn find(service: &Service, token: &IssuerToken) -> Result<Option<SubjectRow>, StoreError> {
    let subject = (token.issuer(), token.subject());
    service.store.subject(subject, token.sign_in(), token.issued(), token.expires()).await
}

/// Makes the account of a subject. A name that is taken is never a reason to be that account: the
/// new one gets a name of its own.
async fn provision(
    service: &Service,
    issuer: &Issuer,
    token: &IssuerToken,
    plan: Option<&PlanName>,
    now: Timestamp,
) -> Result<SubjectRow, Refusal> {
    let plan = match plan {
        Some(plan) => plan.clone(),
        None => {
            let name = issuer.settings().plan.as_deref().unwrap_or_default();
            PlanName::parse(name).map_err(|_| Denial::PlanNotEntitled)?
        }
    };
    let id = service.ground.entropy.with(AccountId::random);
    let wished = token.text(&issuer.settings().name_claim);
    let wished = wished.filter(|name| check_name(name).is_ok()).unwrap_or(token.subject());
    let subject = (token.issuer(), token.subject());
    for name in [wished.to_owned(), format!("viewer {id}")] {
        let account = Account { id, name, plan: plan.clone(), subscription: Subscription::Active };
        match service.store.provision(&account, subject, token.issued(), now).await {
            Ok(()) => break,
            // The name is taken, or a parallel request was first.
            Err(StoreError::Conflict) if find(service, token).await?.is_none() => {}
            Err(StoreError::Conflict) => break,
            Err(StoreError::Missing) => {
                let plan = plan.as_str();
                return Err(Refusal::Internal(format!("an issuer's plan {plan} does not exist")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(find(service, token).await?.ok_or(StoreError::Conflict)?)
}
