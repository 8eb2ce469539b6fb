//! How the keys of a package change, as the command line says it.

use clap::{Args, ValueEnum};
use media::package::{KeySignal, RotationPlan};
use model::Rotation;
use std::num::NonZeroU32;

/// Arguments of key rotation.
#[derive(Args, Clone, Copy)]
pub struct RotationArguments {
    /// Changes the keys every so many seconds, where a segment begins: a key that leaks opens its
    /// period and no other.
    #[arg(long, value_name = "N")]
    rotate_seconds: Option<NonZeroU32>,
    /// So many periods are a batch, for which a player asks at once; `all`: the whole title.
    #[arg(
        long,
        value_name = "N|all",
        requires = "rotate_seconds",
        default_value = "10",
        value_parser = batch
    )]
    rotate_batch: NonZeroU32,
    /// How players are told.
    #[arg(long, value_enum, requires = "rotate_seconds", default_value_t = Signal::InBand)]
    rotate_signal: Signal,
}

/// How players are told of keys that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Signal {
    /// By the media itself: one init, and every fragment names its key.
    InBand,
    /// By manifests alone, with an init and a DASH period for each key: for devices that cannot
    /// change keys within a track.
    Periods,
}

fn batch(text: &str) -> Result<NonZeroU32, String> {
    const FORM: &str = "expected a number of periods, such as 10, or all";
    match text {
        "all" => Ok(NonZeroU32::MAX),
        number => number.parse().map_err(|_| FORM.to_owned()),
    }
}

impl RotationArguments {
    /// As the packager takes them; none: keys do not change.
    pub fn plan(self) -> Option<RotationPlan> {
        let period_s = self.rotate_seconds?;
        let signal = match self.rotate_signal {
            Signal::InBand => KeySignal::InBand,
            Signal::Periods => KeySignal::Periods,
        };
        let of = Rotation { period_s, batch_periods: self.rotate_batch };
        Some(RotationPlan { of, signal })
    }

    /// Whether manifests alone are to tell of keys.
    pub fn is_by_manifests(self) -> bool {
        self.plan().is_some_and(|plan| plan.signal == KeySignal::Periods)
    }
}
