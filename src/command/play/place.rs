//! Where a package lies: a folder, or behind a URL.

use super::Dialect;
use super::web::Web;
use crate::command::Failure;
use anyhow::{Context as _, anyhow};
use media::manifest::listing::{
    Listed, ListingError, Part, mpd_places, parse_mpd, parse_multivariant,
};
use media::manifest::{ByteSpan, DASH_PATH, hls_path};
use model::Scheme;
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use store::remote::Asked;

/// Longest manifest, bytes.
const MAX_MANIFEST: usize = 8 << 20;

/// A package that plays.
pub enum Place {
    /// On disk.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The manifest's name.
        manifest: String,
    },
    /// At a web server.
    Web {
        /// The manifest's address.
        manifest: String,
        /// What relative names stand behind, with its slash.
        base: String,
        /// The CDNs that have the package, where the manifest names some: the one that is used,
        /// then those that take over when it fails.
        cdns: RefCell<Vec<String>>,
    },
}

impl Place {
    /// What the command line names: a manifest, or what holds `manifest.mpd`; for FairPlay, the
    /// multivariant playlist of its scheme.
    pub fn parse(text: &str, dialect: Dialect) -> Self {
        let usual = match dialect {
            Dialect::Fairplay => hls_path(Scheme::Cbcs),
            Dialect::Widevine | Dialect::Playready | Dialect::Clearkey => DASH_PATH,
        };
        let is_manifest = |name: &str| [".mpd", ".m3u8"].iter().any(|end| name.ends_with(end));
        if text.starts_with("http://") || text.starts_with("https://") {
            let plain = text.split(['?', '#']).next().unwrap_or_default();
            if is_manifest(plain) {
                return Self::url(text.to_owned());
            }
            return Self::url(format!("{}/{usual}", plain.trim_end_matches('/')));
        }
        let path = Path::new(text);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.parent() {
            Some(folder) if is_manifest(name) => {
                Self::Folder { folder: folder.to_owned(), manifest: name.to_owned() }
            }
            _ => Self::Folder { folder: path.to_owned(), manifest: usual.to_owned() },
        }
    }

    /// The package of a manifest's address.
    pub fn url(manifest: String) -> Self {
        let plain = manifest.split(['?', '#']).next().unwrap_or_default();
        let folder = plain.rfind('/').and_then(|slash| plain.get(..=slash)).unwrap_or_default();
        Self::Web { base: folder.to_owned(), manifest, cdns: RefCell::default() }
    }

    /// The renditions that the manifest lists, for a client of a system: of an MPD, or of a
    /// multivariant playlist and all that it names.
    pub fn renditions(&self, web: &Web, dialect: model::Dialect) -> Result<Vec<Listed>, Failure> {
        let refused = |error: ListingError| {
            Failure::Refused(anyhow::Error::new(error).context("the manifest"))
        };
        let text = self.manifest(web)?;
        if !text.starts_with("#EXTM3U") {
            if dialect == model::Dialect::FairPlay {
                return Err(Failure::Refused(anyhow!(
                    "FairPlay plays HLS: an MPD does not say where its keys are"
                )));
            }
            if let Self::Web { cdns, .. } = self {
                learn(&mut cdns.borrow_mut(), mpd_places(&text).map_err(refused)?);
            }
            return parse_mpd(&text).map_err(refused);
        }
        let mut found = vec![];
        for named in parse_multivariant(&text).map_err(refused)? {
            let part = Part { path: named.playlist.clone(), span: None };
            let text = text_of(self.read(web, &part, MAX_MANIFEST)?)?;
            found.push(named.list(&text, dialect).map_err(refused)?);
        }
        Ok(found)
    }

    /// The manifest's text.
    fn manifest(&self, web: &Web) -> Result<String, Failure> {
        let bytes = match self {
            Self::Folder { folder, manifest } => {
                let part = Part { path: manifest.clone(), span: None };
                read_file(folder, &part, MAX_MANIFEST)?
            }
            Self::Web { manifest, .. } => {
                web.ask(Asked::Get(None), manifest, None, MAX_MANIFEST)?
            }
        };
        text_of(bytes)
    }

    /// A file of the package, or a part of one.
    pub fn read(&self, web: &Web, part: &Part, max_bytes: usize) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Folder { folder, .. } => read_file(folder, part, max_bytes),
            Self::Web { base, cdns, .. } => {
                let range = part.span.map(|span| (span.start, span.end().saturating_sub(1)));
                let ask = |place: &str| {
                    web.ask(Asked::Get(range), &format!("{place}{}", part.path), None, max_bytes)
                };
                let known = cdns.borrow().clone();
                let Some((last, others)) = known.split_last() else { return ask(base) };
                for (at, place) in others.iter().enumerate() {
                    if let Ok(bytes) = ask(place) {
                        take_over(&mut cdns.borrow_mut(), at);
                        return Ok(bytes);
                    }
                }
                ask(last).inspect(|_| take_over(&mut cdns.borrow_mut(), others.len()))
            }
        }
    }
}

/// Takes the CDNs of a manifest; one that was read again changes nothing in their order.
fn learn(known: &mut Vec<String>, named: Vec<String>) {
    if known.len() != named.len() || !named.iter().all(|place| known.contains(place)) {
        *known = named;
    }
}

/// Those before it did not answer: from now on they are asked last.
fn take_over(cdns: &mut [String], at: usize) {
    if at > 0 && at < cdns.len() {
        tracing::warn!(cdns = at, "a CDN does not answer: another one takes over");
        cdns.rotate_left(at);
    }
}

fn text_of(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::Refused(anyhow!("the manifest is no text")))
}

fn read_file(folder: &Path, part: &Part, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let path = folder.join(&part.path);
    let about = || path.display().to_string();
    let mut file = File::open(&path).with_context(about).map_err(Failure::Environment)?;
    let length = file.metadata().with_context(about).map_err(Failure::Environment)?.len();
    let ByteSpan { start, len } = part.span.unwrap_or(ByteSpan { start: 0, len: length });
    if u64::try_from(max_bytes).is_ok_and(|most| len > most) {
        return Err(Failure::Refused(anyhow!("{}: too long", about())));
    }
    let mut bytes = vec![];
    let read = file
        .seek(SeekFrom::Start(start))
        .and_then(|_| file.take(len).read_to_end(&mut bytes))
        .with_context(about)
        .map_err(Failure::Environment)?;
    if u64::try_from(read) != Ok(len) {
        return Err(Failure::Refused(anyhow!("{}: cut off", about())));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cdn_that_failed_stays_last_while_the_manifest_names_the_same() {
        let named = |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).into()).collect() };
        let mut cdns = vec![];
        learn(&mut cdns, named(&["a", "b", "c"]));
        take_over(&mut cdns, 0);
        assert_eq!(cdns, ["a", "b", "c"]);
        take_over(&mut cdns, 1);
        learn(&mut cdns, named(&["a", "b", "c"]));
        assert_eq!(cdns, ["b", "c", "a"]);
        learn(&mut cdns, named(&["a", "d"]));
        assert_eq!(cdns, ["a", "d"]);
    }

    #[test]
    fn a_package_is_named_by_its_folder_or_its_manifest() {
        let web = |text: &str| match Place::parse(text, Dialect::Widevine) {
            Place::Web { manifest, base, .. } => (manifest, base),
            Place::Folder { .. } => panic!("{text} is a URL"),
        };
        let pair = |manifest: &str, base: &str| (manifest.to_owned(), base.to_owned());
        assert_eq!(web("http://h/a/m.mpd?s=1"), pair("http://h/a/m.mpd?s=1", "http://h/a/"));
        assert_eq!(web("https://h/a"), pair("https://h/a/manifest.mpd", "https://h/a/"));
        assert_eq!(web("https://h/a/"), pair("https://h/a/manifest.mpd", "https://h/a/"));
        for (text, known, name) in
            [("out", "out", "manifest.mpd"), ("out/x.mpd", "out", "x.mpd"), ("x.mpd", "", "x.mpd")]
        {
            let Place::Folder { folder, manifest } = Place::parse(text, Dialect::Clearkey) else {
                panic!("{text} is a folder")
            };
            assert_eq!((folder.to_str(), manifest.as_str()), (Some(known), name));
        }
        for (text, name) in [("out", "master.m3u8"), ("out/x.m3u8", "x.m3u8")] {
            let Place::Folder { manifest, .. } = Place::parse(text, Dialect::Fairplay) else {
                panic!("{text} is a folder")
            };
            assert_eq!(manifest, name);
        }
    }
}
