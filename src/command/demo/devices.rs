//! Widevine, PlayReady and FairPlay in the demo: roots of its own with their devices, made on the
//! first run, so that the reference player plays its titles by those protocols too.

use crate::command::Failure;
use crate::command::credentials::test_root;
use anyhow::Context as _;
use model::Dialect;
use server::Home;
use server::vault::{FairPlayFiles, PlayReadyFiles, WidevineFiles};
use std::path::{Path, PathBuf};

/// The folder in the demo's data.
const FOLDER: &str = "test-root";

/// The folder of the roots; of each system below it, one for `play --device`. A second run changes
/// nothing; a system that an older demo did not know has no folder there, and stays away.
pub async fn bring(home: &Home) -> Result<PathBuf, Failure> {
    let folder = home.config.data.join(FOLDER);
    make(&folder).map_err(Failure::Environment)?;
    let (vault, now) = (&home.vault, home.clock.now());
    let known = vault.credentials().await.map_err(Failure::environment)?;
    for dialect in [Dialect::Widevine, Dialect::PlayReady, Dialect::FairPlay] {
        let own = folder.join(dialect.name());
        if known.iter().any(|row| row.dialect == dialect) || !own.is_dir() {
            continue;
        }
        let imported = match dialect {
            Dialect::ClearKey => continue,
            Dialect::Widevine => {
                let files = WidevineFiles::read(&own).map_err(Failure::environment)?;
                vault.import_widevine(files, now).await
            }
            Dialect::PlayReady => {
                let files = PlayReadyFiles::read(&own).map_err(Failure::environment)?;
                vault.import_playready(files, now).await
            }
            Dialect::FairPlay => {
                let files = FairPlayFiles::read(&own).map_err(Failure::environment)?;
                vault.import_fairplay(files, now).await
            }
        };
        imported.map_err(Failure::environment)?;
    }
    Ok(folder)
}

/// Written aside, so that a demo that ended meanwhile leaves no half of it.
fn make(folder: &Path) -> anyhow::Result<()> {
    if folder.try_exists()? {
        return Ok(());
    }
    let aside = folder.with_extension("part");
    if aside.try_exists()? {
        std::fs::remove_dir_all(&aside)?;
    }
    test_root::write(&aside, "strongroom.demo")?;
    std::fs::rename(&aside, folder).with_context(|| folder.display().to_string())
}
