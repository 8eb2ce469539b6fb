//! `plan`: what accounts buy.

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::{Plan, PlanName};

/// What to do with plans.
#[derive(Subcommand)]
pub enum Arguments {
    /// Add a plan, or change what it buys.
    Set(Set),
    /// Show a plan.
    Show(Show),
}

/// Arguments of `plan set`.
#[derive(Args)]
pub struct Set {
    /// The plan's name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    name: String,
    /// Streams at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    streams: u32,
    /// Titles that the devices of one account may keep; 0: none.
    #[arg(long, value_name = "N", default_value_t = Plan::MAX_OFFLINE)]
    offline: u32,
    /// Devices of one account.
    #[arg(long, value_name = "N", default_value_t = Plan::MAX_DEVICES)]
    devices: u32,
    /// The plan includes no streaming at all.
    #[arg(long, conflicts_with_all = ["streams", "offline", "devices"])]
    without_streaming: bool,
}

/// Arguments of `plan show`.
#[derive(Args)]
pub struct Show {
    /// The plan's name.
    name: String,
}

/// Changes or shows plans.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    block_on(async {
        let home = place.home().await?;
        let plan = match arguments {
            Arguments::Set(set) => {
                let plan = Plan {
                    name: name(&set.name)?,
                    includes_streaming: !set.without_streaming,
                    max_streams: if set.without_streaming { 0 } else { set.streams },
                    max_offline: if set.without_streaming { 0 } else { set.offline },
                    // Who may not stream hears so, and not that he has no place.
                    max_devices: set.devices,
                };
                home.store.put_plan(&plan).await.map_err(Failure::environment)?;
                plan
            }
            Arguments::Show(show) => {
                let plan = home.store.plan(&name(&show.name)?).await;
                plan.map_err(Failure::environment)?
                    .context("there is no such plan")
                    .map_err(Failure::Refused)?
            }
        };
        answer.print(&plan, |plan| match plan.includes_streaming {
            true => format!(
                "{}: {} streams at once, {} titles kept, {} devices",
                plan.name, plan.max_streams, plan.max_offline, plan.max_devices
            ),
            false => format!("{}: no streaming", plan.name),
        });
        Ok(())
    })
}

fn name(text: &str) -> Result<PlanName, Failure> {
    PlanName::parse(text).context("the plan's name").map_err(Failure::Environment)
}
