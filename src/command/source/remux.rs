//! MPEG-TS, Matroska, WebM, AVI and FLV into MP4, sample for sample, by ffmpeg.
//!
//! What ffmpeg would pass over in silence is looked for here: a stream that ends before its
//! container says so, a transport stream that ends inside a packet, and any word of an error.

use super::ffmpeg::{Ffmpeg, Job, blame_ffmpeg};
use super::{Container, Sources, open};
use crate::command::Failure;
use crate::screen::time_bar;
use anyhow::{Context as _, anyhow};
use server::vault::Source;
use std::sync::Arc;

/// How much of the end of a transport stream is decoded.
const TAIL_MS: u64 = 5000;

/// Puts a source into MP4.
///
/// Errors: exit 2 without ffmpeg; exit 1 for a damaged or cut-off source.
pub fn remux(source: &Source, container: Container, sources: &Sources) -> Result<Source, Failure> {
    let name = source.name();
    let refuse = |what: anyhow::Error| Failure::Refused(what.context(name.clone()));
    let blame = |what: anyhow::Error| blame_ffmpeg(what.context(name.clone()));
    let ffmpeg = Ffmpeg::find(sources.patience())?;
    if let Container::MpegTs { stride } = container {
        let surplus = open(source)?.len() % stride;
        if surplus != 0 {
            let what = "it ends inside a packet: the transport stream is cut off";
            return Err(refuse(anyhow!("{what} ({surplus} of {stride} bytes)")));
        }
    }
    let input = sources.local(source)?;
    let reading = ffmpeg.read(&input, container).map_err(blame)?;
    if container == Container::Avi && reading.video.iter().any(|video| video.reorders) {
        let what = "AVI keeps no presentation times, which B-frames need; make it an MP4 or MKV";
        return Err(refuse(anyhow!(what)));
    }
    let mut output = vec!["-map".to_owned(), "0:V?".to_owned()];
    for (index, audio) in reading.audio.iter().enumerate() {
        output.extend(["-map".to_owned(), format!("0:a:{index}")]);
        if audio.codec == "aac" {
            // Frames that carry their own headers, as in MPEG-TS, lose them.
            output.extend([format!("-bsf:a:{index}"), "aac_adtstoasc".to_owned()]);
        }
    }
    output.extend(["-c".to_owned(), "copy".to_owned()]);
    let file = sources.spool().file().with_context(|| name.clone());
    let file = file.map_err(Failure::Environment)?;
    let bar = time_bar("remuxing", reading.duration_ms);
    let job = Job { input: &input, container, from_ms: 0, output: &output, into: Some(&file) };
    ffmpeg.run(&job, |done_ms| bar.set_position(done_ms)).map_err(blame)?;
    bar.finish_and_clear();
    let file = Arc::new(file);
    let remuxed = Source::Spooled { name: name.clone(), file: Arc::clone(&file) };
    let found_ms = sources.check_length(&remuxed, reading.duration_ms)?;
    if matches!(container, Container::MpegTs { .. }) {
        // It declares no length. Cut off between two packets, its last picture is a part of
        // one, which no copy notices.
        let (container, output) = (Container::Mp4, ["-map".to_owned(), "0:V?".to_owned()]);
        let from_ms = found_ms.saturating_sub(TAIL_MS);
        let job = Job { input: &file, container, from_ms, output: &output, into: None };
        ffmpeg.run(&job, |_| ()).context("its end cannot be decoded").map_err(blame)?;
    }
    Ok(remuxed)
}
