//! `title describe` and `title art`: what viewers read of a title, and its pictures.

use super::{Answer, Failure};
use anyhow::Context as _;
use clap::Args;
use model::{ArtFile, ArtKind, ContentId, TitleDescription};
use server::Home;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use store::ArtFolder;

/// Arguments of `title describe`.
#[derive(Args)]
pub struct Describe {
    /// The title.
    content: String,
    /// Its description (JSON: synopsis, cast, year, `duration_s`), in place of all that was said
    /// before; the flags change single members of it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What it is about.
    #[arg(long, value_name = "TEXT")]
    synopsis: Option<String>,
    /// Who is in it; once for each.
    #[arg(long, value_name = "NAME")]
    cast: Vec<String>,
    /// When it was made.
    #[arg(long, value_name = "YYYY")]
    year: Option<u16>,
    /// How long it is, where no package says so.
    #[arg(long, value_name = "N")]
    duration_seconds: Option<u32>,
}

/// Arguments of `title art`.
#[derive(Args)]
pub struct Art {
    /// The title.
    content: String,
    /// The picture: JPEG, PNG or WebP of at most 8 MiB.
    file: PathBuf,
    /// What it is for.
    #[arg(long, value_name = "KIND", default_value = "poster", value_parser = ["poster", "backdrop"])]
    kind: String,
}

/// Says what viewers read of a title. Without a file and without flags it only prints it.
pub async fn describe(home: &Home, arguments: &Describe, answer: Answer) -> Result<(), Failure> {
    let content_id = known(home, &arguments.content).await?;
    let stored = home.store.described_title(&content_id).await.map_err(Failure::environment)?;
    let stored = stored.map(|title| title.description).unwrap_or_default();
    let wanted = changed(arguments, stored.clone()).map_err(Failure::Refused)?;
    if wanted != stored {
        home.store.describe_title(&content_id, &wanted).await.map_err(Failure::environment)?;
    }
    answer.print(&wanted, |wanted| {
        let year = wanted.year.map_or_else(String::new, |year| format!(" ({year})"));
        format!("{content_id}{year}: {}\n{}\n", wanted.cast.join(", "), wanted.synopsis)
    });
    Ok(())
}

fn changed(arguments: &Describe, stored: TitleDescription) -> anyhow::Result<TitleDescription> {
    let mut wanted = match &arguments.file {
        Some(path) => {
            let from = || path.display().to_string();
            let text = read(path, u64::try_from(TitleDescription::MAX_BYTES)?)?;
            let text = String::from_utf8(text).with_context(from)?;
            TitleDescription::parse(&text).with_context(from)?
        }
        None => stored,
    };
    if let Some(synopsis) = &arguments.synopsis {
        wanted.synopsis.clone_from(synopsis);
    }
    if !arguments.cast.is_empty() {
        wanted.cast.clone_from(&arguments.cast);
    }
    wanted.year = arguments.year.or(wanted.year);
    wanted.duration_s = arguments.duration_seconds.or(wanted.duration_s);
    wanted.check()?;
    Ok(wanted)
}

/// Gives a title a picture. The file is in its place before the row names it; the one that it
/// replaces goes where no title has it any more.
pub async fn art(home: &Home, arguments: &Art, answer: Answer) -> Result<(), Failure> {
    let content_id = known(home, &arguments.content).await?;
    let kind = ArtKind::parse(&arguments.kind).context("--kind").map_err(Failure::Environment)?;
    let before = home.store.described_title(&content_id).await.map_err(Failure::environment)?;
    let before = before.and_then(|title| title.art.into_iter().find(|(known, _)| *known == kind));
    let bytes = read(&arguments.file, ArtFile::MAX_BYTES).map_err(Failure::Refused)?;
    let folder = ArtFolder::beside(&home.objects);
    let file = put(&folder, &bytes, &arguments.file)?;
    home.store.put_art(&content_id, kind, file).await.map_err(Failure::environment)?;
    if let Some((_, old)) = before
        && old != file
        && !home.store.is_art_used(old).await.map_err(Failure::environment)?
    {
        folder.remove(old).map_err(Failure::environment)?;
    }
    let told = serde_json::json!({
        "content_id": content_id, "kind": kind.name(), "path": format!("/art/{file}"),
    });
    answer.print(&told, |_| format!("{content_id}: {} is /art/{file}", kind.name()));
    Ok(())
}

fn put(folder: &ArtFolder, bytes: &[u8], path: &Path) -> Result<ArtFile, Failure> {
    folder.put(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            let why = format!("{}: neither JPEG nor PNG nor WebP", path.display());
            Failure::Refused(anyhow::Error::msg(why))
        }
        _ => Failure::environment(error),
    })
}

async fn known(home: &Home, text: &str) -> Result<ContentId, Failure> {
    let content_id =
        ContentId::parse(text).context("the title's id").map_err(Failure::Environment)?;
    if home.store.has_title(&content_id).await.map_err(Failure::environment)? {
        return Ok(content_id);
    }
    let why = format!("there is no title {content_id}; run `title add {content_id}` first");
    Err(Failure::Refused(anyhow::Error::msg(why)))
}

/// Reads a file that may have so many bytes.
fn read(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let is_too_long = u64::try_from(bytes.len())? > most;
    anyhow::ensure!(!is_too_long, "{}: longer than {most} bytes", path.display());
    Ok(bytes)
}
