//! The CDM as a process of its own (R160): the trusted environment that `play` starts beside
//! itself and speaks to over two pipes ([`cdm::protocol`]).
//!
//! It makes or reads the device's private key itself, and nobody but root looks into its memory. At L1
//! frames are decoded here too, and only their checksums leave; at L2 and L3 decrypted segments
//! leave, as DESIGN's levels have it. It ends with its parent.

mod clock;
pub mod keeping;
mod profile;
mod registration;

use super::Failure;
use super::play::Dialect;
use super::play::decoder::Decoder;
use crate::core_dumps;
use anyhow::{Context as _, anyhow};
use cdm::protocol::{self, Command, Reply};
use cdm::{Module, System};
use clap::{Args, ValueEnum};
use clock::DeviceClock;
use keeping::Keeping;
use keys::SystemEntropy;
use model::SecurityLevel;
use registration::Registration;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The hidden command's name.
pub const NAME: &str = "cdm-process";

/// Arguments of the hidden command.
#[derive(Args)]
pub struct Arguments {
    /// The level that this CDM was built as.
    #[arg(long, value_enum)]
    pub level: Level,
    /// The DRM system.
    #[arg(long, value_enum)]
    pub dialect: Dialect,
    /// The device's folder; Clear Key has none.
    #[arg(long)]
    pub profile: Option<PathBuf>,
    /// Whom the service must come from.
    #[arg(long)]
    pub root: Option<PathBuf>,
    /// Ask for a certificate where the folder holds none that is good.
    #[arg(long, requires = "profile")]
    pub register: bool,
    /// Where what outlives this process is kept, sealed.
    #[arg(long, value_name = "FILE", requires_all = ["profile", "origin"])]
    pub store: Option<PathBuf>,
    /// For whom it is kept: the app's service.
    #[arg(long, value_name = "ORIGIN", requires = "store")]
    pub origin: Option<String>,
    /// For tests: a file that says the time, seconds since 1970, read at every command. It is no
    /// way around a term that setting the system's clock is not.
    #[arg(long, value_name = "FILE")]
    pub clock_file: Option<PathBuf>,
}

/// A security level, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Keys and decoding inside the trusted environment.
    #[value(name = "L1", alias = "l1")]
    L1,
    /// Keys inside the trusted environment, decoding outside.
    #[value(name = "L2", alias = "l2")]
    L2,
    /// No trusted environment.
    #[value(name = "L3", alias = "l3")]
    L3,
}

impl Level {
    /// As in answers and folders.
    pub fn name(self) -> &'static str {
        SecurityLevel::from(self).name()
    }
}

impl From<Level> for SecurityLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::L1 => Self::L1,
            Level::L2 => Self::L2,
            Level::L3 => Self::L3,
        }
    }
}

/// Serves until the app has ended.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    core_dumps::shut().map_err(Failure::environment)?;
    serve(arguments).map_err(Failure::Environment)
}

fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let mut environment = Environment::open(arguments)?;
    let mut inside = (arguments.level == Level::L1).then(Inside::default);
    let (mut commands, mut replies) = (io::stdin().lock(), io::stdout().lock());
    while let Some((command, body)) = protocol::read(&mut commands)? {
        let (mut reply, mut body) = environment.run(command, body);
        // Nothing leaves that is not kept.
        if let Err(error) = environment.keep() {
            (reply, body) = (Reply::Refused { error: format!("{error:#}") }, vec![]);
        }
        if let Some(inside) = &mut inside {
            body = inside.keep(command, &reply, body).unwrap_or_else(|error| {
                reply = Reply::Refused { error: format!("{error:#}") };
                vec![]
            });
        }
        protocol::write(&mut replies, &reply, &body)?;
    }
    environment.end()
}

/// The CDM, its clock, and where it keeps what outlives it.
struct Environment {
    core: Core,
    clock: DeviceClock,
    keeping: Option<Keeping>,
}

/// The CDM, or what becomes one as soon as it has its certificate.
enum Core {
    Registered(Box<Module>),
    Unregistered(Registration),
}

impl Environment {
    fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let keeping = match (&arguments.store, &arguments.origin) {
            (Some(file), Some(origin)) => Some(Keeping::open(file, origin)?),
            _ => None,
        };
        let clock = DeviceClock::start(arguments.clock_file.clone());
        let core = Core::open(arguments, keeping.as_ref(), &clock)?;
        Ok(Self { core, clock, keeping })
    }

    fn run(&mut self, command: Command, body: Vec<u8>) -> (Reply, Vec<u8>) {
        let refused = |error: anyhow::Error| Reply::Refused { error: format!("{error:#}") };
        let now = match self.clock.now() {
            Ok(now) => now,
            Err(error) => return (refused(error), vec![]),
        };
        let registration = match &mut self.core {
            Core::Registered(module) => return module.run(command, body, now, &mut SystemEntropy),
            Core::Unregistered(registration) => registration,
        };
        let done = match command {
            Command::Provision => registration.ask(now).map(|body| (Reply::Provisioning, body)),
            Command::Provisioned => registration.keep(&body, now).and_then(|device| {
                self.core = Core::of(System::Widevine(Box::new(device)), self.keeping.as_ref())?;
                Ok((Reply::Done, vec![]))
            }),
            _ => Err(anyhow!("this CDM has no certificate yet")),
        };
        done.unwrap_or_else(|error| (refused(error), vec![]))
    }

    /// Keeps what must be kept before the latest reply leaves.
    fn keep(&mut self) -> anyhow::Result<()> {
        let (Core::Registered(module), Some(keeping)) = (&mut self.core, &self.keeping) else {
            return Ok(());
        };
        module.unkept_state(&mut SystemEntropy).map_or(Ok(()), |state| keeping.write(&state))
    }

    /// Keeps what is known at the end.
    fn end(&mut self) -> anyhow::Result<()> {
        let (Core::Registered(module), Some(keeping)) = (&mut self.core, &self.keeping) else {
            return Ok(());
        };
        let state = module.last_state(self.clock.now()?, &mut SystemEntropy);
        state.map_or(Ok(()), |state| keeping.write(&state))
    }
}

impl Core {
    fn open(
        arguments: &Arguments,
        keeping: Option<&Keeping>,
        clock: &DeviceClock,
    ) -> anyhow::Result<Self> {
        let level = arguments.level.into();
        let profile = || arguments.profile.as_ref().context("--profile is missing");
        let root = || arguments.root.as_ref().context("--root is missing");
        let of = |system| Self::of(system, keeping);
        let registration = match arguments.dialect {
            Dialect::Clearkey => return of(System::ClearKey),
            Dialect::Playready => {
                let device = profile::playready(profile()?, root()?, level)?;
                return of(System::PlayReady(Box::new(device)));
            }
            Dialect::Fairplay => {
                let device = profile::fairplay(profile()?)?;
                return of(System::FairPlay(Box::new(device)));
            }
            Dialect::Widevine => Registration::open(profile()?, root()?, level)?,
        };
        if !arguments.register {
            return of(System::Widevine(Box::new(registration.device()?)));
        }
        // What does not read, or is not under the root, is as if it were not there (R166).
        match registration.verified(clock.now()?) {
            Some(device) => of(System::Widevine(Box::new(device))),
            None => Ok(Self::Unregistered(registration)),
        }
    }

    /// A CDM upon what an earlier one kept.
    fn of(system: System, keeping: Option<&Keeping>) -> anyhow::Result<Self> {
        let module = match keeping {
            None => Module::new(system),
            Some(keeping) => {
                let state = keeping.read()?;
                Module::with_state(system, keeping.origin.clone(), state.as_deref())?
            }
        };
        Ok(Self::Registered(Box::new(module)))
    }
}

/// L1: what is clear stays here.
#[derive(Default)]
struct Inside {
    /// Each with the initialization segment that it decodes under.
    decoders: BTreeMap<u32, (Vec<u8>, Decoder)>,
}

impl Inside {
    /// Takes the clear body of a reply; what may leave instead of it.
    fn keep(&mut self, command: Command, reply: &Reply, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        match (command, reply) {
            (Command::Load { track }, Reply::Track { .. }) => {
                // Another key is no other track: what is decoded goes on.
                if self.decoders.get(&track).is_none_or(|(init, _)| *init != body) {
                    let mut decoder = Decoder::start()?;
                    decoder.write(&body)?;
                    self.decoders.insert(track, (body, decoder));
                }
            }
            (Command::Decrypt { track }, Reply::Media) => {
                let decoder = self.decoders.get_mut(&track).map(|(_, decoder)| decoder);
                decoder.ok_or_else(|| anyhow!("no such decoder"))?.write(&body)?;
            }
            (Command::Finish { track }, Reply::Frames) => {
                let decoder = self.decoders.remove(&track).map(|(_, decoder)| decoder);
                let lines = decoder.ok_or_else(|| anyhow!("no such decoder"))?.finish()?;
                return Ok(lines.into_bytes());
            }
            // Messages to the license server.
            _ => return Ok(body),
        }
        Ok(vec![])
    }
}
