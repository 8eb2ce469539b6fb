//! A live encoder.

use std::process::{Child, Command, Stdio};

/// What an encoder sends: fragmented MP4.
pub const FRAGMENTS: &str = "-movflags frag_keyframe+empty_moov+default_base_moof -f mp4 -";

/// An encoder in real time, at its end after `seconds`; `None`, said loudly, without ffmpeg.
///
/// In CI a missing ffmpeg is a failure.
pub fn encoder(seconds: u32, form: &str) -> Option<Child> {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=320x180:rate=25:duration={seconds}"))
        .args(["-re", "-f", "lavfi", "-i", &format!("sine=frequency=440:duration={seconds}")])
        .args("-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0 -pix_fmt yuv420p".split(' '))
        .args("-c:a aac -b:a 64k".split(' '))
        .args(form.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    match run {
        Ok(child) => Some(child),
        Err(_) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: ffmpeg is not installed, nothing to package");
            None
        }
        Err(error) => panic!("CI needs ffmpeg: {error}"),
    }
}
