//! `audit-leaks`: one search over what ships, and over what runs, for what must not be there
//! (R001, R008).

mod memory;

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use keys::leak::{LeakSearch, NamedSecret};
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Arguments of `audit-leaks`.
#[derive(Args)]
pub struct Arguments {
    /// Key file whose keys to search for, beside those of the data folder.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Running process whose memory to search for content keys; may be given more than once.
    #[arg(long = "process", value_name = "PID")]
    processes: Vec<u32>,
    /// Files and folders to search; folders with all that is in them.
    #[arg(required_unless_present = "processes", value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// One thing found where it must not be.
#[derive(Serialize)]
struct Finding {
    path: PathBuf,
    offset_bytes: u64,
    /// What it is; never the secret itself.
    what: String,
    form: &'static str,
}

/// The report.
#[derive(Serialize)]
struct Report {
    files: usize,
    processes: usize,
    secrets: usize,
    findings: Vec<Finding>,
}

/// Searches; findings are a refusal.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let Known { content_keys, service_secrets, own_files } =
        block_on(known_secrets(&arguments, place))?;
    let secrets = content_keys.len() + service_secrets.len();
    let mut report = Report { files: 0, processes: 0, secrets, findings: vec![] };
    // A process holds the secrets of its role; a content key is what only the vault may hold.
    let search = LeakSearch::new(content_keys.clone()).map_err(Failure::environment)?;
    for pid in &arguments.processes {
        scan_process(*pid, &search, &mut report).map_err(Failure::Environment)?;
    }
    let every = content_keys.into_iter().chain(service_secrets);
    let search = LeakSearch::new(every).map_err(Failure::environment)?;
    for path in &arguments.paths {
        scan(path, &search, &own_files, &mut report).map_err(Failure::Environment)?;
    }
    answer.print(&report, sentences);
    match report.findings.len() {
        0 => Ok(()),
        found => Err(Failure::Refused(anyhow::anyhow!("{found} found"))),
    }
}

/// What to look for.
#[derive(Default)]
struct Known {
    content_keys: Vec<NamedSecret>,
    service_secrets: Vec<NamedSecret>,
    /// The files in which the service itself keeps its secrets.
    own_files: Vec<PathBuf>,
}

async fn known_secrets(arguments: &Arguments, place: &Place) -> Result<Known, Failure> {
    let mut known = Known::default();
    if let Some(path) = &arguments.keys {
        let text = std::fs::read(path).map_err(Failure::environment)?;
        let imported = keys::key_file::parse(&text).map_err(Failure::environment)?;
        known.content_keys.extend(imported.iter().map(|key| {
            NamedSecret::content_key(format!("content key {}", key.key.kid), &key.key.key)
        }));
    }
    if place.has_data()? {
        let home = place.home().await?;
        let content_keys = home.vault.every_content_key().await.map_err(Failure::environment)?;
        known.content_keys.extend(
            content_keys
                .iter()
                .map(|key| NamedSecret::content_key(format!("content key {}", key.kid), &key.key)),
        );
        let credentials = home.vault.credential_secrets().await.map_err(Failure::environment)?;
        known.service_secrets.extend(credentials.iter().map(|(name, secret)| {
            NamedSecret::service_secret(format!("private key of {name}"), secret)
        }));
        for file in home.secret_files().map_err(Failure::environment)? {
            let secret = std::fs::read(&file).map_err(Failure::environment)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let secret = NamedSecret::service_secret(format!("service secret {name}"), &secret);
            known.service_secrets.push(secret);
            known.own_files.push(file);
        }
    }
    Ok(known)
}

/// Searches the memory of a process.
fn scan_process(pid: u32, search: &LeakSearch, report: &mut Report) -> anyhow::Result<()> {
    let searched = memory::search(pid, search)?;
    report.processes += 1;
    report.findings.extend(searched.leaks.into_iter().map(|leak| Finding {
        path: PathBuf::from(format!("/proc/{pid}/mem")),
        offset_bytes: leak.offset_bytes,
        what: leak.label,
        form: leak.form.name(),
    }));
    Ok(())
}

/// Searches a file, or all files of a folder; never follows a link.
fn scan(
    path: &Path,
    search: &LeakSearch,
    own_files: &[PathBuf],
    report: &mut Report,
) -> anyhow::Result<()> {
    let about = || format!("cannot read {}", path.display());
    let kind = std::fs::symlink_metadata(path).with_context(about)?.file_type();
    if kind.is_dir() {
        for entry in std::fs::read_dir(path).with_context(about)? {
            let entry = entry?.path();
            match scan(&entry, search, own_files, report) {
                // A running service makes and removes files (SQLite's, say) while we read.
                Err(_) if !entry.try_exists()? => {}
                outcome => outcome?,
            }
        }
    } else if kind.is_file() && !own_files.contains(&path.canonicalize()?) {
        report.files += 1;
        for leak in search.search(File::open(path).with_context(about)?).with_context(about)? {
            report.findings.push(Finding {
                path: path.to_owned(),
                offset_bytes: leak.offset_bytes,
                what: leak.label,
                form: leak.form.name(),
            });
        }
        let eternal = eternal_tokens(File::open(path)?).with_context(about)?;
        report.findings.extend(eternal.into_iter().map(|offset_bytes| Finding {
            path: path.to_owned(),
            offset_bytes,
            what: "token that never expires".to_owned(),
            form: "JWT",
        }));
    }
    Ok(())
}

/// Where JSON Web Tokens without an `exp` begin (R006).
fn eternal_tokens(mut stream: impl Read) -> std::io::Result<Vec<u64>> {
    /// Longest token looked for.
    const MAX_TOKEN: usize = 8 * 1024;
    const CHUNK: usize = 1024 * 1024;
    let mut found = vec![];
    let (mut window, mut base) = (Vec::with_capacity(CHUNK + MAX_TOKEN), 0_u64);
    loop {
        let read = stream.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        // What may still grow is looked at again with the next chunk.
        let settled = if read == 0 { window.len() } else { window.len().saturating_sub(MAX_TOKEN) };
        let starts = memchr::memmem::find_iter(&window, b"eyJ").take_while(|at| *at < settled);
        for at in starts {
            let end = window.len().min(at + MAX_TOKEN);
            if window.get(at..end).is_some_and(begins_with_eternal_token) {
                found.push(base + at as u64);
            }
        }
        if read == 0 {
            return Ok(found);
        }
        window.drain(..settled);
        base += settled as u64;
    }
}

/// Whether `text` begins with a signed JWT whose claims name no expiry.
fn begins_with_eternal_token(text: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let end = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
    let mut parts = text.get(..end).unwrap_or_default().split(|byte| *byte == b'.');
    let (Some(header), Some(claims), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let object = |part: &[u8]| -> Option<serde_json::Map<String, serde_json::Value>> {
        use base64::Engine as _;
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&json).ok()
    };
    object(header).is_some_and(|header| header.contains_key("alg"))
        && object(claims).is_some_and(|claims| !claims.contains_key("exp"))
}

fn sentences(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text += &format!(
            "{}: byte {}: {} as {}\n",
            finding.path.display(),
            finding.offset_bytes,
            finding.what,
            finding.form
        );
    }
    let Report { files, processes, secrets, .. } = report;
    text + &format!("{files} files and {processes} processes searched for {secrets} secrets\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn token(claims: &str) -> String {
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2lnbmF0dXJl", encode(r#"{"alg":"HS256"}"#), encode(claims))
    }

    #[test]
    fn only_tokens_without_an_expiry_are_found() {
        let text = format!("a={} b={}", token(r#"{"sub":"x","exp":1}"#), token(r#"{"sub":"x"}"#));
        let expected = text.rfind("eyJhbGci").unwrap() as u64;
        assert_eq!(eternal_tokens(text.as_bytes()).unwrap(), [expected]);
        assert!(eternal_tokens("eyJ.eyJ.x eyJ".as_bytes()).unwrap().is_empty());
    }

    #[test]
    fn a_token_across_two_chunks_is_found_once() {
        let mut text = vec![b' '; 1024 * 1024 - 10];
        text.extend_from_slice(token("{}").as_bytes());
        text.extend_from_slice(&[b' '; 100_000]);
        assert_eq!(eternal_tokens(text.as_slice()).unwrap(), [1024 * 1024 - 10]);
    }
}
