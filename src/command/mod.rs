//! The command line: one file per command.
//!
//! Exit codes: 0 yes or done, 1 no or a failed check, 2 wrong use or environment.

mod account;
mod admin_token;
mod audit_leaks;
mod bench;
mod bound;
mod cdm_process;
mod cdn;
mod credentials;
mod demo;
mod device;
mod explain;
mod inspect;
mod keys;
mod license_url;
mod package;
mod plan;
mod play;
mod playback;
mod policy;
mod serve;
mod shell;
mod source;
mod title;

use crate::core_dumps;
use crate::screen::Answer;
use clap::{Parser, Subcommand};
use server::config::Mode;
use server::{Config, Home};
use std::ffi::OsString;
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};

/// Content protection for a streaming service: package, keep keys, decide, license, deliver.
#[derive(Parser)]
#[command(name = "strongroom", version, about, max_term_width = 100)]
pub struct Line {
    /// Answer with one JSON document.
    #[arg(long, global = true)]
    json: bool,
    /// Settings (TOML); `STRONGROOM_*` variables override them.
    #[arg(long, global = true, value_name = "FILE", env = "STRONGROOM_CONFIG")]
    config: Option<PathBuf>,
    /// Home of the embedded stores: database, media, secrets.
    #[arg(long, global = true, value_name = "DIR", env = "STRONGROOM_DATA")]
    data: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Subcommand)]
pub enum Command {
    /// Show the main job from nothing: package two titles, serve them, print the sign-ins.
    Demo(demo::Arguments),
    /// Package and encrypt video; verifies its own output.
    Package(package::Arguments),
    /// Show boxes, keys ids and protection of a file, or what a manifest offers.
    Inspect(inspect::Arguments),
    /// Play a package with the reference CDM, to the checksum of each frame.
    Play(play::Arguments),
    /// Run the service.
    Serve(serve::Arguments),
    /// List, show, import, rotate, rewrap and block keys; verify the audit. Never prints a key.
    #[command(subcommand)]
    Keys(keys::Arguments),
    /// Import, list and remove credentials of DRM systems; make test credentials.
    #[command(subcommand)]
    Credentials(credentials::Arguments),
    /// Add and change accounts.
    #[command(subcommand)]
    Account(account::Arguments),
    /// List and remove the devices of accounts.
    #[command(subcommand)]
    Device(device::Arguments),
    /// Add and change plans.
    #[command(subcommand)]
    Plan(plan::Arguments),
    /// List, change, assign and test policies: who gets which keys, under which terms.
    #[command(subcommand)]
    Policy(policy::Arguments),
    /// Show a playback, and what its player told: logs and events.
    #[command(subcommand)]
    Playback(playback::Arguments),
    /// Add, publish and list titles.
    #[command(subcommand)]
    Title(title::Arguments),
    /// List CDNs and sign URLs as the running service would.
    #[command(subcommand)]
    Cdn(cdn::Arguments),
    /// Print a license URL as the running service would mint it.
    LicenseUrl(license_url::Arguments),
    /// Print a token for the vault's routes: key exchange and operation.
    AdminToken(admin_token::Arguments),
    /// Say why a request was allowed or denied: every rule, its input and its result.
    Explain(explain::Arguments),
    /// Search files for content keys, service secrets and tokens that never expire.
    AuditLeaks(audit_leaks::Arguments),
    /// Measure packaging, licensing and key wrapping against named yardsticks.
    #[command(subcommand)]
    Bench(bench::Arguments),
    /// Print the OpenAPI 3.1 document of the HTTP surface.
    Openapi,
    /// Print a completion script for a shell.
    Completions(shell::Arguments),
    /// Print the manual page.
    Man,
    /// Run one program and say what it cost; `bench` runs itself so.
    #[command(name = crate::measure::METER, hide = true)]
    MeasureOne {
        /// The program and its arguments, which are none of ours even where they look so.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        line: Vec<OsString>,
    },
    /// Be the CDM of the `play` that started this.
    #[command(name = cdm_process::NAME, hide = true)]
    CdmProcess(cdm_process::Arguments),
    /// Become another program that ends with its parent.
    #[command(name = bound::NAME, hide = true)]
    RunBound {
        /// The parent's process id.
        parent: u32,
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        line: Vec<OsString>,
    },
}

impl Command {
    /// Whether the command stays and serves, so that its log is worth showing.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Serve(_))
    }

    /// Runs the command line.
    pub fn run(line: Line) -> Result<(), Failure> {
        let answer = if line.json { Answer::Json } else { Answer::Text };
        let place = Place { config: line.config, data: line.data };
        match line.command {
            Self::Demo(arguments) => demo::run(arguments, &place, answer),
            Self::Package(arguments) => package::run(arguments, &place, answer),
            Self::Inspect(arguments) => inspect::run(arguments, &place, answer),
            Self::Play(arguments) => play::run(&arguments, &place, answer),
            Self::CdmProcess(arguments) => cdm_process::run(&arguments),
            Self::Serve(arguments) => serve::run(arguments, &place),
            Self::Keys(arguments) => keys::run(arguments, &place, answer),
            Self::Credentials(arguments) => credentials::run(arguments, &place, answer),
            Self::Account(arguments) => account::run(arguments, &place, answer),
            Self::Device(arguments) => device::run(arguments, &place, answer),
            Self::Plan(arguments) => plan::run(arguments, &place, answer),
            Self::Policy(arguments) => policy::run(arguments, &place, answer),
            Self::Playback(arguments) => playback::run(arguments, &place, answer),
            Self::Title(arguments) => title::run(arguments, &place, answer),
            Self::Cdn(arguments) => cdn::run(arguments, &place, answer),
            Self::LicenseUrl(arguments) => license_url::run(arguments, &place, answer),
            Self::AdminToken(arguments) => admin_token::run(arguments, &place, answer),
            Self::Explain(arguments) => explain::run(&arguments, &place, answer),
            Self::AuditLeaks(arguments) => audit_leaks::run(arguments, &place, answer),
            Self::Bench(arguments) => bench::run(arguments, &place, answer),
            Self::Openapi => shell::openapi(),
            Self::Completions(arguments) => shell::completions(&arguments),
            Self::Man => shell::man(),
            Self::RunBound { parent, line } => bound::run(parent, &line),
            Self::MeasureOne { line } => crate::measure::meter(&line).map_err(Failure::Refused),
        }
    }
}

/// Where a command works: its settings file and its data folder.
pub struct Place {
    config: Option<PathBuf>,
    data: Option<PathBuf>,
}

impl Place {
    /// Whether there is a data folder, so that a command that can do without makes none.
    pub fn has_data(&self) -> Result<bool, Failure> {
        Ok(self.config()?.data.exists())
    }

    /// Reads the settings; the data folder of the command line wins. In production nobody looks
    /// into this process from then on.
    pub fn config(&self) -> Result<Config, Failure> {
        let config = Config::load(self.config.as_deref(), self.data.as_deref());
        let config = config.map_err(Failure::environment)?;
        if config.mode == Mode::Production {
            core_dumps::shut().map_err(Failure::environment)?;
        }
        Ok(config)
    }

    /// Opens the home of the stores, made on first use.
    pub async fn home(&self) -> Result<Home, Failure> {
        Home::open(&self.config()?).await.map_err(Failure::environment)
    }
}

/// Why a command did not do what it was asked.
pub enum Failure {
    /// The answer is no, or a check failed: exit 1.
    Refused(anyhow::Error),
    /// Wrong use, or something around us is missing or broken: exit 2.
    Environment(anyhow::Error),
}

impl Failure {
    /// A refusal, from any error.
    pub fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::Refused(error.into())
    }

    /// A fault of use or environment, from any error.
    pub fn environment(error: impl Into<anyhow::Error>) -> Self {
        Self::Environment(error.into())
    }

    /// The error, whatever its blame.
    pub const fn error(&self) -> &anyhow::Error {
        let (Self::Refused(error) | Self::Environment(error)) = self;
        error
    }

    /// The error, whatever its blame.
    #[must_use]
    pub fn into_error(self) -> anyhow::Error {
        let (Self::Refused(error) | Self::Environment(error)) = self;
        error
    }

    /// Prints the cause chain to standard error.
    pub fn print(&self) {
        let (Self::Refused(error) | Self::Environment(error)) = self;
        eprintln!("strongroom: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("  because: {cause}");
        }
    }

    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Environment(_) => 2,
        }
    }
}

/// Runs a command's asynchronous part.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime()?.block_on(work)
}

/// What drives the network, for a command that waits for it at more than one place.
fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().build().map_err(Failure::environment)
}
