//! `device`: the devices of an account.

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::{Account, Device, DeviceId, DeviceKind, Timestamp};
use serde::Serialize;
use server::Home;

/// What to do with devices.
#[derive(Subcommand)]
pub enum Arguments {
    /// Show the devices that take a place of an account.
    List(List),
    /// Take a device away: its place is free at once.
    Remove(Remove),
}

/// Arguments of `device list`.
#[derive(Args)]
pub struct List {
    /// The name the account signs in with.
    #[arg(long, value_name = "A")]
    account: String,
}

/// Arguments of `device remove`.
#[derive(Args)]
pub struct Remove {
    /// The name the account signs in with.
    #[arg(long, value_name = "A")]
    account: String,
    /// The device: 32 hex digits, as `device list` shows it.
    #[arg(long, value_name = "D")]
    device: String,
}

/// What `device list` says of each.
#[derive(Serialize)]
struct Listed {
    device_id: DeviceId,
    name: String,
    kind: DeviceKind,
    has_key: bool,
    registered_at: Timestamp,
    renewed_at: Timestamp,
    expires_at: Timestamp,
}

impl From<Device> for Listed {
    fn from(device: Device) -> Self {
        Self {
            device_id: device.id,
            name: device.name,
            kind: device.kind,
            has_key: device.key.is_some(),
            registered_at: device.registered,
            renewed_at: device.renewed,
            expires_at: device.expires,
        }
    }
}

/// Lists or removes devices.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::List(list) => block_on(show(list, place, answer)),
        Arguments::Remove(remove) => block_on(take_away(remove, place, answer)),
    }
}

async fn show(list: List, place: &Place, answer: Answer) -> Result<(), Failure> {
    let home = place.home().await?;
    let account = known(&home, &list.account).await?;
    let devices = home.store.devices(account.id, home.clock.now()).await;
    let devices = devices.map_err(Failure::environment)?;
    let devices: Vec<Listed> = devices.into_iter().map(Listed::from).collect();
    answer.print(&devices, |devices| {
        if devices.is_empty() {
            return "no device".to_owned();
        }
        let line = |device: &Listed| {
            let Listed { device_id, name, kind, renewed_at, .. } = device;
            format!("{device_id} {} renewed {}: {name}", kind.name(), renewed_at.to_iso8601())
        };
        devices.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

async fn take_away(remove: Remove, place: &Place, answer: Answer) -> Result<(), Failure> {
    let device = DeviceId::parse(&remove.device).context("--device");
    let device = device.map_err(Failure::Environment)?;
    let home = place.home().await?;
    let account = known(&home, &remove.account).await?;
    if !home.remove_device(account.id, device).await.map_err(Failure::refused)? {
        let why = anyhow::anyhow!("{} has no device {device}", remove.account);
        return Err(Failure::Refused(why));
    }
    let removed = serde_json::json!({"device_id": device, "removed": true});
    answer.print(&removed, |_| format!("{device} is removed"));
    Ok(())
}

async fn known(home: &Home, name: &str) -> Result<Account, Failure> {
    let found = home.store.account_by_name(name).await.map_err(Failure::environment)?;
    let found = found.with_context(|| format!("there is no account named {name}"));
    found.map(|(account, _)| account).map_err(Failure::Refused)
}
