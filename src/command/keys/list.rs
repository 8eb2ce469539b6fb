//! `keys list` and `keys show`.

use super::{category, keks};
use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use model::{ContentId, KeyId, Scheme, Timestamp, TrackClass, WrappedKey};
use serde::Serialize;
use server::Home;
use std::collections::BTreeMap;
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
    /// The period that it serves; absent: it does not rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u32>,
    /// When that is, where it has a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    begins: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<Timestamp>,
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
        let span = key.period.and_then(|period| period.span);
        Self {
            period: key.period.map(|period| period.index),
            begins: span.map(|span| span.begins),
            ends: span.map(|span| span.ends),
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
        let period = self.period.map_or_else(String::new, |period| format!("  period {period}"));
        let under = format!("{} v{}  {}{period}", self.category, self.kek_version, self.state);
        let of = (self.track_class, self.scheme);
        line(&self.kid.to_string(), &self.content_id, of, &under)
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
            add_keys(home, &id, &mut rows).await?;
        }
        None => {
            let mut after = None;
            loop {
                let titles = home.store.titles(PAGE_MAX, after.as_ref()).await;
                let titles = titles.map_err(Failure::environment)?;
                let Some(last) = titles.last() else { break };
                after = Some(last.content_id.clone());
                for title in &titles {
                    add_keys(home, &title.content_id, &mut rows).await?;
                }
            }
        }
    }
    answer.print(&serde_json::json!({ "keys": rows }), |_| lines(&rows));
    Ok(())
}

/// The title's keys, page by page.
async fn add_keys(home: &Home, id: &ContentId, rows: &mut Vec<Row>) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = home.store.keys_page(id, after).await.map_err(Failure::environment)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.kid);
        rows.extend(page.into_iter().map(Row::of));
    }
}

/// A line for each key; those that change, of which a channel has tens of thousands, have one
/// line together for each use and state.
fn lines(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut groups: BTreeMap<_, (usize, u32, u32)> = BTreeMap::new();
    for row in rows {
        let Some(index) = row.period else {
            text += &row.line();
            continue;
        };
        let group = (&row.content_id, row.track_class, row.scheme, row.category.as_str());
        let group = groups.entry((group, row.kek_version, row.state)).or_insert((0, index, index));
        *group = (group.0 + 1, group.1.min(index), group.2.max(index));
    }
    for (((id, class, scheme, category), version, state), (keys, first, last)) in groups {
        let what = format!("{keys} keys, periods {first}-{last}");
        text += &line(&what, id, (class, scheme), &format!("{category} v{version}  {state}"));
    }
    text
}

fn line(
    what: &str,
    id: &ContentId,
    (class, scheme): (Option<TrackClass>, Option<Scheme>),
    under: &str,
) -> String {
    let class = class.map_or("any", TrackClass::name);
    format!("{what:<32}  {id:<24} {class:<6} {:<5} {under}\n", scheme.map_or("any", Scheme::name))
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
