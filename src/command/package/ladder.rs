//! `--ladder`: a mezzanine becomes renditions whose key frames stand at the same times.
//!
//! ffmpeg decodes once and encodes every rendition side by side, into one file without a name.
//! All renditions are made of the same frames at a constant rate and have a key frame at every
//! so manyeth of them and nowhere else, so that segments begin at the same times in all.

use super::arguments::LadderCodec;
use crate::command::Failure;
use crate::command::source::{
    Container, Ffmpeg, Job, Reading, Sources, VideoStream, blame_ffmpeg, open,
};
use crate::screen::time_bar;
use anyhow::{Context as _, anyhow};
use server::vault::Source;
use std::fmt::Write as _;
use std::sync::Arc;

/// Renditions of one ladder.
const MAX_RUNGS: usize = 12;
/// Smallest and largest height.
const HEIGHTS: std::ops::RangeInclusive<u32> = 64..=4320;
/// What `auto` chooses from.
const USUAL: [u32; 7] = [2160, 1440, 1080, 720, 480, 360, 240];
/// Most frames a second.
const MAX_FPS: f64 = 60.0;
/// A key frame at least so often, seconds, where the segments' length allows.
const KEY_FRAME_S: u32 = 2;
/// Bits a second of a 1080p rendition in H.264; others follow their number of pixels.
const BITS_1080P: f64 = 5_000_000.0;

/// What is to be made of a mezzanine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ladder {
    /// The usual heights up to the source's.
    Auto,
    /// These heights, the largest first.
    Heights(Vec<u32>),
}

impl Ladder {
    /// Reads `auto` or `1080p,720p`. Errors: in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let mut heights = Vec::new();
        for rung in text.split(',') {
            let height = rung.strip_suffix('p').unwrap_or(rung).parse().ok();
            let height = height.filter(|height| HEIGHTS.contains(height) && height % 2 == 0);
            let height = height.ok_or_else(|| {
                format!("'{rung}' is no rung: write auto, or even heights such as 1080p,720p")
            })?;
            if heights.contains(&height) {
                return Err(format!("{height}p stands there twice"));
            }
            heights.push(height);
        }
        if heights.len() > MAX_RUNGS {
            return Err(format!("more than {MAX_RUNGS} renditions"));
        }
        heights.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self::Heights(heights))
    }

    /// Width and height of each rendition of a source; never larger than the source.
    fn sizes(&self, source: &VideoStream) -> Result<Vec<(u32, u32)>, String> {
        // Of a portrait picture, the width counts.
        let own = source.width.min(source.height);
        let heights = match self {
            Self::Auto => {
                let fitting = USUAL.into_iter().filter(|height| *height <= own).collect::<Vec<_>>();
                if fitting.is_empty() { vec![own] } else { fitting }
            }
            Self::Heights(heights) => heights.clone(),
        };
        if let Some(above) = heights.iter().find(|height| **height > own) {
            return Err(format!(
                "{above}p is more than the source has ({own}p): nothing is enlarged; leave it out, \
                 or say --ladder auto"
            ));
        }
        Ok(heights.iter().map(|height| scaled(source, own, *height)).collect())
    }
}

/// The source's shape with its shorter side at `to`, rounded to even numbers.
fn scaled(source: &VideoStream, from: u32, to: u32) -> (u32, u32) {
    let even = |side: u32| {
        let scaled = u64::from(side) * u64::from(to) / u64::from(from.max(1));
        u32::try_from(scaled.div_ceil(2) * 2).unwrap_or(side).max(2)
    };
    let floor = |side: u32| side / 2 * 2;
    (even(source.width).min(floor(source.width)), even(source.height).min(floor(source.height)))
}

/// Makes the renditions of a mezzanine.
///
/// Errors: exit 2 without ffmpeg; exit 1 for a source that cannot be read, has no picture, or
/// is smaller than a rung.
pub fn encode(
    source: &Source,
    ladder: &Ladder,
    codec: LadderCodec,
    segment_s: u32,
    sources: &Sources,
) -> Result<Source, Failure> {
    let name = source.name();
    let refuse = |what: anyhow::Error| Failure::Refused(what.context(name.clone()));
    let blame = |what: anyhow::Error| blame_ffmpeg(what.context(name.clone()));
    let ffmpeg = Ffmpeg::find(sources.patience())?;
    let container = Container::of(&mut *open(source)?)
        .ok_or_else(|| refuse(anyhow!("not MP4, MOV, MPEG-TS, Matroska, WebM, AVI or FLV")))?;
    let input = sources.local(source)?;
    let reading = ffmpeg.read(&input, container).map_err(blame)?;
    let video = reading.video.first().ok_or_else(|| refuse(anyhow!("it has no picture")))?;
    let sizes = ladder.sizes(video).map_err(|what| refuse(anyhow!(what)))?;
    let rate = frame_rate(video);
    let output = options(&reading, video, &sizes, codec, rate, segment_s);
    let file = sources.spool().file().with_context(|| name.clone());
    let file = file.map_err(Failure::Environment)?;
    let bar = time_bar("encoding", reading.duration_ms);
    let job = Job { input: &input, container, from_ms: 0, output: &output, into: Some(&file) };
    ffmpeg.run(&job, |done_ms| bar.set_position(done_ms)).map_err(blame)?;
    bar.finish_and_clear();
    let encoded = Source::Spooled { name: name.clone(), file: Arc::new(file) };
    sources.check_length(&encoded, reading.duration_ms)?;
    Ok(encoded)
}

/// The source's own rate, halved until it is one that renditions have.
fn frame_rate(video: &VideoStream) -> (u32, u32) {
    let (frames, mut seconds) = video.frame_rate.unwrap_or((25, 1));
    while f64::from(frames) / f64::from(seconds) > MAX_FPS * 1.01 {
        seconds = seconds.saturating_mul(2);
    }
    (frames, seconds)
}

/// Frames from one key frame to the next: a whole part of a segment.
fn key_interval((frames, seconds): (u32, u32), segment_s: u32) -> u64 {
    let parts = segment_s.div_ceil(KEY_FRAME_S).max(1);
    let divisor = u64::from(seconds) * u64::from(parts);
    (u64::from(frames) * u64::from(segment_s)).div_ceil(divisor.max(1)).max(1)
}

fn options(
    reading: &Reading,
    video: &VideoStream,
    sizes: &[(u32, u32)],
    codec: LadderCodec,
    rate: (u32, u32),
    segment_s: u32,
) -> Vec<String> {
    let mut options = vec!["-filter_complex".to_owned(), graph(sizes, codec, video, rate)];
    let mut say = |words: &[&str]| options.extend(words.iter().map(|word| (*word).to_owned()));
    let interval = key_interval(rate, segment_s).to_string();
    let keys = format!("expr:eq(mod(n,{interval}),0)");
    for (index, size) in sizes.iter().enumerate() {
        say(&["-map", &format!("[v{index}]")]);
        let bits = bits(*size, codec);
        let option = |name: &str| format!("-{name}:v:{index}");
        say(&[&option("b"), &bits.to_string()]);
        // SVT-AV1 knows a highest rate only where it is not told the mean one.
        if codec != LadderCodec::Av1 {
            say(&[&option("maxrate"), &(bits * 5 / 4).to_string()]);
            say(&[&option("bufsize"), &(bits * 2).to_string()]);
        }
    }
    // Frames as the graph gives them (`-fps_mode passthrough`, by the name old versions know).
    say(&["-g", &interval, "-force_key_frames", &keys, "-vsync", "0"]);
    match codec {
        LadderCodec::H264 => {
            say(&["-c:v", "libx264", "-preset", "medium", "-sc_threshold", "0"]);
            say(&["-keyint_min", &interval, "-flags", "+cgop"]);
        }
        LadderCodec::Hevc => {
            let only = format!("keyint={interval}:min-keyint={interval}:scenecut=0:open-gop=0");
            say(&["-c:v", "libx265", "-tag:v", "hvc1", "-x265-params"]);
            say(&[&format!("{only}:log-level=error")]);
        }
        LadderCodec::Av1 => say(&["-c:v", "libsvtav1", "-preset", "8"]),
    }
    for (index, audio) in reading.audio.iter().enumerate() {
        say(&["-map", &format!("0:a:{index}")]);
        if audio.codec == "aac" {
            say(&[&format!("-c:a:{index}"), "copy", &format!("-bsf:a:{index}"), "aac_adtstoasc"]);
        } else {
            let bits = 64_000 * audio.channels.clamp(1, 8);
            say(&[&format!("-c:a:{index}"), "aac", &format!("-b:a:{index}"), &bits.to_string()]);
        }
    }
    options
}

/// One decoded picture for all: deinterlaced where it is interlaced, at a constant rate.
fn graph(
    sizes: &[(u32, u32)],
    codec: LadderCodec,
    video: &VideoStream,
    rate: (u32, u32),
) -> String {
    let pixels = match codec {
        LadderCodec::Hevc | LadderCodec::Av1 if video.is_deep => "yuv420p10le",
        _ => "yuv420p",
    };
    let (frames, seconds) = rate;
    // The first picture is moved to a multiple of a frame, by half of one at most: between two
    // of them, every rounding of the container's clock would double or drop a picture.
    let snap =
        format!("setpts=PTS-STARTPTS+round(STARTPTS*TB*{frames}/{seconds})*{seconds}/{frames}/TB");
    let mut graph = format!("[0:V:0]yadif=deint=interlaced,{snap},fps={frames}/{seconds}");
    let _infallible = write!(graph, ",split={}", sizes.len());
    for index in 0..sizes.len() {
        let _infallible = write!(graph, "[s{index}]");
    }
    for (index, (width, height)) in sizes.iter().enumerate() {
        let scale = format!("scale={width}:{height}:flags=bicubic,setsar=1,format={pixels}");
        let _infallible = write!(graph, ";[s{index}]{scale}[v{index}]");
    }
    graph
}

/// Bits a second: a smaller picture needs fewer, yet more for each pixel.
#[expect(clippy::cast_possible_truncation, reason = "heights are bounded, and so is the result")]
fn bits((width, height): (u32, u32), codec: LadderCodec) -> u64 {
    let share = f64::from(width) * f64::from(height) / (1920.0 * 1080.0);
    let of_h264 = match codec {
        LadderCodec::H264 => 1.0,
        LadderCodec::Hevc => 0.65,
        LadderCodec::Av1 => 0.55,
    };
    (BITS_1080P * share.powf(0.75) * of_h264) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(width: u32, height: u32) -> VideoStream {
        VideoStream { width, height, frame_rate: None, is_deep: false, reorders: false }
    }

    #[test]
    fn rungs_are_even_heights_and_once_each() {
        let heights = |text: &str| match Ladder::parse(text).unwrap() {
            Ladder::Heights(heights) => heights,
            Ladder::Auto => vec![],
        };
        assert_eq!(heights("360p,1080p,720"), [1080, 720, 360]);
        assert!(heights("auto").is_empty());
        for text in ["", "720p,", "721p", "8p", "9000p", "720p,720", "-720p", "720x480"] {
            assert!(Ladder::parse(text).is_err(), "{text}");
        }
        let many: Vec<_> = (50..63).map(|n| format!("{}p", n * 2)).collect();
        assert!(Ladder::parse(&many.join(",")).is_err());
    }

    #[test]
    fn nothing_is_larger_than_its_source() {
        let auto = |width, height| Ladder::Auto.sizes(&video(width, height)).unwrap();
        assert_eq!(auto(1920, 1080)[..2], [(1920, 1080), (1280, 720)]);
        assert_eq!(auto(1280, 720)[0], (1280, 720));
        assert_eq!(auto(1080, 1920)[1], (720, 1280));
        assert_eq!(auto(176, 144), [(176, 144)]);
        assert_eq!(auto(1921, 1081)[0], (1920, 1080));
        for (width, height) in [(1047, 577), (853, 480), (3, 3), (4096, 1716)] {
            for (wide, high) in auto(width, height) {
                assert!(wide <= width && high <= height && wide % 2 == 0 && high % 2 == 0);
            }
        }
        let refused = Ladder::Heights(vec![1080, 720]).sizes(&video(1280, 720)).unwrap_err();
        assert!(refused.contains("1080p") && refused.contains("720p"), "{refused}");
    }

    #[test]
    fn a_segment_is_whole_groups_of_frames() {
        assert_eq!(key_interval((25, 1), 4), 50);
        assert_eq!(key_interval((30000, 1001), 4), 60);
        assert_eq!(key_interval((24000, 1001), 6), 48);
        assert_eq!(key_interval((25, 1), 1), 25);
        assert_eq!(key_interval((25, 1), 5), 42);
        assert_eq!(
            frame_rate(&VideoStream { frame_rate: Some((120, 1)), ..video(2, 2) }),
            (120, 2)
        );
    }

    #[test]
    fn bits_grow_slower_than_pictures() {
        let [large, small] = [(1920, 1080), (640, 360)].map(|size| bits(size, LadderCodec::H264));
        assert_eq!(large, 5_000_000);
        assert!(small > large / 9 && small < large / 4, "{small}");
        assert!(bits((1920, 1080), LadderCodec::Av1) < bits((1920, 1080), LadderCodec::Hevc));
    }
}
