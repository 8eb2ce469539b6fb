//! `cargo xtask test`: everything that proves the repository, with one closing line.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::postgres::Postgres;
use crate::runner::{self, Kind, Tally};
use crate::stage::Stage;
use crate::{content, fuzz, machine, place, python, region, s3, step, web, wheel};

/// Seconds for each fuzz target of the long form.
const LONG_FUZZ_S: u32 = 60;

/// Runs it all. The last line on standard output is `N passed, N failed`; the exit code is 0
/// only when nothing failed.
pub fn run(mut arguments: Arguments) -> ExitCode {
    let is_long = arguments.flag("--long");
    if let Err(error) = arguments.finish() {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let tally = everything(is_long).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        Tally { passed: 0, failed: 1 }
    });
    step::announce("done");
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn everything(is_long: bool) -> Result<Tally> {
    machine::bring(&[machine::DEMO, machine::TEST].concat())?;
    bring_toolchain()?;
    wheel::bring_peers()?;
    wheel::bring_openbao()?;
    s3::bring()?;
    python::bring()?;
    web::build()?;
    content::bring()?;
    region::bring()?;
    let postgres = Postgres::start()?;
    let house = House { postgres, is_long };
    let mut tally = house.checks();
    tally.add(house.rust_tests());
    tally.add(house.page_tests());
    if is_long {
        tally.add(fuzz::every_target(LONG_FUZZ_S)?);
    }
    Ok(tally)
}

/// A minimal Rust toolchain lacks the formatter and the linter.
fn bring_toolchain() -> Result<()> {
    if step::answers("cargo", &["fmt", "--version"])
        && step::answers("cargo", &["clippy", "--version"])
    {
        return Ok(());
    }
    step::run(
        "add the formatter and the linter to the Rust toolchain",
        Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]),
        "install rustfmt and clippy for the toolchain that `rustc --version` names",
    )
}

/// What the runners find around them.
struct House {
    postgres: Postgres,
    is_long: bool,
}

impl House {
    fn checks(&self) -> Tally {
        let mut tally = Tally::default();
        let mut check = |name: &str, command: Command| {
            tally.add(runner::run(name, Kind::Check, &mut self.furnish(command)));
        };
        check("format of the Rust code", cargo(&["fmt", "--all", "--check"]));
        let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        check("clippy", cargo(&lint));
        check("types of the pages", npm("check"));
        tally
    }

    fn rust_tests(&self) -> Tally {
        // Apart from the run, so that the log says which of the two took the time.
        let mut build = self.furnish(cargo(&["test", "--workspace", "--no-run"]));
        let built = runner::run("build everything", Kind::Check, &mut build);
        if built.failed > 0 {
            return built;
        }
        let mut tests = self.furnish(cargo(&["test", "--workspace", "--no-fail-fast"]));
        runner::run("Rust tests", Kind::Cargo, &mut tests)
    }

    fn page_tests(&self) -> Tally {
        let mut unit = self.furnish(npm("test"));
        let mut tally = runner::run("tests of the pages", Kind::Node, &mut unit);
        tally.add(self.on_stage().unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Tally { passed: 0, failed: 1 }
        }));
        tally
    }

    /// The pages in a real browser, against a running demo.
    fn on_stage(&self) -> Result<Tally> {
        let stage = Stage::open().context("start the demo for the browser tests")?;
        let mut tests = self.furnish(npm("e2e"));
        tests.env("STRONGROOM_DEMO", stage.description());
        // Some tests package titles of their own beside the demo's.
        tests.env("STRONGROOM_BINARY", place::strongroom()).env("STRONGROOM_DATA", stage.data());
        let mut tally = runner::run("browser tests", Kind::Node, &mut tests);
        if let Err(error) = stage.close() {
            eprintln!("error: {error:#}");
            tally.add(Tally { passed: 0, failed: 1 });
        }
        Ok(tally)
    }

    /// Tells a runner where the other tools are.
    fn furnish(&self, mut command: Command) -> Command {
        command.env("STRONGROOM_TEST_POSTGRES", self.postgres.url());
        command.env("STRONGROOM_PEERS", place::peers());
        command.env("STRONGROOM_TEST_S3", place::s3_server());
        if let Some(browser) = machine::chromium() {
            command.env("STRONGROOM_CHROMIUM", browser);
        }
        if self.is_long {
            command.env("STRONGROOM_LONG", "1");
        }
        command
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = place::cargo();
    command.args(arguments);
    command
}

fn npm(script: &str) -> Command {
    let mut command = web::npm();
    command.args(["run", "--silent", script]);
    command
}
