//! `credentials`: what a DRM system's licenses are made with. No command prints a private key.

pub mod test_root;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::anyhow;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use model::Dialect;
use serde::Serialize;
use serde_json::{Value, json};
use server::Home;
use server::vault::{
    CredentialError, CredentialRow, FairPlayFiles, FileRefused, ImportedCredentials,
    PlayReadyFiles, WidevineFiles,
};
use std::path::{Path, PathBuf};

/// What to do with credentials.
#[derive(Subcommand)]
pub enum Arguments {
    /// Take over a folder of credentials. A running service uses them within seconds.
    Import(Import),
    /// Take another list of Widevine devices: levels and revocations.
    Devices(Devices),
    /// Take another list of PlayReady keys that are revoked.
    Revoked(Devices),
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
    /// `provisioning_private.pem`. PlayReady: `root_public.bin` or `root_public.pem`,
    /// `wmrm_private.pem`, `signing_chain.bin`, `signing_private.pem`, `revocation.json`.
    /// FairPlay: `app_cert.der`, `app_private.pem`, `ask.hex`, `d_function`.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Arguments of `credentials devices` and `credentials revoked`.
#[derive(Args)]
pub struct Devices {
    /// The list, JSON as `device_list.json` or `revocation.json` of an import.
    file: PathBuf,
}

/// Arguments of `credentials remove`.
#[derive(Args)]
pub struct Remove {
    /// The DRM system.
    #[arg(value_parser = dialects())]
    dialect: Dialect,
    /// Only the service certificate of this serial number, in hex digits; of FairPlay's the SHA-1.
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
}

/// Runs a `credentials` command.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::Import(import) => {
            let files = Files::read(import.dialect, &import.folder);
            let files = files.map_err(|refused| in_folder(&import.folder, refused))?;
            block_on(take_over(place, &import, files, answer))
        }
        Arguments::Devices(devices) => block_on(replace_list(place, &devices.file, answer)),
        Arguments::Revoked(revoked) => block_on(replace_revoked(place, &revoked.file, answer)),
        Arguments::List => block_on(list(place, answer)),
        Arguments::Remove(remove) => block_on(take_away(place, &remove, answer)),
        Arguments::MakeTestRoot(make) => test_root::run(&make, answer),
    }
}

/// A folder of one of the systems, read.
enum Files {
    Widevine(WidevineFiles),
    PlayReady(PlayReadyFiles),
    FairPlay(FairPlayFiles),
}

impl Files {
    fn read(dialect: Dialect, folder: &Path) -> Result<Self, FileRefused> {
        match dialect {
            Dialect::Widevine => WidevineFiles::read(folder).map(Self::Widevine),
            Dialect::PlayReady => PlayReadyFiles::read(folder).map(Self::PlayReady),
            Dialect::FairPlay => FairPlayFiles::read(folder).map(Self::FairPlay),
            Dialect::ClearKey => Err(FileRefused {
                file: String::new(),
                cause: "ClearKey works without credentials".to_owned(),
                is_read: false,
            }),
        }
    }

    async fn import(self, home: &Home) -> Result<ImportedCredentials, CredentialError> {
        let now = home.clock.now();
        match self {
            Self::Widevine(files) => home.vault.import_widevine(files, now).await,
            Self::PlayReady(files) => home.vault.import_playready(files, now).await,
            Self::FairPlay(files) => home.vault.import_fairplay(files, now).await,
        }
    }
}

/// A file that is missing is the environment's fault, one with wrong content a no.
fn in_folder(folder: &Path, refused: FileRefused) -> Failure {
    let is_read = refused.is_read;
    let error = anyhow!("{}: {}", folder.join(refused.file).display(), refused.cause);
    if is_read { Failure::Refused(error) } else { Failure::Environment(error) }
}

/// What an import did, for programs.
#[derive(Serialize)]
struct Said<'a> {
    dialect: &'static str,
    service_serial: &'a str,
    older_service_certificates: usize,
    new_root: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    systems: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioning: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<usize>,
}

async fn take_over(
    place: &Place,
    import: &Import,
    files: Files,
    answer: Answer,
) -> Result<(), Failure> {
    let home = place.home().await?;
    let done = files.import(&home).await;
    let done = done.map_err(|error| blame(error, &import.folder))?;
    let dialect = import.dialect;
    let said = Said {
        dialect: dialect.name(),
        service_serial: &done.serial,
        older_service_certificates: done.older,
        new_root: done.is_new_root,
        systems: (dialect == Dialect::Widevine).then_some(done.listed),
        provisioning: (dialect == Dialect::Widevine).then_some(done.is_provisioning),
        revoked: (dialect == Dialect::PlayReady).then_some(done.listed),
    };
    answer.print(&said, |_| imported(dialect, &done));
    Ok(())
}

fn imported(dialect: Dialect, done: &ImportedCredentials) -> String {
    let mut text = match dialect {
        Dialect::PlayReady => format!("playready: clients encrypt for the key {}", done.serial),
        Dialect::FairPlay => {
            format!("fairplay: application certificate {} is handed out", done.serial)
        }
        Dialect::Widevine | Dialect::ClearKey => {
            format!("{dialect}: service certificate {} is handed out", done.serial)
        }
    };
    if done.is_new_root {
        text += "; another root took the place of the one before, with all that hung from it";
    }
    if done.older > 0 {
        text += &format!("; clients of {} older ones are still understood", done.older);
    }
    match dialect {
        Dialect::Widevine => text += &format!("; {} systems in the device list", done.listed),
        Dialect::PlayReady => text += &format!("; {} keys are revoked", done.listed),
        Dialect::FairPlay | Dialect::ClearKey => {}
    }
    text + if done.is_provisioning { "; devices can be provisioned" } else { "" }
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

async fn replace_revoked(place: &Place, file: &Path, answer: Answer) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let list = PlayReadyFiles::read_revocation_list(file);
    let list = list.map_err(|refused| in_folder(folder, refused))?;
    let home = place.home().await?;
    let revoked = home.vault.replace_revocation_list(&list, home.clock.now()).await;
    let revoked = revoked.map_err(|error| blame(error, folder))?;
    answer.print(&json!({ "revoked": revoked }), |_| format!("{revoked} keys are revoked"));
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
    let done = home.vault.remove_credentials(remove.dialect, serial, home.clock.now()).await;
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
