//! `keys list` and `keys show`.

use super::{category, keks};
use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use model::{ContentId, KeyId, Scheme, Timestamp, TrackClass, WrappedKey};
use serde::Serialize;
use server::Home;
use store::{PAGE_MAX, WorkItem};

/// Arguments of `keys list`.
#[derive(Args)]
pub struct List {
    /// Only this title's.
    #[arg(long, value_name = "ID", conflicts_with_all = ["keks", "compromised"])]
    content: Option<String>,
    /// The KEKs of every category, and how many keys still wait to be wrapped anew.
    #[arg(long, conflicts_with = "compromised")]
    keks: bool,
    /// The titles that wait to be packaged anew because a key became known.
    #[arg(long)]
    compromised: bool,
}

/// Arguments of `keys show`.
#[derive(Args)]
pub struct Show {
    /// The key's id (32 hex digits, or a UUID), or a category whose KEKs to show.
    #[arg(value_name = "KID|CATEGORY")]
    what: String,
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

/// Lists.
pub async fn run(home: &Home, list: List, answer: Answer) -> Result<(), Failure> {
    if list.keks {
        return keks::print(home, None, answer).await;
    }
    if list.compromised {
        return list_waiting(home, answer).await;
    }
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

/// Titles that wait to be packaged anew.
async fn list_waiting(home: &Home, answer: Answer) -> Result<(), Failure> {
    let mut waiting: Vec<WorkItem> = vec![];
    loop {
        let after = waiting.last().map(|item| &item.content_id);
        let page = home.store.repackaging_pending(PAGE_MAX, after).await;
        let page = page.map_err(Failure::environment)?;
        if page.is_empty() {
            break;
        }
        waiting.extend(page);
    }
    let item = |item: &WorkItem| {
        serde_json::json!({
            "content_id": item.content_id, "do": "repackage", "reason": item.reason,
            "since": item.created,
        })
    };
    let said = serde_json::json!({"waiting": waiting.iter().map(item).collect::<Vec<_>>()});
    answer.print(&said, |_| {
        let line = |item: &WorkItem| {
            format!("{:<24} package anew: {}\n", item.content_id.as_str(), item.reason)
        };
        if waiting.is_empty() {
            "no title waits to be packaged anew".to_owned()
        } else {
            waiting.iter().map(line).collect()
        }
    });
    Ok(())
}

/// Shows one key, or the KEKs of a category.
pub async fn show(home: &Home, show: &Show, answer: Answer) -> Result<(), Failure> {
    // No category is called like a KID by accident: 32 hex digits.
    let Ok(kid) = KeyId::parse(&show.what) else {
        return keks::print(home, Some(&category(&show.what)?), answer).await;
    };
    let row = home.store.key(kid).await.map_err(Failure::environment)?;
    let row = row.map(Row::of).context("no such key").map_err(Failure::Refused)?;
    let shown = Shown { row, root_key: home.vault.root_key() };
    answer.print(&shown, |shown| format!("{}root key: {}\n", shown.row.line(), shown.root_key));
    Ok(())
}
