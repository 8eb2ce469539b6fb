//! `keys rotate`, `keys destroy`, and the table of KEKs.

use super::category;
use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use model::{CategoryName, KekState, KekVersion};
use serde::Serialize;
use server::Home;
use server::vault::KekStatus;

/// Arguments of `keys rotate`.
#[derive(Args)]
pub struct Rotate {
    /// The content category.
    category: String,
}

/// Arguments of `keys destroy`.
#[derive(Args)]
pub struct Destroy {
    /// The content category.
    category: String,
    /// The KEK version.
    #[arg(long, value_name = "N")]
    version: u32,
    /// Says that you know: old backups of its keys open no more.
    #[arg(long)]
    yes: bool,
}

/// What may be said about a KEK.
#[derive(Serialize)]
struct Row {
    category: String,
    version: u32,
    state: &'static str,
    /// Keys that hang from it.
    keys: u64,
    /// Of these, keys that must move to the newest version.
    pending: u64,
    created: model::Timestamp,
}

impl Row {
    fn of(kek: &KekStatus) -> Self {
        let state = match kek.state {
            _ if kek.is_destroyed => "destroyed",
            KekState::Active if !kek.is_newest => "superseded",
            state => state.name(),
        };
        Self {
            category: kek.category.to_string(),
            version: kek.version.0,
            state,
            keys: kek.keys,
            pending: kek.pending(),
            created: kek.created,
        }
    }

    fn line(&self) -> String {
        let Self { category, version, state, keys, pending, .. } = self;
        format!("{category:<24} v{version:<5} {state:<12} {keys:>9} keys {pending:>9} pending\n")
    }
}

/// Prints the KEKs of every category, or of one.
pub async fn print(
    home: &Home,
    only: Option<&CategoryName>,
    answer: Answer,
) -> Result<(), Failure> {
    let keks = home.vault.keks(only).await.map_err(Failure::environment)?;
    if keks.is_empty() && only.is_some() {
        return Err(Failure::Refused(anyhow::anyhow!("no such key and no such category")));
    }
    let rows: Vec<Row> = keks.iter().map(Row::of).collect();
    answer.print(&serde_json::json!({ "keks": rows }), |_| rows.iter().map(Row::line).collect());
    Ok(())
}

/// Makes a new version.
pub async fn rotate(home: &Home, rotate: &Rotate, answer: Answer) -> Result<(), Failure> {
    let category = category(&rotate.category)?;
    let made = home.vault.rotate(&category, home.clock.now()).await;
    made.map_err(Failure::refused)?;
    print(home, Some(&category), answer).await
}

/// Destroys a version.
pub async fn destroy(home: &Home, destroy: &Destroy, answer: Answer) -> Result<(), Failure> {
    let category = category(&destroy.category)?;
    destroy
        .yes
        .then_some(())
        .context("backups of keys under this version will open no more; say --yes if they may")
        .map_err(Failure::Environment)?;
    let name = (category, KekVersion(destroy.version));
    let gone = home.vault.destroy_kek(&name, home.clock.now()).await;
    gone.map_err(Failure::refused)?;
    print(home, Some(&name.0), answer).await
}
