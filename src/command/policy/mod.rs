//! `policy`: the rules that titles have by name (docs/guide/policies.md).

mod dry_run;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::{ContentId, MAX_POLICY_BYTES, PolicyName, SecurityLevel, TitlePolicy};
use server::Home;
use server::vault::PolicyRefused;
use std::io::Read as _;
use std::path::PathBuf;
use store::{PAGE_MAX, StoreError};

/// What to do with policies.
#[derive(Subcommand)]
pub enum Arguments {
    /// List policies, built-in ones first.
    List,
    /// Print a policy's document.
    Show(Named),
    /// Add a policy, or replace it for every title that has it.
    Set(Set),
    /// Remove a policy that no title has.
    Remove(Named),
    /// Give a title a policy.
    Assign(Assign),
    /// Show what a device would get: which keys, under which terms, and by which rule not.
    Test(dry_run::Test),
}

/// One policy.
#[derive(Args)]
pub struct Named {
    /// The policy's name.
    name: String,
}

/// Arguments of `policy set`.
#[derive(Args)]
pub struct Set {
    /// The policy's name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    name: String,
    /// Its document (TOML); standard input when absent.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Arguments of `policy assign`.
#[derive(Args)]
pub struct Assign {
    /// The policy's name.
    name: String,
    /// The title.
    #[arg(long, value_name = "ID")]
    content: String,
}

/// Lists, changes or tests policies.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    block_on(async {
        let home = place.home().await?;
        match arguments {
            Arguments::List => list(&home, answer).await,
            Arguments::Show(named) => show(&home, &named, answer).await,
            Arguments::Set(set) => change(&home, &set, answer).await,
            Arguments::Remove(named) => remove(&home, &named, answer).await,
            Arguments::Assign(assign) => give(&home, &assign, answer).await,
            Arguments::Test(test) => dry_run::run(&home, &test, answer).await,
        }
    })
}

async fn list(home: &Home, answer: Answer) -> Result<(), Failure> {
    let mut own = vec![];
    loop {
        let after = own.last().map(|(policy, _): &(TitlePolicy, _)| &policy.name);
        let page = home.store.policies(PAGE_MAX, after).await.map_err(Failure::environment)?;
        if page.is_empty() {
            break;
        }
        own.extend(page);
    }
    let own = own.iter().map(|(policy, updated)| (policy, Some(*updated)));
    let all: Vec<_> =
        TitlePolicy::built_ins().into_iter().map(|policy| (policy, None)).chain(own).collect();
    let rows: Vec<_> = all
        .iter()
        .map(|(policy, updated)| {
            serde_json::json!({
                "name": policy.name,
                "built_in": updated.is_none(),
                "updated_at": updated,
                "policy": policy,
            })
        })
        .collect();
    answer.print(&serde_json::json!({ "policies": rows }), |_| {
        all.iter().map(|(policy, updated)| line(policy, updated.is_none())).collect()
    });
    Ok(())
}

fn line(policy: &TitlePolicy, is_built_in: bool) -> String {
    let levels = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3].map(|level| {
        let highest = policy.levels.highest(level);
        format!("{level} {:<5}", highest.map_or("none", model::TrackClass::name))
    });
    let whose = if is_built_in { "built in" } else { "" };
    format!("{:<24} {} {whose}\n", policy.name, levels.join(" "))
}

async fn show(home: &Home, named: &Named, answer: Answer) -> Result<(), Failure> {
    let policy = known(home, &named.name).await?;
    answer.print(&policy, TitlePolicy::to_toml);
    Ok(())
}

async fn change(home: &Home, set: &Set, answer: Answer) -> Result<(), Failure> {
    let name = name(&set.name)?;
    let (text, from) = document(set).map_err(Failure::Environment)?;
    let policy = TitlePolicy::parse(name, &text).context(from).map_err(Failure::Refused)?;
    home.vault.set_policy(&policy, home.clock.now()).await.map_err(failure)?;
    answer.print(&policy, |policy| format!("{} is set", policy.name));
    Ok(())
}

/// The document, and where it is from. Read no further than a document may be long, and a byte.
fn document(set: &Set) -> anyhow::Result<(String, String)> {
    let limit = u64::try_from(MAX_POLICY_BYTES)?.saturating_add(1);
    let mut text = String::new();
    match &set.file {
        Some(path) => {
            let from = path.display().to_string();
            let file = std::fs::File::open(path).with_context(|| from.clone())?;
            file.take(limit).read_to_string(&mut text).with_context(|| from.clone())?;
            Ok((text, from))
        }
        None => {
            std::io::stdin().take(limit).read_to_string(&mut text).context("standard input")?;
            Ok((text, "standard input".to_owned()))
        }
    }
}

async fn remove(home: &Home, named: &Named, answer: Answer) -> Result<(), Failure> {
    let name = name(&named.name)?;
    home.vault.remove_policy(&name, home.clock.now()).await.map_err(failure)?;
    answer.print(&serde_json::json!({"name": name, "removed": true}), |_| {
        format!("{name} is removed")
    });
    Ok(())
}

async fn give(home: &Home, assign: &Assign, answer: Answer) -> Result<(), Failure> {
    let (name, title) = (name(&assign.name)?, content(&assign.content)?);
    home.vault.assign_policy(&title, &name, home.clock.now()).await.map_err(failure)?;
    answer.print(&serde_json::json!({"content_id": title, "policy": name}), |_| {
        format!("{title} has the policy {name}")
    });
    Ok(())
}

async fn known(home: &Home, text: &str) -> Result<TitlePolicy, Failure> {
    let name = name(text)?;
    let policy = home.store.policy(&name).await.map_err(Failure::environment)?;
    policy.ok_or_else(|| failure(PolicyRefused::NoPolicy(name)))
}

fn name(text: &str) -> Result<PolicyName, Failure> {
    PolicyName::parse(text).context("the policy's name").map_err(Failure::Environment)
}

fn content(text: &str) -> Result<ContentId, Failure> {
    ContentId::parse(text).context("--content").map_err(Failure::Environment)
}

/// A refusal is an answer; a store or an audit that does not work is not.
pub fn failure(refused: PolicyRefused) -> Failure {
    match refused {
        PolicyRefused::Store(StoreError::Conflict) => Failure::refused(refused),
        PolicyRefused::Store(_) | PolicyRefused::Audit(_) => Failure::environment(refused),
        PolicyRefused::BuiltIn(_)
        | PolicyRefused::NoPolicy(_)
        | PolicyRefused::NoTitle(_)
        | PolicyRefused::InUse { .. } => Failure::refused(refused),
    }
}
