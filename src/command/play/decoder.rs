//! Decoding by ffmpeg: a track's clear segments go in, a checksum of each decoded frame comes
//! out. Nothing of it touches the disk.

use crate::command::bound;
use crate::command::source::in_search_path;
use anyhow::{Context as _, anyhow, bail};
use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::{self, JoinHandle};

/// Bytes of what ffmpeg says that are kept.
const MAX_SAID: u64 = 4096;
/// Bytes of checksums: a million frames.
const MAX_CHECKSUMS: u64 = 96 << 20;

/// One track's decoder. Whatever process runs it holds clear samples.
pub struct Decoder {
    child: Child,
    input: Option<ChildStdin>,
    checksums: JoinHandle<io::Result<Vec<u8>>>,
    said: JoinHandle<io::Result<Vec<u8>>>,
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
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("ffmpeg")?;
        let out = child.stdout.take().context("ffmpeg has an output")?;
        let errors = child.stderr.take().context("ffmpeg has errors")?;
        Ok(Self {
            input: child.stdin.take(),
            child,
            checksums: thread::spawn(move || collect(out, MAX_CHECKSUMS)),
            said: thread::spawn(move || collect(errors, MAX_SAID)),
        })
    }

    /// Decodes more: first the initialization segment, then the media segments.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("the decoder was finished")?;
        match input.write_all(bytes) {
            // It has ended, and will say why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.context("ffmpeg"),
        }
    }

    /// Decodes the rest; a line for each frame: its size in bytes and its MD5.
    pub fn finish(mut self) -> anyhow::Result<String> {
        drop(self.input.take());
        let status = self.child.wait().context("ffmpeg")?;
        let gone = || Err(io::ErrorKind::Other.into());
        let checksums = self.checksums.join().unwrap_or_else(|_| gone())?;
        let said = self.said.join().unwrap_or_else(|_| gone())?;
        let said = String::from_utf8_lossy(&said);
        if !status.success() || !said.trim().is_empty() {
            bail!("ffmpeg cannot decode the track: {status}: {}", said.trim());
        }
        let lines = String::from_utf8_lossy(&checksums);
        Ok(lines.lines().filter_map(frame).collect())
    }
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
    use super::frame;

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
