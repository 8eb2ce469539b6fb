//! The demo's clear clips: those that `cargo xtask content` made, or a test card; and subtitles
//! for them.

use crate::screen::spinner;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The clips of one title.
pub struct Clips {
    /// The clear picture and sound that the package is made of, as one file to compare with.
    pub source: PathBuf,
    /// Renditions, sound tracks and subtitles.
    pub inputs: Vec<PathBuf>,
}

/// Files that a content folder holds.
const RENDITIONS: [&str; 4] = ["video-360p.mp4", "video-720p.mp4", "audio-en.mp4", "audio-de.mp4"];
const SOURCE: &str = "clip.mp4";

/// Subtitles by hand, by the names from which the packager knows their languages.
const SUBTITLES: [(&str, &str); 2] = [
    ("subs.en.vtt", include_str!("subtitles/subs.en.vtt")),
    ("subs.de.vtt", include_str!("subtitles/subs.de.vtt")),
];

/// The clips, and the subtitles in the data folder.
///
/// The clips of the named folder; else the one that `cargo xtask content` fills, seen from the working
/// directory or from the binary; else a test card made by ffmpeg in the data folder.
pub fn find_or_make(named: Option<&Path>, data: &Path) -> anyhow::Result<Clips> {
    let mut clips = find_or_make_clips(named, data)?;
    let folder = data.join("subtitles");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in SUBTITLES {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        clips.inputs.push(path);
    }
    Ok(clips)
}

fn find_or_make_clips(named: Option<&Path>, data: &Path) -> anyhow::Result<Clips> {
    if let Some(folder) = named {
        return clips_in(folder)
            .with_context(|| format!("{}: not all clips are there", folder.display()));
    }
    let beside_binary = std::env::current_exe()
        .ok()
        .and_then(|binary| Some(binary.parent()?.parent()?.join("demo/content")));
    let known = [Some(PathBuf::from("target/demo/content")), beside_binary];
    if let Some(clips) = known.into_iter().flatten().find_map(|folder| clips_in(&folder)) {
        return Ok(clips);
    }
    let folder = data.join("content");
    if clips_in(&folder).is_none() {
        make(&folder)?;
    }
    clips_in(&folder).context("the clips that were made are not all there")
}

fn clips_in(folder: &Path) -> Option<Clips> {
    let folder = folder.canonicalize().ok()?;
    let inputs: Vec<PathBuf> = RENDITIONS.iter().map(|name| folder.join(name)).collect();
    let source = folder.join(SOURCE);
    (inputs.iter().all(|path| path.is_file()) && source.is_file())
        .then_some(Clips { source, inputs })
}

/// Makes 36 seconds of moving test card in two sizes and two tones.
fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let step = spinner("making the demo's clips (ffmpeg)");
    // Soft, so that a picture compared with its neighbor of 40 ms later is nearly the same.
    let card = |size: &str| format!("testsrc2=size={size}:rate=25:duration=36,gblur=sigma=8");
    let tone = |hertz: u32| format!("sine=frequency={hertz}:duration=36:sample_rate=48000");
    let picture = "-c:v libx264 -preset veryfast -g 50 -sc_threshold 0 -pix_fmt yuv420p";
    for (name, size) in [("video-360p.mp4", "640x360"), ("video-720p.mp4", "1280x720")] {
        ffmpeg(&["-f", "lavfi", "-i", &card(size)], picture, &folder.join(name))?;
    }
    for (name, hertz, language) in [("audio-en.mp4", 440, "eng"), ("audio-de.mp4", 660, "deu")] {
        let sound = format!("-c:a aac -b:a 96k -metadata:s:a:0 language={language}");
        ffmpeg(&["-f", "lavfi", "-i", &tone(hertz)], &sound, &folder.join(name))?;
    }
    let [video, audio] = ["video-720p.mp4", "audio-en.mp4"].map(|name| folder.join(name));
    let [video, audio] = [&video, &audio].map(|path| path.to_str().unwrap_or_default());
    ffmpeg(&["-i", video, "-i", audio], "-c copy", &folder.join(SOURCE))?;
    step.finish_and_clear();
    Ok(())
}

/// Whether thumbnails can be made: a demo without them is one all the same.
pub fn has_ffmpeg() -> bool {
    let asked = Command::new("ffmpeg").arg("-version").stdin(Stdio::null()).output();
    asked.is_ok_and(|answer| answer.status.success())
}

fn ffmpeg(inputs: &[&str], options: &str, out: &Path) -> anyhow::Result<()> {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(inputs)
        .args(options.split(' '))
        .arg(out)
        .stdout(Stdio::null())
        .output()
        .context("ffmpeg makes the demo's clips; install it (apt-get install ffmpeg)")?;
    if !run.status.success() {
        bail!("ffmpeg: {}", String::from_utf8_lossy(&run.stderr).trim_end());
    }
    Ok(())
}
