//! Thumbnails: pictures that ffmpeg takes out of a source, through pipes. What is to be made and
//! whether it was made is for `media` to say.
//!
//! A picture is the key frame shown at its time or before it, so that one in fifty pictures is
//! decoded and a film takes seconds.

use super::source::Source;
use super::tool::Patience;
use media::images::{ImageFault, ImageSet, MAX_SIDE, Pictures, Tiles, TilesRefused, TilesWanted};
use media::manifest::TrackMedia;
use media::package::Probe;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use store::Spool;

/// Bytes of one picture at most: ten times what a busy one of the largest size has.
const MAX_PICTURE_BYTES: u64 = 1 << 20;
/// Bytes of all pictures of one kind at most.
const MAX_BYTES: u64 = 512 << 20;
/// Bytes that are read of a pipe at once.
const PIECE: usize = 64 << 10;
/// How much of what ffmpeg says is repeated.
const MAX_SAID: u64 = 2048;

/// Why there are no thumbnails.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// They cannot be as they were asked for.
    #[error(transparent)]
    Refused(#[from] TilesRefused),
    /// The source of the picture cannot be read.
    #[error("{name}: {cause}")]
    Source {
        /// The source, as the user named it.
        name: String,
        /// What the system or the place says.
        cause: io::Error,
    },
    /// There is no ffmpeg.
    #[error("thumbnails need ffmpeg, which is not installed (apt-get install ffmpeg)")]
    NoFfmpeg,
    /// It cannot be run, or came to no end.
    #[error("thumbnails: ffmpeg: {0}")]
    Run(io::Error),
    /// It failed.
    #[error("ffmpeg made no thumbnails: {0}")]
    Failed(String),
    /// It made other pictures than it was to make.
    #[error("ffmpeg made other thumbnails than it was to make: {0}")]
    Pictures(#[from] ImageFault),
}

/// Which thumbnails are wanted, and what making them takes.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    /// Size and interval.
    pub wanted: TilesWanted,
    /// Where a source that is elsewhere is fetched to.
    pub spool: Spool,
    /// How long ffmpeg may make no progress.
    pub patience: Patience,
}

/// Makes the thumbnails of a title.
///
/// Errors: [`ThumbnailError`].
pub fn make(
    Thumbnails { wanted, spool, patience }: &Thumbnails,
    probe: &Probe,
    inputs: &[Source],
) -> Result<ImageSet, ThumbnailError> {
    let picture = picture(probe).ok_or(TilesRefused::NoPicture)?;
    let input = inputs.get(picture.input).ok_or(TilesRefused::NoPicture)?;
    let duration_ms = probe.tracks.iter().map(|track| track.duration_ms).max().unwrap_or(0);
    let tiles = Tiles::plan(*wanted, picture.size, duration_ms)?;
    let limit = (u64::from(tiles.count) * MAX_PICTURE_BYTES).min(MAX_BYTES);
    let file =
        input.local(spool).map_err(|cause| ThumbnailError::Source { name: input.name(), cause })?;
    let run = |arguments: &[OsString], feed| ffmpeg(arguments, feed, limit, *patience);
    let thumbnails = run(&thumbnail_arguments(&tiles, picture.number), Feed::File(file))?;
    let thumbnails = Arc::new(thumbnails);
    let sheets = run(&sheet_arguments(&tiles), Feed::Bytes(Arc::clone(&thumbnails)))?;
    let thumbnails = Arc::unwrap_or_clone(thumbnails);
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

/// One JPEG for each interval, the last one again where the picture ends before the sound. The
/// source is ffmpeg's standard input, a file, which unlike a pipe can be read from any place.
fn thumbnail_arguments(tiles: &Tiles, number: usize) -> Vec<OsString> {
    let Tiles { width, height, interval_s, count, .. } = tiles;
    let filter = format!(
        "fps=fps=1/{interval_s}:start_time=0:round=up,tpad=stop_mode=clone:stop={count},\
         scale={width}:{height},setsar=1,format=yuvj420p"
    );
    let source = "-protocol_whitelist file,pipe -skip_frame nokey -i file:/dev/stdin";
    let mut arguments = texts(source);
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
enum Feed {
    Bytes(Arc<Vec<u8>>),
    File(File),
}

/// Runs ffmpeg; returns what it writes.
fn ffmpeg(
    arguments: &[OsString],
    feed: Feed,
    limit: u64,
    patience: Patience,
) -> Result<Vec<u8>, ThumbnailError> {
    let (stdin, input) = match feed {
        Feed::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
        Feed::File(file) => (file.into(), None),
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
    let (status, bytes, said) =
        converse(&mut child, input, limit, patience).map_err(ThumbnailError::Run)?;
    if status.success() { Ok(bytes) } else { Err(ThumbnailError::Failed(said)) }
}

/// Feeds and drains all three pipes at once, so that none can block another.
fn converse(
    child: &mut Child,
    input: Option<Arc<Vec<u8>>>,
    limit: u64,
    patience: Patience,
) -> io::Result<(ExitStatus, Vec<u8>, String)> {
    let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
    let from = child.stdout.take().ok_or_else(closed)?;
    let mut complaints = child.stderr.take().ok_or_else(closed)?;
    if let (Some(mut to), Some(input)) = (child.stdin.take(), input) {
        // A tool that stops reading says why itself.
        thread::spawn(move || drop(to.write_all(&input)));
    }
    let said = thread::spawn(move || {
        let mut text = Vec::new();
        let read = complaints.by_ref().take(MAX_SAID).read_to_end(&mut text);
        drop(read.and_then(|_| io::copy(&mut complaints, &mut io::sink())));
        String::from_utf8_lossy(&text).trim_end().to_owned()
    });
    let (tell, heard) = mpsc::channel();
    // Behind the limit its pipe closes, and so it ends.
    let bytes = thread::spawn(move || drain(from.take(limit + 1), &tell));
    let status = patience.wait(child, &heard, |_| ())?;
    let bytes = bytes.join().unwrap_or_else(|_| Err(closed()))?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many bytes of pictures"));
    }
    Ok((status, bytes, said.join().unwrap_or_default()))
}

/// Reads a pipe to its end, and tells how far that is.
fn drain(mut from: impl Read, tell: &Sender<u64>) -> io::Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        let len = from.read(&mut piece)?;
        bytes.extend_from_slice(piece.get(..len).unwrap_or_default());
        if len == 0 {
            return Ok(bytes);
        }
        // Nobody listens any more where the program was ended.
        let _ = tell.send(bytes.len() as u64);
    }
}
