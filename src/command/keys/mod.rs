//! `keys`: the key hierarchy as an operator sees it. No command prints a key.

mod audit;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::{ContentId, KeyId, Scheme, Timestamp, TrackClass, WrappedKey};
use serde::Serialize;
use server::Home;
use std::path::PathBuf;
use store::PAGE_MAX;

/// What to do with keys.
#[derive(Subcommand)]
pub enum Arguments {
    /// List content keys: ids, use, wrapping; never the keys.
    List(List),
    /// Show one content key's row; never the key.
    Show(Show),
    /// Take over raw keys from a JSON list.
    Import(Import),
    /// Check the hash chain of the audit from its first row to its last, and its checkpoints.
    VerifyAudit(audit::Verify),
    /// Print a signed checkpoint of the audit, to keep where this machine cannot reach it.
    Checkpoint,
}

/// Arguments of `keys list`.
#[derive(Args)]
pub struct List {
    /// Only this title's.
    #[arg(long, value_name = "ID")]
    content: Option<String>,
}

/// Arguments of `keys show`.
#[derive(Args)]
pub struct Show {
    /// The key's id: 32 hex digits, or a UUID.
    kid: String,
}

/// Arguments of `keys import`.
#[derive(Args)]
pub struct Import {
    /// JSON list of objects with `kid`, `key`, `content_id`, and optionally `iv`, `label`, `scheme`.
    file: PathBuf,
}

/// What may be said about a key.
#[derive(Serialize)]
struct Row {
    kid: KeyId,
    content_id: ContentId,
    /// Absent: every class.
    track_class: Option<TrackClass>,
    /// Absent: both.
    scheme: Option<Scheme>,
    category: String,
    kek_version: u32,
    state: &'static str,
    created: Timestamp,
}

/// A key and what its wrapping hangs from.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    /// Name of the back end.
    root_key: &'static str,
}

impl Row {
    fn of(key: WrappedKey) -> Self {
        Self {
            kid: key.kid,
            content_id: key.content_id,
            track_class: key.track_class,
            scheme: key.scheme,
            category: key.category.to_string(),
            kek_version: key.kek_version.0,
            state: key.state.name(),
            created: key.created,
        }
    }

    fn line(&self) -> String {
        format!(
            "{}  {:<24} {:<6} {:<5} {} v{}  {}\n",
            self.kid,
            self.content_id,
            self.track_class.map_or("any", TrackClass::name),
            self.scheme.map_or("any", Scheme::name),
            self.category,
            self.kek_version,
            self.state
        )
    }
}

/// Runs a `keys` command.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    block_on(async {
        let home = place.home().await?;
        match arguments {
            Arguments::List(list) => list_keys(&home, list, answer).await,
            Arguments::Show(show) => show_key(&home, &show.kid, answer).await,
            Arguments::Import(import) => import_keys(&home, &import, answer).await,
            Arguments::VerifyAudit(verify) => audit::verify(&home, &verify, answer).await,
            Arguments::Checkpoint => audit::checkpoint(&home, answer).await,
        }
    })
}

async fn list_keys(home: &Home, list: List, answer: Answer) -> Result<(), Failure> {
    let mut rows = vec![];
    match list.content {
        Some(id) => {
            let id = ContentId::parse(&id).context("--content").map_err(Failure::Environment)?;
            rows.extend(home.store.keys_of(&id).await.map_err(Failure::environment)?);
        }
        None => {
            let mut after = None;
            loop {
                let titles = home.store.titles(PAGE_MAX, after.as_ref()).await;
                let titles = titles.map_err(Failure::environment)?;
                let Some(last) = titles.last() else { break };
                after = Some(last.content_id.clone());
                for title in &titles {
                    let keys = home.store.keys_of(&title.content_id).await;
                    rows.extend(keys.map_err(Failure::environment)?);
                }
            }
        }
    }
    let rows: Vec<Row> = rows.into_iter().map(Row::of).collect();
    answer.print(&serde_json::json!({ "keys": rows }), |_| rows.iter().map(Row::line).collect());
    Ok(())
}

async fn show_key(home: &Home, kid: &str, answer: Answer) -> Result<(), Failure> {
    let kid =
        KeyId::parse(kid).context("a key id is 32 hex digits").map_err(Failure::Environment)?;
    let row = home.store.key(kid).await.map_err(Failure::environment)?;
    let row = row.map(Row::of).context("no such key").map_err(Failure::Refused)?;
    let shown = Shown { row, root_key: home.vault.root_key() };
    answer.print(&shown, |shown| format!("{}root key: {}\n", shown.row.line(), shown.root_key));
    Ok(())
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
