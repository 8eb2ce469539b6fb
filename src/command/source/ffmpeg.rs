//! ffmpeg as a tool: what it may read, how it is followed, what it says when it fails.
//!
//! It gets the source as its standard input and writes to its standard output, both files: no
//! name of the user's stands on its command line, where it could be read as an option or a
//! protocol. It gets no variable of ours but the search path, and it dies when we die.

use super::Container;
use crate::command::{Failure, bound};
use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use server::vault::{Patience, Stalled};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Lines of an error that are kept, the last ones, and how much of each.
const MAX_LINES: usize = 8;
const MAX_LINE: u64 = 400;
/// Bytes of a description.
const MAX_DESCRIPTION: u64 = 4 << 20;

/// Both programs.
pub struct Ffmpeg {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    patience: Patience,
}

/// A program, by the search path.
pub fn in_search_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&folders).map(|folder| folder.join(name));
    paths.find(|path| path.is_absolute() && path.is_file())
}

/// A source is to blame for what ffmpeg says of it, our surroundings for an ffmpeg that says
/// nothing more.
pub fn blame_ffmpeg(error: anyhow::Error) -> Failure {
    let is_stalled = error.downcast_ref().is_some_and(Stalled::caused);
    if is_stalled { Failure::Environment(error) } else { Failure::Refused(error) }
}

/// One run over a source, into MP4 fragments or into nothing.
pub struct Job<'a> {
    /// The source, a file of the system's.
    pub input: &'a File,
    /// Its container.
    pub container: Container,
    /// Where to begin, milliseconds: at the key frame before it.
    pub from_ms: u64,
    /// What is made of it.
    pub output: &'a [String],
    /// A new file; absent: the media is decoded, and that is all.
    pub into: Option<&'a File>,
}

/// What a source holds, as ffprobe reads it.
#[derive(Debug, Default)]
pub struct Reading {
    /// What the container declares; 0: nothing.
    pub duration_ms: u64,
    /// Moving pictures, without cover art.
    pub video: Vec<VideoStream>,
    /// Sound.
    pub audio: Vec<AudioStream>,
}

/// A video stream.
#[derive(Debug, PartialEq)]
pub struct VideoStream {
    /// Columns as shown, square.
    pub width: u32,
    /// Rows as shown.
    pub height: u32,
    /// Frames and seconds; `None`: not known.
    pub frame_rate: Option<(u32, u32)>,
    /// Whether its samples have more than 8 bits.
    pub is_deep: bool,
    /// Whether pictures are stored in another order than they are shown.
    pub reorders: bool,
}

/// A sound stream.
#[derive(Debug, PartialEq, Eq)]
pub struct AudioStream {
    /// ffmpeg's name of the codec.
    pub codec: String,
    /// Channels.
    pub channels: u32,
}

impl Ffmpeg {
    /// Looks for both along the search path. Errors: exit 2 with the remedy.
    pub fn find(patience: Patience) -> Result<Self, Failure> {
        let look = |name: &str| {
            in_search_path(name).ok_or_else(|| {
                Failure::Environment(anyhow!(
                    "this needs {name}, which is not in the search path: install it (Debian and \
                     Ubuntu: `apt-get install ffmpeg`), or give MP4 files and no --ladder"
                ))
            })
        };
        Ok(Self { ffmpeg: look("ffmpeg")?, ffprobe: look("ffprobe")?, patience })
    }

    /// What a source holds.
    pub fn read(&self, input: &File, container: Container) -> anyhow::Result<Reading> {
        let mut command = tool(&self.ffprobe, input)?;
        command.args(["-v", "error", "-f", container.demuxer(), "-of", "json"]);
        command.args(["-protocol_whitelist", "file,pipe", "-show_format", "-show_streams"]);
        command.arg(STANDARD_INPUT).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("ffprobe")?;
        let out = child.stdout.take().context("ffprobe has an output")?;
        let errors = child.stderr.take().context("ffprobe has errors")?;
        // Side by side, so that neither waits for the other.
        let said = thread::spawn(move || follow(errors, |_| ()));
        let text = thread::spawn(move || {
            let mut text = Vec::new();
            out.take(MAX_DESCRIPTION).read_to_end(&mut text).map(|_| text)
        });
        // All of it is said at the end: there is no progress to hear of.
        let (_, heard) = mpsc::channel();
        let status = self.patience.wait(&mut child, &heard, |_| ()).context("ffprobe")?;
        let text = text.join().unwrap_or_else(|_| Ok(Vec::new()))?;
        let said = said.join().unwrap_or_else(|_| Ok(String::new()))?;
        if !status.success() {
            bail!("ffprobe: {said}");
        }
        let described: Described = serde_json::from_slice(&text).context("ffprobe's answer")?;
        Ok(described.reading())
    }

    /// Runs a job, and tells how many milliseconds of media are done.
    ///
    /// Errors: in ffmpeg's own last words; also when it ends well but speaks of an error.
    pub fn run(&self, job: &Job<'_>, progress: impl FnMut(u64)) -> anyhow::Result<()> {
        let mut command = tool(&self.ffmpeg, job.input)?;
        command.args(["-v", "error", "-nostdin", "-nostats", "-progress", "pipe:2", "-xerror"]);
        command.args(["-protocol_whitelist", "file,pipe", "-f", job.container.demuxer()]);
        if job.from_ms > 0 {
            command.args(["-ss", &format!("{}ms", job.from_ms)]);
        }
        command.args(["-i", STANDARD_INPUT]).args(job.output).stderr(Stdio::piped());
        if let Some(file) = job.into {
            // Times as they are, by edit lists; parameter sets from the first samples.
            command.args(["-movflags", "frag_keyframe+delay_moov+default_base_moof"]);
            command.args(["-f", "mp4", "pipe:1"]).stdout(Stdio::from(file.try_clone()?));
        } else {
            command.args(["-f", "null", "pipe:1"]).stdout(Stdio::null());
        }
        let mut child = command.spawn().context("ffmpeg")?;
        let errors = child.stderr.take().context("ffmpeg has errors")?;
        let (tell, heard) = mpsc::channel();
        // Nobody listens any more where it was ended.
        let tell = move |done_ms| _ = tell.send(done_ms);
        let said = thread::spawn(move || follow(errors, tell));
        let status = self.patience.wait(&mut child, &heard, progress).context("ffmpeg")?;
        let said = said.join().unwrap_or_else(|_| Ok(String::new()))?;
        match said.is_empty() {
            true if status.success() => Ok(()),
            true => bail!("ffmpeg ended with {status}"),
            false => bail!("ffmpeg: {said}"),
        }
    }
}

impl Ffmpeg {
    /// Starts copying MPEG-TS from its standard input into MP4 fragments on its standard output,
    /// one for each key frame. What it says goes where our own words go. Sound must be AAC, whose
    /// headers in the stream MP4 does not take: ffmpeg refuses any other under this filter.
    pub fn stream(&self) -> anyhow::Result<Child> {
        let mut command = bound::command(&self.ffmpeg)?;
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        for kept in ["PATH", "LD_LIBRARY_PATH"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        command.args(["-v", "error", "-nostdin", "-protocol_whitelist", "pipe"]);
        // A stream that begins again must be there soon.
        command.args([
            "-probesize",
            "2M",
            "-analyzeduration",
            "1M",
            "-f",
            "mpegts",
            "-i",
            "pipe:0",
        ]);
        command.args(["-map", "0:V?", "-map", "0:a?", "-c", "copy", "-flush_packets", "1"]);
        command.args(["-bsf:a", "aac_adtstoasc"]);
        command.args(["-movflags", "frag_keyframe+delay_moov+default_base_moof"]);
        command.args(["-f", "mp4", "pipe:1"]);
        command.spawn().context("ffmpeg")
    }
}

/// The file that stands behind a program's standard input, which unlike a pipe can be read
/// from any place.
const STANDARD_INPUT: &str = "file:/dev/stdin";

fn tool(program: &Path, input: &File) -> io::Result<Command> {
    let mut input = input.try_clone()?;
    input.rewind()?;
    let mut command = bound::command(program)?;
    command.stdin(Stdio::from(input)).env_clear();
    // Encoders with a log of their own.
    command.env("SVT_LOG", "1");
    for kept in ["PATH", "LD_LIBRARY_PATH"] {
        command.envs(std::env::var_os(kept).map(|value| (kept, value)));
    }
    Ok(command)
}

/// Reads a program's standard error to its end: progress goes to `progress`, the last lines of
/// anything else come back.
fn follow(errors: impl io::Read, mut progress: impl FnMut(u64)) -> io::Result<String> {
    let mut errors = BufReader::new(errors);
    let mut said = VecDeque::new();
    loop {
        let mut line = Vec::new();
        if errors.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(Vec::from(said).join("; "));
        }
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        match progress_of(&line) {
            Some(Some(done_ms)) => progress(done_ms),
            Some(None) => {}
            None if line.is_empty() => {}
            None => {
                if said.len() == MAX_LINES {
                    said.pop_front();
                }
                said.push_back(line.chars().filter(|c| !c.is_control()).collect::<String>());
            }
        }
    }
}

/// `None`: not a line of progress. It may be one and tell no time.
fn progress_of(line: &str) -> Option<Option<u64>> {
    const KEYS: [&str; 10] = [
        "frame",
        "fps",
        "bitrate",
        "total_size",
        "out_time_ms",
        "out_time",
        "dup_frames",
        "drop_frames",
        "speed",
        "progress",
    ];
    let (key, value) = line.split_once('=')?;
    if key == "out_time_us" {
        return Some(value.parse::<u64>().ok().map(|us| us / 1000));
    }
    (KEYS.contains(&key) || key.starts_with("stream_")).then_some(None)
}

/// ffprobe's JSON, as far as it is used.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    #[serde(default)]
    codec_name: String,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    #[serde(default)]
    channels: u32,
    #[serde(default)]
    has_b_frames: u32,
    pix_fmt: Option<String>,
    sample_aspect_ratio: Option<String>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

impl Described {
    fn reading(self) -> Reading {
        let seconds = self.format.duration.and_then(|text| text.parse::<f64>().ok());
        let seconds = seconds.filter(|seconds| (0.0..1e9).contains(seconds)).unwrap_or(0.0);
        let mut reading = Reading {
            duration_ms: u64::try_from(Duration::from_secs_f64(seconds).as_millis()).unwrap_or(0),
            ..Reading::default()
        };
        for stream in self.streams {
            match stream.codec_type.as_deref() {
                Some("video") if stream.disposition.attached_pic == 0 => {
                    reading.video.push(stream.video());
                }
                Some("audio") => reading
                    .audio
                    .push(AudioStream { codec: stream.codec_name, channels: stream.channels }),
                _ => {}
            }
        }
        reading
    }
}

impl Stream {
    fn video(&self) -> VideoStream {
        let (wide, high) = self.sample_aspect_ratio.as_deref().and_then(ratio).unwrap_or((1, 1));
        let shown = u64::from(self.width) * u64::from(wide) / u64::from(high);
        let (mut width, mut height) = (u32::try_from(shown).unwrap_or(self.width), self.height);
        let turns = self.side_data_list.iter().filter_map(|side| side.rotation);
        if turns.map(|degrees| (degrees / 90.0).round()).any(|turns| turns.rem_euclid(2.0) == 1.0) {
            (width, height) = (height, width);
        }
        let average = self.avg_frame_rate.as_deref().and_then(ratio);
        let is_deep = |pixels: &str| {
            ["10", "12", "14", "16"].iter().any(|depth| {
                pixels.ends_with(&format!("p{depth}le"))
                    || pixels.ends_with(&format!("p0{depth}le"))
            })
        };
        VideoStream {
            width,
            height,
            frame_rate: average.or_else(|| self.r_frame_rate.as_deref().and_then(ratio)),
            is_deep: self.pix_fmt.as_deref().is_some_and(is_deep),
            reorders: self.has_b_frames > 0,
        }
    }
}

/// `16:9` or `30000/1001`; `None` for what is unknown, as in `0/0` and `0:1`.
fn ratio(text: &str) -> Option<(u32, u32)> {
    let (one, other) = text.split_once([':', '/'])?;
    let (one, other) = (one.parse().ok()?, other.parse().ok()?);
    (one > 0 && other > 0).then_some((one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_errors() {
        let text = "frame=10\nout_time_us=2500000\nstream_0_0_q=28.0\nprogress=continue\n\
            [mpegts @ 0x1] corrupt input packet\n\nout_time_us=N/A\nkey=value of an error\n";
        let mut done = Vec::new();
        let said = follow(text.as_bytes(), |ms| done.push(ms)).unwrap();
        assert_eq!(done, [2500]);
        assert_eq!(said, "[mpegts @ 0x1] corrupt input packet; key=value of an error");
    }

    #[test]
    fn a_flood_of_errors_is_kept_short() {
        let text = "x".repeat(1_000_000) + "\n" + &"line\n".repeat(1000);
        let said = follow(text.as_bytes(), |_| ()).unwrap();
        assert!(said.len() <= MAX_LINES * 402, "{}", said.len());
        assert!(said.ends_with("line"));
    }

    #[test]
    fn a_description_tells_what_is_shown() {
        let text = r#"{"streams":[
            {"codec_type":"video","codec_name":"h264","width":720,"height":576,
             "sample_aspect_ratio":"16:11","avg_frame_rate":"25/1","pix_fmt":"yuv420p10le",
             "has_b_frames":2},
            {"codec_type":"video","codec_name":"h264","width":1920,"height":1080,
             "avg_frame_rate":"0/0","r_frame_rate":"30000/1001",
             "side_data_list":[{"rotation":-90}]},
            {"codec_type":"video","codec_name":"mjpeg","disposition":{"attached_pic":1}},
            {"codec_type":"audio","codec_name":"aac","channels":2},
            {"codec_type":"data"}],"format":{"duration":"6.021333"}}"#;
        let reading = serde_json::from_str::<Described>(text).unwrap().reading();
        assert_eq!(reading.duration_ms, 6021);
        let shown: Vec<_> = reading.video.iter().map(|v| (v.width, v.height)).collect();
        assert_eq!(shown, [(1047, 576), (1080, 1920)]);
        let [first, second] = &reading.video[..] else { unreachable!() };
        assert!(first.is_deep && first.reorders && !second.is_deep && !second.reorders);
        assert_eq!((first.frame_rate, second.frame_rate), (Some((25, 1)), Some((30000, 1001))));
        assert_eq!(reading.audio, [AudioStream { codec: "aac".into(), channels: 2 }]);
    }

    #[test]
    fn a_description_of_nothing_is_nothing() {
        for text in ["{}", r#"{"streams":[{}],"format":{"duration":"N/A"}}"#] {
            let reading = serde_json::from_str::<Described>(text).unwrap().reading();
            assert_eq!((reading.duration_ms, reading.video.len()), (0, 0));
        }
    }
}
