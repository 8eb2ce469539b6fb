//! Widevine in the demo: a root of its own with a device of each level, made on the first run, so
//! that the reference player plays its titles by that protocol too.

use crate::command::Failure;
use crate::command::credentials::test_root;
use anyhow::Context as _;
use server::Home;
use server::vault::WidevineFiles;
use std::path::{Path, PathBuf};

/// The folder in the demo's data.
const FOLDER: &str = "test-root";

/// The devices' folder, for `play --device`. A second run changes nothing.
pub async fn bring(home: &Home) -> Result<PathBuf, Failure> {
    let folder = home.config.data.join(FOLDER);
    make(&folder).map_err(Failure::Environment)?;
    let widevine = folder.join("widevine");
    let known = home.vault.credentials().await.map_err(Failure::environment)?;
    if known.is_empty() {
        let files = WidevineFiles::read(&widevine).map_err(Failure::environment)?;
        let import = home.vault.import_widevine(files, home.clock.now());
        import.await.map_err(Failure::environment)?;
    }
    Ok(widevine)
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
