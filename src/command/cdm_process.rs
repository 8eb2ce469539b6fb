//! The CDM as a process of its own (R160): the trusted environment that `play` starts beside
//! itself and speaks to over two pipes ([`cdm::protocol`]).
//!
//! It makes or reads the device's private key itself, and nobody but root looks into its memory. At L1
//! frames are decoded here too, and only their checksums leave; at L2 and L3 decrypted segments
//! leave, as DESIGN's levels have it. It ends with its parent.

mod profile;
mod registration;

use super::Failure;
use super::play::Dialect;
use super::play::decoder::Decoder;
use crate::core_dumps;
use anyhow::{Context as _, anyhow};
use cdm::protocol::{self, Command, Reply};
use cdm::widevine::Device;
use cdm::{Module, System};
use clap::{Args, ValueEnum};
use keys::SystemEntropy;
use model::SecurityLevel;
use registration::Registration;
use server::clock::Clock;
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
        if let Some(inside) = &mut inside {
            body = inside.keep(command, &reply, body).unwrap_or_else(|error| {
                reply = Reply::Refused { error: format!("{error:#}") };
                vec![]
            });
        }
        protocol::write(&mut replies, &reply, &body)?;
    }
    Ok(())
}

/// The CDM, or what becomes one as soon as it has its certificate.
enum Environment {
    Registered(Box<Module>),
    Unregistered(Registration),
}

impl Environment {
    fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let level = arguments.level.into();
        let profile = || arguments.profile.as_ref().context("--profile is missing");
        let root = || arguments.root.as_ref().context("--root is missing");
        let of = |system| Self::Registered(Box::new(Module::new(system)));
        let registration = match arguments.dialect {
            Dialect::Clearkey => return Ok(of(System::ClearKey)),
            Dialect::Playready => {
                let device = profile::playready(profile()?, root()?, level)?;
                return Ok(of(System::PlayReady(Box::new(device))));
            }
            Dialect::Fairplay => {
                let device = profile::fairplay(profile()?)?;
                return Ok(of(System::FairPlay(Box::new(device))));
            }
            Dialect::Widevine => Registration::open(profile()?, root()?, level)?,
        };
        if !arguments.register {
            return Ok(Self::of(registration.device()?));
        }
        // What does not read, or is not under the root, is as if it were not there (R166).
        Ok(match registration.verified(Clock::System.now()) {
            Some(device) => Self::of(device),
            None => Self::Unregistered(registration),
        })
    }

    fn of(device: Device) -> Self {
        Self::Registered(Box::new(Module::new(System::Widevine(Box::new(device)))))
    }

    fn run(&mut self, command: Command, body: Vec<u8>) -> (Reply, Vec<u8>) {
        let now = Clock::System.now();
        let registration = match self {
            Self::Registered(module) => return module.run(command, body, now, &mut SystemEntropy),
            Self::Unregistered(registration) => registration,
        };
        let done = match command {
            Command::Provision => registration.ask(now).map(|body| (Reply::Provisioning, body)),
            Command::Provisioned => registration.keep(&body, now).map(|device| {
                *self = Self::of(device);
                (Reply::Done, vec![])
            }),
            _ => Err(anyhow!("this CDM has no certificate yet")),
        };
        done.unwrap_or_else(|error| (Reply::Refused { error: format!("{error:#}") }, vec![]))
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
