//! `keys verify-audit` and `keys checkpoint`: the audit's chain, and its signed checkpoints.

use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use server::{AuditReport, Checkpoint, Home};
use std::path::PathBuf;
use store::AuditVerdict;

/// Arguments of `keys verify-audit`.
#[derive(Args)]
pub struct Verify {
    /// Checkpoints that were kept elsewhere, one a line, as `keys checkpoint --json` prints them.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// Checks the chain; anything wrong is a refusal.
pub async fn verify(home: &Home, arguments: &Verify, answer: Answer) -> Result<(), Failure> {
    let kept = match &arguments.against {
        Some(path) => {
            let about = || path.display().to_string();
            let text =
                std::fs::read_to_string(path).with_context(about).map_err(Failure::Environment)?;
            Checkpoint::parse_lines(&text).with_context(about).map_err(Failure::Environment)?
        }
        None => vec![],
    };
    let report = home.checkpoints.verify(&kept).await.map_err(Failure::environment)?;
    let said = json!({
        "is_whole": report.is_whole(),
        "rows": rows(&report),
        "why": why(&report),
        "checkpoints": report.checkpoints,
        "signed_to_row": report.signed.map(|(row, _)| row),
        "signed_at": report.signed.map(|(_, at)| at),
        "kept_checkpoints": kept.len(),
    });
    answer.print(&said, |_| sentence(&report, kept.len()));
    if report.is_whole() {
        Ok(())
    } else {
        Err(Failure::Refused(anyhow::anyhow!("the audit chain is broken")))
    }
}

/// Signs where the chain stands, and prints it for keeping.
pub async fn checkpoint(home: &Home, answer: Answer) -> Result<(), Failure> {
    let now = home.clock.now();
    let signed = home.checkpoints.newest_or_sign(now).await.map_err(Failure::environment)?;
    let signed = signed.context("the audit has no row yet").map_err(Failure::Refused)?;
    let line = serde_json::to_string(&signed).map_err(Failure::environment)?;
    answer.print(&signed, |_| line);
    Ok(())
}

fn rows(report: &AuditReport) -> Option<u64> {
    match report.verdict {
        AuditVerdict::Whole { rows } => Some(rows),
        AuditVerdict::Broken(_) => None,
    }
}

fn why(report: &AuditReport) -> Option<String> {
    match (&report.verdict, report.unkept) {
        (AuditVerdict::Broken(row), _) => Some(row.to_string()),
        (_, Some(unkept)) => Some(unkept.to_string()),
        _ => None,
    }
}

fn sentence(report: &AuditReport, kept: usize) -> String {
    if let Some(why) = why(report) {
        return format!("chain broken: {why}");
    }
    let rows = rows(report).unwrap_or_default();
    let signed = report.signed.map_or(0, |(row, _)| row);
    let against = if kept == 0 { String::new() } else { format!(", {kept} kept ones fit") };
    format!(
        "{rows} rows, chain whole; {} checkpoints, the newest signs row {signed}{against}",
        report.checkpoints
    )
}
