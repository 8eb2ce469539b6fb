//! `cargo xtask fuzz`: every fuzz target for a while.

use std::process::Command;

use anyhow::{Result, bail};

use crate::arguments::Arguments;
use crate::runner::{self, Kind, Tally};
use crate::{place, step};

/// Runs every target for `--seconds` each.
pub fn run(mut arguments: Arguments) -> Result<()> {
    let seconds = arguments.number("--seconds")?.unwrap_or(60);
    arguments.finish()?;
    if !is_installed() {
        bail!("cargo-fuzz is missing\n  try: cargo install cargo-fuzz");
    }
    match every_target(seconds)?.failed {
        0 => Ok(()),
        failed => bail!("{failed} fuzz targets failed; fuzz/artifacts holds the inputs"),
    }
}

/// Whether `cargo fuzz` can run.
pub fn is_installed() -> bool {
    step::answers("cargo", &["fuzz", "--version"])
}

/// Fuzzes each target of `fuzz/fuzz_targets`; a crash is a failed one.
pub fn every_target(seconds: u32) -> Result<Tally> {
    let mut tally = Tally::default();
    for target in targets()? {
        // What the fuzzer finds interesting goes to the first folder; the second is committed.
        let found = place::target().join("fuzz-corpus").join(&target);
        std::fs::create_dir_all(&found)?;
        let mut command = Command::new("cargo");
        command.current_dir(place::root()).args(["fuzz", "run", &target]).arg(found);
        command.arg(place::root().join("fuzz/corpus").join(&target));
        // The sanitizers are unstable flags, which the stable compiler takes only so.
        command.env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO");
        command.args(["--", "-rss_limit_mb=2048", &format!("-max_total_time={seconds}")]);
        let end = runner::run(&format!("fuzz {target}"), Kind::Check, &mut command);
        tally.add(if end.failed == 0 { Tally { passed: 1, failed: 0 } } else { end });
    }
    Ok(tally)
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place::root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
