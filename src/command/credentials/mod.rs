//! `credentials`: what a DRM system's licenses are made with. No command prints a private key.

pub mod test_root;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::anyhow;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use model::Dialect;
use serde_json::{Value, json};
use server::Home;
use server::vault::{CredentialError, CredentialRow, FileRefused, WidevineFiles};
use std::path::{Path, PathBuf};

/// What to do with credentials.
#[derive(Subcommand)]
pub enum Arguments {
    /// Take over a folder of credentials. A running service uses them within seconds.
    Import(Import),
    /// Take another list of Widevine devices: levels and revocations.
    Devices(Devices),
    /// List what was imported; never a private key.
    List,
    /// Remove a service certificate, or all credentials of a DRM system.
    Remove(Remove),
    /// Make credentials of one's own, to try a DRM system's protocol without its vendor.
    MakeTestRoot(test_root::MakeTestRoot),
}

/// The DRM systems that work with imported credentials.
fn dialects() -> impl clap::builder::TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(["widevine", "playready", "fairplay"])
        .try_map(|name| Dialect::parse(&name).ok_or("no such DRM system"))
}

/// Arguments of `credentials import`.
#[derive(Args)]
pub struct Import {
    /// The DRM system.
    #[arg(value_parser = dialects())]
    dialect: Dialect,
    /// The folder. Widevine: `root_public.der` or `root_cert.bin`, `service_cert.bin`,
    /// `service_private.pem`, `device_list.json`, and optionally `provisioning_cert.bin` with
    /// `provisioning_private.pem`.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Arguments of `credentials devices`.
#[derive(Args)]
pub struct Devices {
    /// The list, JSON as `device_list.json` of an import.
    file: PathBuf,
}

/// Arguments of `credentials remove`.
#[derive(Args)]
pub struct Remove {
    /// The DRM system.
    #[arg(value_parser = dialects())]
    dialect: Dialect,
    /// Only the service certificate of this serial number, in hex digits.
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
}

/// Runs a `credentials` command.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::Import(import) => {
            answered(import.dialect)?;
            let files = WidevineFiles::read(&import.folder);
            let files = files.map_err(|refused| in_folder(&import.folder, refused))?;
            block_on(take_over(place, &import.folder, files, answer))
        }
        Arguments::Devices(devices) => block_on(replace_list(place, &devices.file, answer)),
        Arguments::List => block_on(list(place, answer)),
        Arguments::Remove(remove) => {
            answered(remove.dialect)?;
            block_on(take_away(place, &remove, answer))
        }
        Arguments::MakeTestRoot(make) => test_root::run(&make, answer),
    }
}

/// Refuses a DRM system by its name, as long as its licenses are not made here.
fn answered(dialect: Dialect) -> Result<(), Failure> {
    match dialect {
        Dialect::Widevine => Ok(()),
        Dialect::ClearKey | Dialect::PlayReady | Dialect::FairPlay => {
            Err(Failure::Environment(anyhow!("{dialect} is not answered yet: nothing to import")))
        }
    }
}

/// A file that is missing is the environment's fault, one with wrong content a no.
fn in_folder(folder: &Path, refused: FileRefused) -> Failure {
    let is_read = refused.is_read;
    let error = anyhow!("{}: {}", folder.join(refused.file).display(), refused.cause);
    if is_read { Failure::Refused(error) } else { Failure::Environment(error) }
}

async fn take_over(
    place: &Place,
    folder: &Path,
    files: WidevineFiles,
    answer: Answer,
) -> Result<(), Failure> {
    let home = place.home().await?;
    let done = home.vault.import_widevine(files, home.clock.now()).await;
    let done = done.map_err(|error| blame(error, folder))?;
    let said = json!({
        "dialect": "widevine",
        "service_serial": done.serial,
        "older_service_certificates": done.older,
        "new_root": done.is_new_root,
        "systems": done.systems,
        "provisioning": done.is_provisioning,
    });
    answer.print(&said, |_| {
        let mut text = format!("widevine: service certificate {} is handed out", done.serial);
        if done.is_new_root {
            text += "; another root took the place of the one before, with all that hung from it";
        }
        if done.older > 0 {
            text += &format!("; clients of {} older ones are still understood", done.older);
        }
        text += &format!("; {} systems in the device list", done.systems);
        text + if done.is_provisioning { "; devices can be provisioned" } else { "" }
    });
    Ok(())
}

async fn replace_list(place: &Place, file: &Path, answer: Answer) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let list = WidevineFiles::read_device_list(file);
    let list = list.map_err(|refused| in_folder(folder, refused))?;
    let home = place.home().await?;
    let systems = home.vault.replace_device_list(&list, home.clock.now()).await;
    let systems = systems.map_err(|error| blame(error, folder))?;
    answer.print(&json!({ "systems": systems }), |_| format!("{systems} systems in the list"));
    Ok(())
}

async fn list(place: &Place, answer: Answer) -> Result<(), Failure> {
    let home: Home = place.home().await?;
    let rows = home.vault.credentials().await.map_err(Failure::environment)?;
    let said: Vec<Value> = rows.iter().map(row_of).collect();
    answer.print(&said, |_| match rows.is_empty() {
        true => "no credentials were imported".to_owned(),
        false => rows.iter().map(line_of).collect(),
    });
    Ok(())
}

async fn take_away(place: &Place, remove: &Remove, answer: Answer) -> Result<(), Failure> {
    let home = place.home().await?;
    let serial = remove.serial.as_deref();
    let done = home.vault.remove_widevine(serial, home.clock.now()).await;
    done.map_err(|error| blame(error, Path::new("")))?;
    answer.print(&json!({ "removed": serial.unwrap_or("all") }), |_| match serial {
        Some(serial) => format!("service certificate {serial} is removed"),
        None => format!("all credentials of {} are removed", remove.dialect),
    });
    Ok(())
}

fn row_of(row: &CredentialRow) -> Value {
    json!({
        "dialect": row.dialect.name(),
        "kind": row.kind,
        "name": row.name,
        "provider": row.provider,
        "expires_at": row.expires,
        "imported_at": row.imported,
        "current": row.is_current,
    })
}

fn line_of(row: &CredentialRow) -> String {
    let CredentialRow { dialect, kind, name, provider, .. } = row;
    let provider = provider.as_ref().map_or_else(String::new, |id| format!("  {id}"));
    let current = if row.is_current { "  handed out" } else { "" };
    format!("{dialect}  {kind:<12}  {name}{provider}{current}\n")
}

fn blame(error: CredentialError, folder: &Path) -> Failure {
    match error {
        CredentialError::File(refused) => in_folder(folder, refused),
        CredentialError::Keys(_) | CredentialError::Stored(_) | CredentialError::Busy => {
            Failure::environment(error)
        }
        CredentialError::Provisioning(_)
        | CredentialError::NoneImported(_)
        | CredentialError::SerialUnknown(_)
        | CredentialError::OnlyService
        | CredentialError::TooManyServices => Failure::refused(error),
    }
}
