//! Any bytes, read as an MP4 file: a refusal, never a panic, never more work than the file is.

use media::{Input, NamedInput};

/// A file in memory.
struct Bytes<'a>(&'a [u8]);

impl Input for Bytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let offset = usize::try_from(offset).map_err(std::io::Error::other)?;
        let wanted = self.0.get(offset..).and_then(|rest| rest.get(..out.len()));
        let wanted = wanted.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(wanted);
        Ok(())
    }
}

/// Reads `bytes` as the packager and as `inspect` do.
pub fn run(bytes: &[u8]) {
    // With the subtitles in it, which are read whole.
    let named = NamedInput { name: "film.mp4".to_owned(), input: &mut Bytes(bytes) };
    let _ = media::package::probe(&mut [named]);
    let _ = media::inspect::inspect(&mut Bytes(bytes));
    // An entry that is read says the same when it is written and read again.
    if let Ok(seig) = media::cenc::Seig::parse(bytes) {
        let mut again = Vec::new();
        seig.write(&mut again);
        assert_eq!(media::cenc::Seig::parse(&again), Ok(seig));
    }
}
