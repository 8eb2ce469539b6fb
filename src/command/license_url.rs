//! `license-url`: a license URL for curl, support and tests.

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use model::{ContentId, DeviceId, Dialect};

/// Arguments of `license-url`.
#[derive(Args)]
pub struct Arguments {
    /// The title.
    #[arg(long, value_name = "ID")]
    content: String,
    /// The account that would play it.
    #[arg(long, value_name = "NAME")]
    account: String,
    /// The device it would play on.
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// The dialect the license is asked in.
    #[arg(long, value_name = "X", value_parser = ["clearkey", "widevine", "playready", "fairplay"])]
    dialect: String,
}

/// Mints a playback token as the running service would and prints its license URL alone. Takes
/// no stream slot.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let content =
        ContentId::parse(&arguments.content).context("--content").map_err(Failure::Environment)?;
    let device = arguments.device.as_deref().map(DeviceId::parse).transpose();
    let device = device.context("--device").map_err(Failure::Environment)?;
    let dialect =
        Dialect::parse(&arguments.dialect).context("--dialect").map_err(Failure::Environment)?;
    block_on(async {
        let home = place.home().await?;
        let token = home
            .mint_playback_token(&arguments.account, &content, device)
            .await
            .map_err(Failure::refused)?;
        let url = home.license_url(&token, dialect);
        let said = serde_json::json!({"url": url, "expires_at": token.expires});
        answer.print(&said, |_| url.clone());
        Ok(())
    })
}
