//! A source in real time: fragmented MP4 as it comes, MPEG-TS through ffmpeg, which copies.

use super::container::Container;
use super::ffmpeg::Ffmpeg;
use super::{Location, Sources};
use crate::command::Failure;
use anyhow::{Context as _, anyhow};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::process::Child;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Chunks that may wait: more and the source waits.
const WAITING: usize = 16;
/// Bytes by which a container is known.
const HEAD: usize = 2048;

/// A source that is open.
pub struct LiveInput {
    from: Box<dyn Read + Send>,
    /// What was read of it.
    head: Vec<u8>,
    /// What makes MP4 of it.
    ffmpeg: Option<Ffmpeg>,
}

impl LiveInput {
    /// Opens a source and waits for its first bytes.
    ///
    /// Errors: what cannot be opened, and what is no stream, is a fault of use.
    pub fn open(location: &Location, sources: &Sources) -> Result<Self, Failure> {
        let mut from: Box<dyn Read + Send> = match location {
            Location::StandardInput => Box::new(io::stdin()),
            Location::File(path) => {
                let about = || format!("cannot open {}", path.display());
                Box::new(File::open(path).with_context(about).map_err(Failure::Environment)?)
            }
            Location::Remote(_) => {
                let what = "--live takes - (standard input), a pipe or a file; pipe ffmpeg into it";
                return Err(Failure::Environment(anyhow!(what)));
            }
        };
        let mut head = Vec::new();
        let read = from.by_ref().take(HEAD as u64).read_to_end(&mut head);
        read.with_context(|| location.to_string()).map_err(Failure::Environment)?;
        let ffmpeg = match Container::of(&mut head.as_slice()) {
            Some(Container::Mp4) | None => None,
            Some(Container::MpegTs { .. }) => Some(Ffmpeg::find(sources.patience())?),
            Some(_) => {
                let what = "a live stream is fragmented MP4 or MPEG-TS";
                return Err(Failure::Refused(anyhow!("{location}: {what}")));
            }
        };
        Ok(Self { from, head, ffmpeg })
    }

    /// Its bytes as MP4, as they come. Reads on a thread of its own.
    pub fn read(self) -> Receiver<io::Result<Vec<u8>>> {
        let (tell, heard) = mpsc::sync_channel(WAITING);
        let Self { mut from, head, ffmpeg } = self;
        let Some(ffmpeg) = ffmpeg else {
            thread::spawn(move || {
                if tell.send(Ok(head)).is_ok() {
                    follow(&mut from, &tell);
                }
            });
            return heard;
        };
        // The system takes the end of the thread that starts ffmpeg for ours, so it waits.
        thread::spawn(move || {
            if let Err(error) = copy_through(&ffmpeg, head, from, &tell) {
                // Nobody listens any more where the channel has ended.
                _ = tell.send(Err(io::Error::other(error)));
            }
        });
        heard
    }
}

fn copy_through(
    ffmpeg: &Ffmpeg,
    head: Vec<u8>,
    from: Box<dyn Read + Send>,
    tell: &SyncSender<io::Result<Vec<u8>>>,
) -> anyhow::Result<()> {
    let mut child = ffmpeg.stream()?;
    feed(&mut child, head, from)?;
    if let Some(mut made) = child.stdout.take() {
        follow(&mut made, tell);
    }
    let status = child.wait().context("ffmpeg")?;
    if status.success() { Ok(()) } else { Err(anyhow!("ffmpeg ended with {status}")) }
}

/// Gives ffmpeg the source.
fn feed(child: &mut Child, head: Vec<u8>, mut from: Box<dyn Read + Send>) -> anyhow::Result<()> {
    let mut into = child.stdin.take().context("ffmpeg has an input")?;
    thread::spawn(move || {
        // What ends ffmpeg is heard from ffmpeg.
        into.write_all(&head)?;
        io::copy(&mut from, &mut into)
    });
    Ok(())
}

/// Tells bytes until there are no more, or nobody listens.
fn follow(from: &mut dyn Read, tell: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match from.read(&mut chunk) {
            Ok(0) => return,
            Ok(len) => {
                chunk.truncate(len);
                Ok(chunk)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_end = read.is_err();
        if tell.send(read).is_err() || is_end {
            return;
        }
    }
}
