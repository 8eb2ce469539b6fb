//! `keys operator`, `keys approve`, `keys export`: break-glass (docs/key-custody.md).

use crate::command::Failure;
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use keys::{Approval, MAX_APPROVAL_BYTES, OperatorKey};
use model::ContentId;
use server::Home;
use server::vault::{MAX_DOCUMENTS, read_certificate};
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest life of an approval, minutes.
const MAX_MINUTES: u32 = 24 * 60;

/// Arguments of `keys operator`.
#[derive(Args)]
pub struct NewOperator {
    /// The operator's name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    name: String,
    /// File for the private key; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `keys approve`.
#[derive(Args)]
pub struct Approve {
    /// The operator who approves.
    #[arg(long, value_name = "NAME")]
    operator: String,
    /// The operator's private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The title whose keys may leave.
    #[arg(long, value_name = "ID")]
    content: String,
    /// The certificate they are encrypted for.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// How long the approval holds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_MINUTES)))]
    minutes: u32,
}

/// Arguments of `keys export`.
#[derive(Args)]
pub struct Export {
    /// Says what this is.
    #[arg(long, required = true)]
    break_glass: bool,
    /// The title.
    #[arg(long, value_name = "ID")]
    content: String,
    /// File with an approval, as `keys approve` printed it; once for each.
    #[arg(long = "approval", value_name = "FILE", required = true)]
    approvals: Vec<PathBuf>,
    /// File for the CPIX document; it must not exist. A title with more than 1024 keys needs more
    /// documents, which get -2, -3 and so on behind the name.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes an operator's key; needs no data folder, and belongs on the operator's own machine.
pub fn operator(new: &NewOperator, answer: Answer) -> Result<(), Failure> {
    let pkcs8 = OperatorKey::generate();
    let operator = OperatorKey::parse(&pkcs8).and_then(|key| key.operator(&new.name));
    let line = operator.map_err(Failure::environment)?.to_string();
    write_new(&new.out, &pkcs8).map_err(Failure::Environment)?;
    answer.print(&serde_json::json!({ "operator": line }), |_| {
        format!("put into keys.break_glass.operators:\n{line}\n")
    });
    Ok(())
}

/// Signs an approval; needs no data folder either.
pub fn approve(approve: &Approve, answer: Answer) -> Result<(), Failure> {
    let content_id =
        ContentId::parse(&approve.content).context("--content").map_err(Failure::Environment)?;
    let pkcs8 = std::fs::read(&approve.key).map(Zeroizing::new);
    let pkcs8 = pkcs8.with_context(|| approve.key.display().to_string());
    let key = OperatorKey::parse(&pkcs8.map_err(Failure::Environment)?);
    let key = key.map_err(Failure::environment)?;
    key.operator(&approve.operator).map_err(Failure::environment)?;
    let certificate = read_certificate(&approve.certificate).map_err(Failure::environment)?;
    let now = server::clock::Clock::System.now();
    let mut id = [0; 16];
    model::Entropy::fill(&mut keys::SystemEntropy, &mut id);
    let text = key.approve(&Approval {
        operator: approve.operator.clone(),
        content_id,
        certificate_sha256: keys::sha256(&certificate),
        expires: now.plus_s(u64::from(approve.minutes) * 60),
        id,
    });
    answer.print(&serde_json::json!({ "approval": text }), |_| text.clone());
    Ok(())
}

/// Writes the documents, once operators enough have approved it.
pub async fn export(home: &Home, export: &Export, answer: Answer) -> Result<(), Failure> {
    let content_id =
        ContentId::parse(&export.content).context("--content").map_err(Failure::Environment)?;
    let approvals: Result<Vec<String>, _> =
        export.approvals.iter().map(|path| read_approval(path)).collect();
    let approvals = approvals.map_err(Failure::Environment)?;
    // Before approvals are used up for a document that has no place.
    let places: Vec<PathBuf> = (1..=MAX_DOCUMENTS).map(|n| place(&export.out, n)).collect();
    if let Some(taken) = places.iter().find(|place| place.exists()) {
        let taken = anyhow::anyhow!("{}: exists already", taken.display());
        return Err(Failure::Environment(taken));
    }
    let settings = &home.config.keys.break_glass;
    let now = home.clock.now();
    let documents = home.vault.break_glass(&content_id, &approvals, settings, now).await;
    let documents = documents.map_err(Failure::refused)?;
    let mut written = Vec::with_capacity(documents.len());
    for (place, document) in places.iter().zip(&documents) {
        write_new(place, document.as_bytes()).map_err(Failure::Environment)?;
        written.push(place.display().to_string());
    }
    let line = serde_json::json!({ "written": written.first(), "documents": written });
    answer.print(&line, |_| format!("written to {}", written.join(", ")));
    Ok(())
}

/// Where document `number` goes: `keys.xml`, `keys-2.xml`, …
fn place(out: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return out.to_owned();
    }
    let mut name = out.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = out.extension() {
        name.push(".");
        name.push(extension);
    }
    out.with_file_name(name)
}

fn read_approval(path: &Path) -> anyhow::Result<String> {
    let name = || path.display().to_string();
    let mut text = String::new();
    let limit = MAX_APPROVAL_BYTES as u64 + 1;
    std::fs::File::open(path).with_context(name)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(name)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(name)
}
