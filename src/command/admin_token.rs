//! `admin-token`: a credential for the vault's routes.

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use model::ContentId;
use playback::{ContentLimit, Scope};

/// Arguments of `admin-token`.
#[derive(Args)]
pub struct Arguments {
    /// What its holder may do: ask for keys by SPEKE, by CPIX alone, change keys, operate.
    #[arg(
        long,
        required = true,
        value_name = "S,…",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Scope::ALL.map(Scope::name))
            .try_map(|name| Scope::parse(&name).ok_or("no such scope"))
    )]
    scope: Vec<Scope>,
    /// Titles it is for; every title when absent.
    #[arg(long, value_name = "ID", num_args = 1..)]
    content: Vec<String>,
    /// How long it counts, at most 8784 (366 days).
    #[arg(long, value_name = "N", default_value_t = 24)]
    hours: u32,
}

/// Prints the token alone. It is not kept: who loses it makes another one.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let titles: Result<Vec<ContentId>, _> =
        arguments.content.iter().map(|id| ContentId::parse(id)).collect();
    let titles = titles.context("--content").map_err(Failure::Environment)?;
    let names: Vec<&str> = arguments.scope.iter().copied().map(Scope::name).collect();
    let content = match titles.as_slice() {
        [] => ContentLimit::Every,
        _ => ContentLimit::Only(titles.clone()),
    };
    block_on(async {
        let home = place.home().await?;
        let scopes = arguments.scope.iter().copied().collect();
        let (token, text) = home
            .mint_vault_token(scopes, content, arguments.hours)
            .map_err(|error| Failure::Environment(anyhow!("admin-token: {error}")))?;
        let said = serde_json::json!({
            "token": text,
            "id": token.id,
            "scopes": names,
            "content": titles,
            "expires_at": token.expires,
        });
        answer.print(&said, |_| text.clone());
        Ok(())
    })
}
