//! The viewer's pages: npm's packages and the bundle in `web/dist`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Result;

use crate::{machine, place, step};

/// The folder of the pages.
pub fn folder() -> PathBuf {
    place::root().join("web")
}

/// Bundles the pages that the server embeds.
pub fn build() -> Result<()> {
    machine::bring(&[machine::Need::Certificates, machine::Need::Node])?;
    install()?;
    step::run(
        "bundle the pages",
        npm().args(["run", "--silent", "build"]),
        "read the error above; `npm ci` in web/ brings the packages anew",
    )
}

/// An npm command in the folder of the pages. Browsers come from the system, not from npm.
pub fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder()).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command
}

/// Installs the packages of the lock file, unless they are newer than it already.
fn install() -> Result<()> {
    let asked = changed(&folder().join("package-lock.json"));
    // npm writes this file last.
    let installed = changed(&folder().join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= asked {
        return Ok(());
    }
    step::run(
        "install the pages' packages",
        npm().args(["ci", "--no-audit", "--no-fund"]),
        "look at the network and at npm's settings (`npm config list`)",
    )
}

fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|file| file.modified()).ok()
}
