//! `cargo xtask audit`: the dependencies' licenses, sources and known vulnerabilities.

use anyhow::{Result, bail};

use crate::arguments::Arguments;
use crate::{place, step};

/// Runs cargo-deny by `deny.toml`, and cargo-audit with the advisories in `--db DIR`.
///
/// Without `--db`, cargo-audit fetches the advisory database itself.
pub fn run(mut arguments: Arguments) -> Result<()> {
    let database = arguments.value("--db")?;
    arguments.finish()?;
    for tool in ["deny", "audit"] {
        if !step::answers("cargo", &[tool, "--version"]) {
            bail!("cargo-{tool} is missing\n  try: cargo install --locked cargo-{tool}");
        }
    }
    step::run(
        "check licenses, bans and sources",
        place::cargo().args([
            "deny",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]),
        "read docs of cargo-deny on the finding above; deny.toml holds our rules",
    )?;
    let mut audit = place::cargo();
    audit.arg("audit");
    if let Some(folder) = database {
        audit.args(["--no-fetch", "--db", &folder]);
    }
    step::run("check for known vulnerabilities", &mut audit, "update the crate that is named above")
}
