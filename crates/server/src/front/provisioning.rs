//! `POST /provisioning/widevine`: a client that made its own key asks for its certificate (R100).
//!
//! It comes before any sign-in, so only the address bounds it. The question stays opaque.

use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use crate::vault_link::Provisioned;

/// Answers a provisioning request: 1 count the try, 2 hand the question to the vault.
///
/// Errors: [`Refusal::RateLimited`], [`Refusal::Provision`].
pub async fn provision(
    service: &Service,
    caller: &Caller,
    question: &[u8],
) -> Result<Provisioned, Refusal> {
    service.provisionings.count(caller.address, "", caller.now)?;
    Ok(service.vault.provision(question, caller.now).await?)
}
