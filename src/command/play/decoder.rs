//! Decoding by ffmpeg: a track's clear segments go in, a checksum of each decoded frame comes
//! out. Nothing of it touches the disk.

use crate::command::bound;
use crate::command::source::in_search_path;
use anyhow::{Context as _, anyhow, bail};
use std::io::{self, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// Bytes of what ffmpeg says that are kept.
const MAX_SAID: u64 = 4096;
/// Bytes of checksums: a million frames.
const MAX_CHECKSUMS: u64 = 96 << 20;
/// How long ffmpeg may take for one segment, or for its end.
const PATIENCE: Duration = Duration::from_secs(120);

/// One track's decoder. Whatever process runs it holds clear samples.
pub struct Decoder {
    child: Child,
    /// Absent once the last segment went in.
    segments: Option<Sender<Vec<u8>>>,
    /// A segment went in; the channel's end is the input's.
    taken: Receiver<io::Result<()>>,
    checksums: Receiver<io::Result<Vec<u8>>>,
    said: Receiver<io::Result<Vec<u8>>>,
    patience: Duration,
}

impl Decoder {
    /// Starts ffmpeg. Errors: where it is not installed.
    pub fn start() -> anyhow::Result<Self> {
        let ffmpeg = in_search_path("ffmpeg").ok_or_else(|| {
            anyhow!(
                "frames are decoded by ffmpeg, which is not in the search path: install it \
                 (Debian and Ubuntu: `apt-get install ffmpeg`)"
            )
        })?;
        let mut command: Command = bound::command(&ffmpeg)?;
        command.env_clear();
        for kept in ["PATH", "LD_LIBRARY_PATH"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        command.args(["-v", "error", "-nostdin", "-xerror", "-protocol_whitelist", "pipe"]);
        // Each frame as it is, at its own time: none doubled, none dropped.
        command.args(["-f", "mov", "-i", "pipe:0", "-map", "0", "-fps_mode", "passthrough"]);
        command.args(["-copyts", "-f", "framemd5", "pipe:1"]);
        Self::over(&mut command, PATIENCE)
    }

    fn over(command: &mut Command, patience: Duration) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("ffmpeg")?;
        let input = child.stdin.take().context("ffmpeg has an input")?;
        let out = child.stdout.take().context("ffmpeg has an output")?;
        let errors = child.stderr.take().context("ffmpeg has errors")?;
        let (segments, come) = mpsc::channel::<Vec<u8>>();
        let taken = side_by_side(move |tell| {
            let mut input = input;
            for segment in come {
                _ = tell.send(input.write_all(&segment));
            }
        });
        Ok(Self {
            child,
            segments: Some(segments),
            taken,
            checksums: side_by_side(move |tell| _ = tell.send(collect(out, MAX_CHECKSUMS))),
            said: side_by_side(move |tell| _ = tell.send(collect(errors, MAX_SAID))),
            patience,
        })
    }

    /// Decodes more: first the initialization segment, then the media segments.
    ///
    /// Errors: where it does not go on for so long that it never will.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let segments = self.segments.as_ref().context("the decoder was finished")?;
        let sent = segments.send(bytes.to_vec());
        sent.map_err(|_| anyhow!("ffmpeg takes nothing more"))?;
        match self.taken.recv_timeout(self.patience).map_err(|_| stalled())? {
            // It has ended, and will say why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.context("ffmpeg"),
        }
    }

    /// Decodes the rest; a line for each frame: its size in bytes and its MD5.
    pub fn finish(mut self) -> anyhow::Result<String> {
        drop(self.segments.take());
        // Both end when it does.
        let checksums = self.checksums.recv_timeout(self.patience).map_err(|_| stalled())??;
        let said = self.said.recv_timeout(self.patience).map_err(|_| stalled())??;
        let status = self.child.wait().context("ffmpeg")?;
        let said = String::from_utf8_lossy(&said);
        if !status.success() || !said.trim().is_empty() {
            bail!("ffmpeg cannot decode the track: {status}: {}", said.trim());
        }
        let lines = String::from_utf8_lossy(&checksums);
        Ok(lines.lines().filter_map(frame).collect())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn stalled() -> anyhow::Error {
    anyhow!("ffmpeg does not go on")
}

/// Work on a thread of its own, so that nobody waits for it longer than he wants.
fn side_by_side<T: Send + 'static>(work: impl FnOnce(Sender<T>) + Send + 'static) -> Receiver<T> {
    let (tell, heard) = mpsc::channel();
    thread::spawn(move || work(tell));
    heard
}

/// Reads to the end, keeps no more than `limit`.
fn collect(mut from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut kept = vec![];
    from.by_ref().take(limit).read_to_end(&mut kept)?;
    io::copy(&mut from, &mut io::sink())?;
    Ok(kept)
}

/// A line of ffmpeg's `framemd5`: stream, dts, pts, duration, size, MD5. What ends before the
/// presentation begins, as the priming of sound does, is decoded and not presented (the edit list,
/// ISO/IEC 14496-12, 8.6.6).
fn frame(line: &str) -> Option<String> {
    let mut columns = line.split(',').map(str::trim).skip(2);
    let mut number = || columns.next()?.parse::<i64>().ok();
    let is_presented = number()?.saturating_add(number()?) > 0;
    let (size, checksum) = (number()?, columns.next()?);
    is_presented.then(|| format!("{size} {checksum}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(script: &str) -> Decoder {
        let mut command = Command::new("sh");
        Decoder::over(command.args(["-c", script]), Duration::from_millis(300)).unwrap()
    }

    #[test]
    fn a_decoder_that_does_not_go_on_is_not_waited_for() {
        let mut deaf = decoder("exec sleep 600");
        let told = deaf.write(&[0; 1 << 20]).unwrap_err().to_string();
        assert_eq!(told, "ffmpeg does not go on");
        let endless = decoder("cat > /dev/null; exec sleep 600");
        assert_eq!(endless.finish().unwrap_err().to_string(), "ffmpeg does not go on");
    }

    #[test]
    fn a_decoder_that_fails_says_why() {
        let mut failing = decoder("echo 'no such codec' >&2; exit 3");
        failing.write(&[0; 1 << 20]).unwrap();
        let told = failing.finish().unwrap_err().to_string();
        assert!(told.contains("no such codec"), "{told}");
        let line = "0, 0, 0, 1, 4, 0123";
        let mut good = decoder(&format!("cat > /dev/null; echo '{line}'"));
        good.write(b"segment").unwrap();
        assert_eq!(good.finish().unwrap(), "4 0123\n");
    }

    #[test]
    fn a_frame_is_its_size_and_its_checksum() {
        let line = "0,          0,          0,        1,   345600, 0123456789abcdef";
        assert_eq!(frame(line).unwrap(), "345600 0123456789abcdef\n");
        assert_eq!(frame("0,      -1024,      -1024,     1024,     2048, 0123"), None, "priming");
        assert_eq!(frame("0,  -512,  -512,  1024,  2048, 0123").unwrap(), "2048 0123\n");
        assert_eq!(frame("#stream#, dts,        pts, duration,     size, hash"), None);
        assert_eq!(frame("#format: frame checksums"), None);
    }
}
