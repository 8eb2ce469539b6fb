//! `cargo xtask fuzz`: every fuzz target for a while.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::runner::{self, Kind, Tally};
use crate::{place, step};

const NAME: &str = "cargo-fuzz";
/// The last one for the Rust version that CONTRIBUTING.md asks for.
const VERSION: &str = "0.13.2";
/// What libFuzzer writes before the number of inputs it ran.
const EXECUTED: &str = "stat::number_of_executed_units:";

/// Runs every target for `--seconds` each.
pub fn run(mut arguments: Arguments) -> Result<()> {
    let seconds = arguments.number("--seconds")?.unwrap_or(60);
    arguments.finish()?;
    match every_target(seconds)?.failed {
        0 => Ok(()),
        failed => bail!("{failed} fuzz targets failed; fuzz/artifacts holds the inputs"),
    }
}

/// Fuzzes each target of `fuzz/fuzz_targets`; a crash is a failed one.
pub fn every_target(seconds: u32) -> Result<Tally> {
    bring()?;
    let mut build = fuzz("build");
    let mut tally = runner::run("build the fuzz targets", Kind::Check, &mut build);
    if tally.failed > 0 {
        return Ok(tally);
    }
    let (targets, mut executions) = (targets()?, 0_u64);
    for target in &targets {
        // What the fuzzer finds interesting goes to the first folder; the second is committed.
        let found = place::target().join("fuzz-corpus").join(target);
        std::fs::create_dir_all(&found)?;
        let mut command = fuzz("run");
        command.arg(target).arg(found).arg(place::root().join("fuzz/corpus").join(target));
        command.args(["--", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        command.arg(format!("-max_total_time={seconds}"));
        let name = format!("fuzz {target}");
        let end = runner::run(&name, Kind::Check, &mut command);
        tally.add(if end.failed == 0 { Tally { passed: 1, failed: 0 } } else { end });
        let log = std::fs::read_to_string(runner::log(&name)).context("read the fuzzer's log")?;
        executions = executions.saturating_add(executed(&log));
    }
    println!("{executions} executions over {} targets", targets.len());
    Ok(tally)
}

/// Builds cargo-fuzz once, into `target/tools`.
fn bring() -> Result<()> {
    if place::tools().join("bin").join(NAME).is_file() {
        return Ok(());
    }
    let mut command = place::cargo();
    command.args(["install", NAME, "--version", VERSION, "--locked", "--quiet", "--root"]);
    command.arg(place::tools());
    step::run(
        &format!("build {NAME} {VERSION} (once, a minute)"),
        &mut command,
        "look at the network and at the free space on this disk (`df -h .`)",
    )
}

/// A command of cargo-fuzz.
fn fuzz(word: &str) -> Command {
    let mut command = Command::new(place::tools().join("bin").join(NAME));
    command.current_dir(place::root()).args(["fuzz", word]);
    // The sanitizers are unstable flags, which the stable compiler takes only so.
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO");
    command
}

/// How many inputs a run of the fuzzer tried, by its closing words.
fn executed(log: &str) -> u64 {
    let lines = log.lines().filter_map(|line| line.strip_prefix(EXECUTED));
    lines.filter_map(|number| number.trim().parse::<u64>().ok()).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_words_say_how_many_inputs_ran() {
        let log = "#4 DONE\nstat::number_of_executed_units: 4711\nstat::new_units_added: 2\n";
        assert_eq!(executed(log), 4711);
        assert_eq!(executed("no word of it"), 0);
    }
}
