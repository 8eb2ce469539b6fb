//! `keys rotate-root`: a new version of the root key, and the KEKs under it.

use crate::command::Failure;
use crate::screen::Answer;
use clap::Args;
use keys::kms::RootKey;
use server::Home;
use server::vault::NewVersion;

/// Arguments of `keys rotate-root`.
#[derive(Args)]
pub struct RotateRoot {
    /// Make no version: wrap under the newest there is. Ends a run that was cut short, and moves
    /// KEKs after a KMS has rotated its key.
    #[arg(long)]
    only_rewrap: bool,
}

/// Rotates. Services that run take up the new version by themselves.
pub async fn rotate(home: &Home, rotate: &RotateRoot, answer: Answer) -> Result<(), Failure> {
    let new_version = if rotate.only_rewrap { NewVersion::Keep } else { NewVersion::Make };
    let done = home.vault.rotate_root(new_version, home.clock.now()).await;
    let done = done.map_err(Failure::environment)?;
    let version = match done.root_key {
        RootKey::Versioned { version, .. } => Some(version),
        RootKey::RotatesItself => None,
    };
    let said = serde_json::json!({
        "root_key": home.vault.root_key(), "version": version,
        "moved": done.moved, "broken": done.broken,
    });
    answer.print(&said, |_| {
        let version = version.map_or_else(
            || "the KMS rotates its key by itself".to_owned(),
            |version| format!("root key version {version}"),
        );
        format!("{version}\n{} KEKs wrapped anew\n", done.moved)
    });
    match done.broken {
        0 => Ok(()),
        broken => Err(Failure::Refused(anyhow::anyhow!(
            "{broken} KEKs do not open (key_integrity) and stay as they are"
        ))),
    }
}
