//! `keys rewrap`: every key to the newest KEK of its category, with a progress bar.

use super::category;
use crate::command::Failure;
use crate::screen::{Answer, count_bar};
use clap::Args;
use server::Home;
use server::vault::KekStatus;

/// Arguments of `keys rewrap`.
#[derive(Args)]
pub struct Rewrap {
    /// The content category; every one when absent.
    category: Option<String>,
}

/// Wraps anew. Cut short and started again, it goes on where it was.
pub async fn run(home: &Home, rewrap: &Rewrap, answer: Answer) -> Result<(), Failure> {
    let only = rewrap.category.as_deref().map(category).transpose()?;
    let keks = home.vault.keks(only.as_ref()).await.map_err(Failure::environment)?;
    if keks.is_empty() && only.is_some() {
        return Err(Failure::Refused(anyhow::anyhow!("there is no such category with keys")));
    }
    let bar = count_bar("rewrap", keks.iter().map(KekStatus::pending).sum());
    let done = home.vault.rewrap(only.as_ref(), None, &home.clock, |_, moved| bar.inc(moved)).await;
    bar.finish_and_clear();
    let report = done.map_err(Failure::environment)?;
    let retired: Vec<_> = report
        .retired
        .iter()
        .map(|(category, version)| {
            serde_json::json!({"category": category.as_str(), "version": version.0})
        })
        .collect();
    let said = serde_json::json!({
        "moved": report.moved, "broken": report.broken, "retired": retired,
    });
    answer.print(&said, |_| {
        let retired = report.retired.iter();
        let retired =
            retired.map(|(category, version)| format!("{category} v{} retired\n", version.0));
        format!("{} keys wrapped anew\n{}", report.moved, retired.collect::<String>())
    });
    match report.broken {
        0 => Ok(()),
        broken => Err(Failure::Refused(anyhow::anyhow!(
            "{broken} keys do not open (key_integrity) and stay under their old KEK"
        ))),
    }
}
