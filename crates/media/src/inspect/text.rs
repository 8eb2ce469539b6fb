//! The report as text: a summary, what is wrong, then the tree.

use super::fields::{BoxDetail, KeySettings};
use super::{BoxNode, KeyRun, ManifestReport, MediaReport, Report};
use crate::pssh::{Pssh, SystemData};
use model::KeyId;
use std::fmt::{Display, Formatter, Result, Write as _};

/// How many boxes of one type are shown in a row; a long file has thousands of fragments.
const SHOWN_IN_A_ROW: usize = 6;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Media(media) => media_text(f, media)?,
            Self::Manifest(manifest) => manifest_text(f, manifest)?,
        }
        for defect in self.defects() {
            writeln!(f, "WRONG at {} in {}: {}", defect.at, or_file(&defect.within), defect.what)?;
        }
        match self {
            Self::Media(media) => tree(f, &media.boxes, 0),
            Self::Manifest(_) => Ok(()),
        }
    }
}

fn or_file(within: &str) -> &str {
    if within.is_empty() { "the file" } else { within }
}

fn media_text(f: &mut Formatter<'_>, media: &MediaReport) -> Result {
    writeln!(f, "{} bytes, {} tracks", media.size_bytes, media.tracks.len())?;
    for track in &media.tracks {
        let handler = track.handler.as_deref().unwrap_or("segment");
        write!(f, "track {}: {handler}", track.id)?;
        track.sample_entries.iter().try_for_each(|entry| write!(f, " {entry}"))?;
        if let Some(scheme) = &track.scheme {
            write!(f, " {scheme}")?;
        }
        write_kids(f, &track.kids)?;
        if track.samples > 0 {
            write!(
                f,
                ", {} of {} samples protected, {} of {} bytes ({} %)",
                track.protected_samples,
                track.samples,
                track.protected_bytes,
                track.sample_bytes,
                track.protected_percent
            )?;
        }
        writeln!(f)?;
        for run in track.key_runs.iter().take(SHOWN_IN_A_ROW) {
            let KeyRun { kid, fragments, samples } = run;
            let key = kid.map_or_else(|| "no key".to_owned(), |kid| kid.to_uuid());
            writeln!(f, "  {fragments} fragments, {samples} samples under {key}")?;
        }
        if track.key_runs.len() > SHOWN_IN_A_ROW {
            writeln!(f, "  … and {} more keys", track.key_runs.len() - SHOWN_IN_A_ROW)?;
        }
    }
    Ok(())
}

fn write_kids(f: &mut Formatter<'_>, kids: &[KeyId]) -> Result {
    kids.iter().try_for_each(|kid| write!(f, " {}", kid.to_uuid()))
}

fn tree(f: &mut Formatter<'_>, boxes: &[BoxNode], depth: usize) -> Result {
    for run in runs(boxes) {
        for node in run.iter().take(SHOWN_IN_A_ROW) {
            f.write_str(&"  ".repeat(depth))?;
            write!(f, "{} @{} {}", node.kind, node.offset, node.size_bytes)?;
            if let Some(detail) = &node.detail {
                f.write_char(' ')?;
                detail_text(f, detail)?;
            }
            writeln!(f)?;
            tree(f, &node.children, depth + 1)?;
        }
        if run.len() > SHOWN_IN_A_ROW {
            let more = run.len() - SHOWN_IN_A_ROW;
            writeln!(f, "{}… and {more} more like these", "  ".repeat(depth))?;
        }
    }
    Ok(())
}

/// Cuts siblings where the pattern of types changes: `moof mdat moof mdat` is one run.
fn runs(boxes: &[BoxNode]) -> Vec<Vec<&BoxNode>> {
    const REPEATED: [&str; 4] = ["styp", "sidx", "moof", "mdat"];
    let mut runs: Vec<Vec<&BoxNode>> = Vec::new();
    for node in boxes {
        let is_repeated = |node: &BoxNode| REPEATED.contains(&node.kind.as_str());
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| is_repeated(last) && is_repeated(node)) => {
                run.push(node);
            }
            _ => runs.push(vec![node]),
        }
    }
    runs
}

fn detail_text(f: &mut Formatter<'_>, detail: &BoxDetail) -> Result {
    match detail {
        BoxDetail::Brands { major, minor, compatible } => {
            write!(f, "{major} {minor} [{}]", compatible.join(" "))
        }
        BoxDetail::Track { id } => write!(f, "track {id}"),
        BoxDetail::Handler { handler } => f.write_str(handler),
        BoxDetail::OriginalFormat { format } => f.write_str(format),
        BoxDetail::Scheme { scheme, version } => write!(f, "{scheme} {version:#x}"),
        BoxDetail::Encryption(settings) => key_text(f, settings),
        BoxDetail::KeyGroups(groups) => {
            write!(f, "seig")?;
            groups.iter().try_for_each(|group| {
                f.write_str(" · ")?;
                key_text(f, group)
            })
        }
        BoxDetail::Samples { count } => write!(f, "{count} samples"),
        BoxDetail::Index { references, timescale } => {
            write!(f, "{references} references, timescale {timescale}")
        }
        BoxDetail::Pssh(pssh) => pssh_text(f, pssh),
        BoxDetail::Facts(facts) => write!(f, "{facts}"),
    }
}

fn key_text(f: &mut Formatter<'_>, settings: &KeySettings) -> Result {
    if !settings.is_protected {
        return f.write_str("not protected");
    }
    f.write_str(&settings.kid.to_uuid())?;
    match settings.constant_iv_size {
        Some(len) => write!(f, ", constant IV of {len} bytes")?,
        None => write!(f, ", IVs of {} bytes", settings.iv_size)?,
    }
    settings.pattern.map_or(Ok(()), |(crypt, skip)| write!(f, ", pattern {crypt}:{skip}"))
}

fn pssh_text(f: &mut Formatter<'_>, pssh: &Pssh) -> Result {
    match pssh.system.name() {
        Some(name) => write!(f, "{name}")?,
        None => write!(f, "{}", pssh.system)?,
    }
    write!(f, " v{}", pssh.version)?;
    write_kids(f, &pssh.all_kids())?;
    match &pssh.data {
        SystemData::Widevine(widevine) => {
            if let Some(scheme) = widevine.scheme() {
                write!(f, ", {scheme}")?;
            }
            if let Some(provider) = &widevine.provider {
                write!(f, ", provider {provider:?}")?;
            }
            Ok(())
        }
        SystemData::PlayReady(object) => write!(f, ", header {}", object.header),
        SystemData::Opaque(bytes) if bytes.is_empty() => Ok(()),
        SystemData::Opaque(bytes) => write!(f, ", {} bytes", bytes.len()),
    }
}

fn manifest_text(f: &mut Formatter<'_>, manifest: &ManifestReport) -> Result {
    let kind = match manifest.kind {
        super::ManifestKind::Dash => "DASH manifest",
        super::ManifestKind::HlsMultivariant => "HLS multivariant playlist",
        super::ManifestKind::HlsMedia => "HLS media playlist",
    };
    let (renditions, segments) = (manifest.renditions.len(), manifest.segments);
    writeln!(f, "{kind}, {renditions} renditions, {segments} segments")?;
    for rendition in &manifest.renditions {
        f.write_str(&rendition.id)?;
        let fields = [
            &rendition.codecs,
            &rendition.resolution,
            &rendition.bandwidth,
            &rendition.language,
            &rendition.scheme,
        ];
        fields.into_iter().flatten().try_for_each(|field| write!(f, " {field}"))?;
        write_kids(f, &rendition.kids)?;
        let names: Vec<&str> = rendition.systems.iter().map(|one| one.name.as_str()).collect();
        if !names.is_empty() {
            write!(f, " [{}]", names.join(", "))?;
        }
        writeln!(f)?;
    }
    for system in &manifest.systems {
        write!(f, "{}:", system.name)?;
        write_kids(f, &system.kids)?;
        writeln!(f)?;
    }
    manifest.license_urls.iter().try_for_each(|url| writeln!(f, "license URL {url}"))
}
