//! A clip packaged by us, in files as the other tools read them.

use crate::keys::keys;
use ::keys::{PackagingKeys, SystemEntropy};
use media::NamedInput;
use media::package::{Layout, Plan, package};
use model::{ContentId, PackageId, PackagedEvent, Scheme, Timestamp, TrackClass};
use server::vault::{FileInput, FolderOutput};
use std::path::{Path, PathBuf};

pub fn package_clips(
    clips: &[&Path],
    layout: Layout,
    with_cenc_iv: bool,
    to: &Path,
) -> PackagedEvent {
    package_planned(clips, with_cenc_iv, to, |plan| plan.layout = layout)
}

/// The same with another plan.
pub fn package_planned(
    clips: &[&Path],
    with_cenc_iv: bool,
    to: &Path,
    edit: impl FnOnce(&mut Plan),
) -> PackagedEvent {
    package_under(keys(with_cenc_iv), clips, to, edit)
}

/// The same under other keys.
pub fn package_under(
    keys: PackagingKeys,
    clips: &[&Path],
    to: &Path,
    edit: impl FnOnce(&mut Plan),
) -> PackagedEvent {
    let mut files: Vec<_> = clips.iter().map(|clip| FileInput::open(clip).unwrap()).collect();
    let mut inputs: Vec<_> = files
        .iter_mut()
        .zip(clips)
        .map(|(input, clip)| NamedInput { name: clip.display().to_string(), input })
        .collect();
    let mut plan = Plan {
        content_id: ContentId::parse("clip").unwrap(),
        package_id: PackageId::random(&mut SystemEntropy),
        schemes: Scheme::ALL.to_vec(),
        layout: Layout::Segments,
        segment_s: 4,
        packager: "test".into(),
        now: Timestamp(0),
        images: None,
        has_trick_track: false,
        rotation: None,
        clear_lead_s: 0,
        descriptions: Vec::new(),
        ad_cues_ms: Vec::new(),
    };
    edit(&mut plan);
    let mut folder = FolderOutput::new(to);
    package(&mut inputs, &plan, &keys, &mut folder, &mut SystemEntropy, &mut |_| ())
        .unwrap_or_else(|error| panic!("{clips:?}: {error}"))
}

/// The source's stream that a variant was made of.
pub fn stream_of(class: TrackClass) -> (&'static str, &'static str) {
    if class == TrackClass::Audio { ("0:a:0", "audio") } else { ("0:v:0", "video") }
}

/// Init and segments of a variant as one file; in the single-file layout that file.
pub fn joined(package: &Path, event: &PackagedEvent, at: usize, scratch: &Path) -> PathBuf {
    let variant = &event.variants[at];
    let folder = package.join(variant.scheme.name()).join(&variant.name);
    if !folder.is_dir() {
        return folder.with_extension("mp4");
    }
    let mut bytes = std::fs::read(folder.join("init.mp4")).unwrap();
    for number in 1.. {
        let Ok(segment) = std::fs::read(folder.join(format!("{number}.m4s"))) else { break };
        bytes.extend(segment);
    }
    let path = scratch.join(format!("{}-{}-joined.mp4", variant.scheme, variant.name));
    std::fs::write(&path, bytes).unwrap();
    path
}
