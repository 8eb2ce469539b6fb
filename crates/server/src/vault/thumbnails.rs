//! Thumbnails: pictures that ffmpeg takes out of a source, through pipes. What is to be made and
//! whether it was made is for `media` to say.
//!
//! A picture is the key frame shown at its time or before it, so that one in fifty pictures is
//! decoded and a film takes seconds.

use super::source::Source;
use media::images::{ImageFault, ImageSet, MAX_SIDE, Pictures, Tiles, TilesRefused, TilesWanted};
use media::manifest::TrackMedia;
use media::package::Probe;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;

/// Bytes of one picture at most: ten times what a busy one of the largest size has.
const MAX_PICTURE_BYTES: u64 = 1 << 20;
/// Bytes of all pictures of one kind at most.
const MAX_BYTES: u64 = 512 << 20;
/// How much of what ffmpeg says is repeated.
const MAX_SAID: u64 = 2048;

/// Why there are no thumbnails.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// They cannot be as they were asked for.
    #[error(transparent)]
    Refused(#[from] TilesRefused),
    /// The picture is not on this machine.
    #[error("thumbnails are made of files: copy {0} to this machine first")]
    Elsewhere(String),
    /// There is no ffmpeg.
    #[error("thumbnails need ffmpeg, which is not installed (apt-get install ffmpeg)")]
    NoFfmpeg,
    /// It cannot be run.
    #[error("ffmpeg cannot be run: {0}")]
    Run(io::Error),
    /// It failed.
    #[error("ffmpeg made no thumbnails: {0}")]
    Failed(String),
    /// It made other pictures than it was to make.
    #[error("ffmpeg made other thumbnails than it was to make: {0}")]
    Pictures(#[from] ImageFault),
}

/// Makes the thumbnails of a title.
///
/// Errors: [`ThumbnailError`].
pub fn make(
    wanted: TilesWanted,
    probe: &Probe,
    inputs: &[Source],
) -> Result<ImageSet, ThumbnailError> {
    let picture = picture(probe).ok_or(TilesRefused::NoPicture)?;
    let input = inputs.get(picture.input).ok_or(TilesRefused::NoPicture)?;
    let duration_ms = probe.tracks.iter().map(|track| track.duration_ms).max().unwrap_or(0);
    let tiles = Tiles::plan(wanted, picture.size, duration_ms)?;
    let limit = (u64::from(tiles.count) * MAX_PICTURE_BYTES).min(MAX_BYTES);
    // A file without a name is read as ffmpeg's standard input, which is seekable then.
    let (place, from) = match input {
        Source::File(path) => (path.clone().into_os_string(), Feed::Bytes(&[])),
        Source::Spooled { file, .. } => (OsString::from("/dev/stdin"), Feed::File(file)),
        Source::Remote(_) => return Err(ThumbnailError::Elsewhere(input.name())),
    };
    let thumbnails = ffmpeg(&thumbnail_arguments(&tiles, place, picture.number), &from, limit)?;
    let sheets = ffmpeg(&sheet_arguments(&tiles), &Feed::Bytes(&thumbnails), limit)?;
    Ok(ImageSet::new(tiles, &Pictures { thumbnails, sheets })?)
}

/// The track that the pictures come from.
struct PictureTrack {
    /// Index of its source.
    input: usize,
    /// Which picture of the source it is, counted from 0.
    number: usize,
    size: (u32, u32),
}

/// The smallest rendition that is no smaller than a thumbnail: the cheapest to decode.
fn picture(probe: &Probe) -> Option<PictureTrack> {
    let mut found: Vec<PictureTrack> = Vec::new();
    for track in &probe.tracks {
        if let TrackMedia::Video { width, height, .. } = track.media {
            let number = found.iter().filter(|one| one.input == track.input).count();
            found.push(PictureTrack { input: track.input, number, size: (width, height) });
        }
    }
    let side = |one: &PictureTrack| one.size.0.max(one.size.1);
    found.into_iter().min_by_key(|one| {
        let is_small = side(one) < MAX_SIDE;
        (is_small, if is_small { MAX_SIDE - side(one) } else { side(one) })
    })
}

/// One JPEG for each interval, the last one again where the picture ends before the sound.
fn thumbnail_arguments(tiles: &Tiles, place: OsString, number: usize) -> Vec<OsString> {
    let Tiles { width, height, interval_s, count, .. } = tiles;
    let mut source = OsString::from("file:");
    source.push(place);
    let filter = format!(
        "fps=fps=1/{interval_s}:start_time=0:round=up,tpad=stop_mode=clone:stop={count},\
         scale={width}:{height},setsar=1,format=yuvj420p"
    );
    let mut arguments = texts("-protocol_whitelist file,pipe -skip_frame nokey -i");
    arguments.push(source);
    arguments.extend(texts(&format!("-map 0:V:{number} -frames:v {count} -vf {filter}")));
    arguments.extend(texts(OUT));
    arguments
}

/// The same JPEGs, laid out row by row.
fn sheet_arguments(tiles: &Tiles) -> Vec<OsString> {
    let Tiles { columns, rows, .. } = tiles;
    let mut arguments = texts("-protocol_whitelist pipe -f image2pipe -c:v mjpeg -i pipe:0");
    arguments.extend(texts(&format!("-vf tile={columns}x{rows},format=yuvj420p")));
    arguments.extend(texts(OUT));
    arguments
}

const OUT: &str = "-fps_mode passthrough -c:v mjpeg -q:v 4 -f image2pipe pipe:1";

fn texts(line: &str) -> Vec<OsString> {
    line.split_ascii_whitespace().map(OsString::from).collect()
}

/// What ffmpeg has as its standard input.
enum Feed<'a> {
    Bytes(&'a [u8]),
    File(&'a File),
}

/// Runs ffmpeg; returns what it writes.
fn ffmpeg(arguments: &[OsString], from: &Feed<'_>, limit: u64) -> Result<Vec<u8>, ThumbnailError> {
    let (stdin, input): (Stdio, &[u8]) = match from {
        Feed::Bytes(bytes) => (Stdio::piped(), bytes),
        Feed::File(file) => (file.try_clone().map_err(ThumbnailError::Run)?.into(), &[]),
    };
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-xerror"])
        .args(arguments)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ThumbnailError::NoFfmpeg,
            _ => ThumbnailError::Run(error),
        })?;
    let (bytes, said) = converse(&mut child, input, limit).map_err(|error| {
        // It is of no more use; that it ended by itself is no failure.
        drop(child.kill());
        drop(child.wait());
        ThumbnailError::Run(error)
    })?;
    let status = child.wait().map_err(ThumbnailError::Run)?;
    if status.success() { Ok(bytes) } else { Err(ThumbnailError::Failed(said)) }
}

/// Feeds and drains all three pipes at once, so that none can block another.
fn converse(child: &mut Child, input: &[u8], limit: u64) -> io::Result<(Vec<u8>, String)> {
    let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
    let to = child.stdin.take();
    let from = child.stdout.take().ok_or_else(closed)?;
    let mut complaints = child.stderr.take().ok_or_else(closed)?;
    thread::scope(|scope| {
        // A tool that stops reading says why itself.
        scope.spawn(move || drop(to.map(|mut to| to.write_all(input))));
        let said = scope.spawn(move || {
            let mut text = Vec::new();
            let read = complaints.by_ref().take(MAX_SAID).read_to_end(&mut text);
            drop(read.and_then(|_| io::copy(&mut complaints, &mut io::sink())));
            String::from_utf8_lossy(&text).trim_end().to_owned()
        });
        let mut bytes = Vec::new();
        let read = from.take(limit + 1).read_to_end(&mut bytes);
        if bytes.len() as u64 > limit {
            // Its pipes close, and so it and the threads here end.
            drop(child.kill());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many bytes of pictures"));
        }
        read?;
        Ok((bytes, said.join().unwrap_or_default()))
    })
}
