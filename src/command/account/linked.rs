//! `account link` and `account unlink`: who an account is at an identity provider.

use super::kept::known;
use crate::command::{Failure, Place};
use crate::screen::Answer;
use clap::Args;
use playback::issuer::MAX_SUBJECT;
use serde::Serialize;
use store::StoreError;

/// Arguments of `account link`.
#[derive(Args)]
pub struct Link {
    /// The name of the account.
    name: String,
    #[command(flatten)]
    subject: Subject,
}

/// Someone at an identity provider.
#[derive(Args, Serialize)]
pub struct Subject {
    /// The identity provider, as the settings and `iss` name it.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// Who it is there: `sub` of its tokens.
    #[arg(long, value_name = "SUB")]
    subject: String,
}

/// Lets a subject of an issuer sign in as an account.
pub async fn link(link: Link, place: &Place, answer: Answer) -> Result<(), Failure> {
    let Subject { issuer, subject } = &link.subject;
    let home = place.home().await?;
    if !home.config.issuer.iter().any(|known| known.url == *issuer) {
        return Err(Failure::Refused(anyhow::anyhow!("the settings have no issuer {issuer}")));
    }
    if !(1..=MAX_SUBJECT).contains(&subject.len()) || subject.chars().any(char::is_control) {
        return Err(Failure::Refused(anyhow::anyhow!("a subject has 1 to {MAX_SUBJECT} bytes")));
    }
    let account = known(&home, &link.name).await?;
    match home.store.link_subject((issuer, subject), account.id, home.clock.now()).await {
        Ok(()) => {}
        Err(StoreError::Conflict) => {
            return Err(Failure::Refused(anyhow::anyhow!("{subject} is an account already")));
        }
        Err(error) => return Err(Failure::environment(error)),
    }
    answer.print(&link.subject, |_| format!("{subject} of {issuer} signs in as {}", link.name));
    Ok(())
}

/// Takes the account of a subject away from it.
pub async fn unlink(subject: Subject, place: &Place, answer: Answer) -> Result<(), Failure> {
    let home = place.home().await?;
    let pair = (subject.issuer.as_str(), subject.subject.as_str());
    if !home.store.unlink_subject(pair).await.map_err(Failure::environment)? {
        let text = format!("{} of {} is no account", subject.subject, subject.issuer);
        return Err(Failure::Refused(anyhow::anyhow!(text)));
    }
    answer.print(&subject, |subject| format!("{} is no account any more", subject.subject));
    Ok(())
}
