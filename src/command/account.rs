//! `account`: who may sign in.

mod kept;
mod linked;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::{Entropy as _, PlanName, Subscription};
use serde::Serialize;
use std::io::Read as _;
use store::StoreError;

/// What to do with accounts.
#[derive(Subcommand)]
pub enum Arguments {
    /// Add an account; prints its password unless one is given.
    Add(Add),
    /// Stop an account: no new token, license or heartbeat.
    Suspend(Name),
    /// Let a suspended account play again.
    Resume(Name),
    /// Let someone whom an identity provider knows sign in as an account.
    Link(linked::Link),
    /// Take that back; the account stays.
    Unlink(linked::Subject),
    /// Show which titles the devices of an account keep, and until when.
    Offline(Offline),
    /// Show when licenses that were given back were used.
    Usage(Name),
}

/// Arguments of `account offline`.
#[derive(Args)]
pub struct Offline {
    /// The name it signs in with.
    name: String,
    /// Free the places that a title takes, as when a device is lost.
    #[arg(long, value_name = "CONTENT")]
    free: Option<String>,
}

/// Arguments of `account add`.
#[derive(Args)]
pub struct Add {
    /// The name it signs in with.
    name: String,
    /// Its plan; the default one includes every title.
    #[arg(long, default_value = "standard")]
    plan: String,
    /// Read the password from standard input instead of making one.
    #[arg(long)]
    password_stdin: bool,
}

/// One account.
#[derive(Args)]
pub struct Name {
    /// The name it signs in with.
    name: String,
}

/// What `account add` answers.
#[derive(Serialize)]
struct Added {
    name: String,
    plan: String,
    /// Only if it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Changes accounts.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::Add(add) => block_on(add_account(add, place, answer)),
        Arguments::Link(link) => block_on(linked::link(link, place, answer)),
        Arguments::Unlink(subject) => block_on(linked::unlink(subject, place, answer)),
        Arguments::Offline(offline) => block_on(kept::show_kept(offline, place, answer)),
        Arguments::Usage(account) => block_on(kept::show_usage(account, place, answer)),
        Arguments::Suspend(account) => {
            block_on(subscribe(account, Subscription::Suspended, place, answer))
        }
        Arguments::Resume(account) => {
            block_on(subscribe(account, Subscription::Active, place, answer))
        }
    }
}

async fn add_account(add: Add, place: &Place, answer: Answer) -> Result<(), Failure> {
    let plan = PlanName::parse(&add.plan).context("--plan").map_err(Failure::Environment)?;
    let made = (!add.password_stdin).then(make_password);
    let password = match &made {
        Some(password) => password.clone(),
        None => read_password().map_err(Failure::Environment)?,
    };
    let home = place.home().await?;
    home.add_account(&add.name, &plan, &password).await.map_err(Failure::refused)?;
    let added = Added { name: add.name, plan: add.plan, password: made };
    answer.print(&added, |added| match &added.password {
        Some(password) => format!("{}\npassword: {password}", added.name),
        None => added.name.clone(),
    });
    Ok(())
}

async fn subscribe(
    Name { name }: Name,
    subscription: Subscription,
    place: &Place,
    answer: Answer,
) -> Result<(), Failure> {
    let home = place.home().await?;
    let change = async {
        let (account, _) = home.store.account_by_name(&name).await?.ok_or(StoreError::Missing)?;
        home.store.set_subscription(account.id, subscription).await
    };
    match change.await {
        Ok(_) => {}
        Err(StoreError::Missing) => {
            return Err(Failure::Refused(anyhow::anyhow!("there is no account named {name}")));
        }
        Err(error) => return Err(Failure::environment(error)),
    }
    let state = serde_json::json!({"name": name, "subscription": subscription.name()});
    answer.print(&state, |_| format!("{name}: {}", subscription.name()));
    Ok(())
}

/// 16 characters of an alphabet without look-alikes: 80 bits.
pub fn make_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut bytes = [0; 16];
    keys::SystemEntropy.fill(&mut bytes);
    let letter = |byte: u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
    bytes.into_iter().map(letter).collect()
}

/// The first line of standard input.
fn read_password() -> anyhow::Result<String> {
    /// Longer than any password that is accepted.
    const LIMIT: u64 = 4096;
    let mut text = String::new();
    std::io::stdin().take(LIMIT).read_to_string(&mut text).context("standard input")?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "standard input holds no password");
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::make_password;

    #[test]
    fn made_passwords_differ_and_hold_no_look_alikes() {
        let (one, other) = (make_password(), make_password());
        assert_eq!(one.len(), 16);
        assert_ne!(one, other);
        assert!(!one.contains(['i', 'l', 'o', '1']));
    }
}
