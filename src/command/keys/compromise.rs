//! `keys compromise`: the first step of the runbook in docs/key-custody.md.

use super::category;
use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{ArgGroup, Args};
use model::{ContentId, KekVersion, KeyId};
use server::Home;

/// Arguments of `keys compromise`.
#[derive(Args)]
#[command(group = ArgGroup::new("which").required(true).args(["version", "kid"]))]
pub struct Compromise {
    /// The content category of the KEK.
    #[arg(required_unless_present = "kid", conflicts_with = "kid")]
    category: Option<String>,
    /// The KEK version.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// One content key instead of a KEK.
    #[arg(long)]
    kid: Option<String>,
    /// Says that you know: no license carries these keys any more, and nothing takes that back.
    #[arg(long)]
    yes: bool,
}

/// Blocks, and says what it concerns.
pub async fn run(home: &Home, which: &Compromise, answer: Answer) -> Result<(), Failure> {
    which
        .yes
        .then_some(())
        .context("viewers of these titles lose their licenses at once; say --yes if they shall")
        .map_err(Failure::Environment)?;
    let now = home.clock.now();
    let titles = match (&which.category, which.version, &which.kid) {
        (Some(name), Some(version), None) => {
            let name = (category(name)?, KekVersion(version));
            home.vault.compromise_kek(&name, now).await.map_err(Failure::refused)?
        }
        (None, None, Some(kid)) => {
            let kid = KeyId::parse(kid).context("--kid").map_err(Failure::Environment)?;
            vec![home.vault.compromise_key(kid, now).await.map_err(Failure::refused)?]
        }
        _ => {
            let use_ = anyhow::anyhow!("name CATEGORY --version N, or --kid KID");
            return Err(Failure::Environment(use_));
        }
    };
    let names: Vec<&str> = titles.iter().map(ContentId::as_str).collect();
    answer.print(&serde_json::json!({"blocked": true, "titles": names}), |_| {
        let list: String = names.iter().map(|name| format!("  {name}\n")).collect();
        format!("blocked; {} titles wait to be packaged anew:\n{list}", names.len())
    });
    Ok(())
}
