//! `keys`: the key hierarchy as an operator sees it. No command prints a key.

mod audit;
mod compromise;
mod export;
mod keks;
mod list;
mod rewrap;
mod root;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::CategoryName;
use server::Home;
use std::path::PathBuf;

/// What to do with keys.
#[derive(Subcommand)]
pub enum Arguments {
    /// List content keys, KEKs, or titles that wait to be packaged anew; never the keys.
    List(list::List),
    /// Show one content key's row, or the KEKs of a category; never the key.
    Show(list::Show),
    /// Make a new KEK version of a category; new content keys use it at once.
    Rotate(keks::Rotate),
    /// Make a new version of the root key, and wrap every KEK anew under it.
    RotateRoot(root::RotateRoot),
    /// Wrap content keys anew under the newest KEK of their category.
    Rewrap(rewrap::Rewrap),
    /// Say that a KEK or a content key is known to strangers: blocks its licenses at once.
    Compromise(compromise::Compromise),
    /// Destroy the ciphertext of a KEK that is retired or compromised and wraps nothing.
    Destroy(keks::Destroy),
    /// Take over raw keys from a JSON list.
    Import(Import),
    /// Make the key by which an operator approves a break-glass export.
    Operator(export::NewOperator),
    /// Approve one break-glass export, as one operator.
    Approve(export::Approve),
    /// Break-glass: a title's keys, encrypted for the offline certificate of the settings.
    Export(export::Export),
    /// Check the hash chain of the audit from its first row to its last, and its checkpoints.
    VerifyAudit(audit::Verify),
    /// Print a signed checkpoint of the audit, to keep where this machine cannot reach it.
    Checkpoint,
}

/// Arguments of `keys import`.
#[derive(Args)]
pub struct Import {
    /// JSON list of objects with `kid`, `key`, `content_id`, and optionally `iv`, `label`, `scheme`.
    file: PathBuf,
}

/// Runs a `keys` command.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match &arguments {
        Arguments::Operator(new) => return export::operator(new, answer),
        Arguments::Approve(approve) => return export::approve(approve, answer),
        _ => {}
    }
    block_on(async {
        let home = place.home().await?;
        match arguments {
            Arguments::Operator(_) | Arguments::Approve(_) => Ok(()),
            Arguments::List(list) => list::run(&home, list, answer).await,
            Arguments::Show(show) => list::show(&home, &show, answer).await,
            Arguments::Rotate(rotate) => keks::rotate(&home, &rotate, answer).await,
            Arguments::RotateRoot(rotate) => root::rotate(&home, &rotate, answer).await,
            Arguments::Rewrap(rewrap) => rewrap::run(&home, &rewrap, answer).await,
            Arguments::Compromise(which) => compromise::run(&home, &which, answer).await,
            Arguments::Destroy(destroy) => keks::destroy(&home, &destroy, answer).await,
            Arguments::Import(import) => import_keys(&home, &import, answer).await,
            Arguments::Export(wish) => export::export(&home, &wish, answer).await,
            Arguments::VerifyAudit(verify) => audit::verify(&home, &verify, answer).await,
            Arguments::Checkpoint => audit::checkpoint(&home, answer).await,
        }
    })
}

/// Reads a category's name.
fn category(name: &str) -> Result<CategoryName, Failure> {
    CategoryName::parse(name).context("CATEGORY").map_err(Failure::Environment)
}

async fn import_keys(home: &Home, import: &Import, answer: Answer) -> Result<(), Failure> {
    let file = || import.file.display().to_string();
    let text = std::fs::read(&import.file).with_context(file).map_err(Failure::Environment)?;
    let keys = keys::key_file::parse(&text).with_context(file).map_err(Failure::Refused)?;
    let imported = home.vault.import_keys(keys, home.clock.now()).await;
    let imported = imported.map_err(Failure::refused)?;
    let said = serde_json::json!({"added": imported.added, "known": imported.known});
    answer.print(&said, |_| {
        format!("{} keys added, {} were there already", imported.added, imported.known)
    });
    Ok(())
}
