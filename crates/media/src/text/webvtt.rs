//! WebVTT (W3C WebVTT, 2019): reading a file, writing a segment of it for HLS (RFC 8216bis, 3.1.4).
//!
//! Where a browser drops what it does not understand, this reader refuses: a line of subtitles
//! that viewers never see is a fault that nobody notices. `X-TIMESTAMP-MAP`, which ties a segment
//! to a transport stream that is not there, is ignored: times count from the title's begin.

use super::clock;
use super::error::TextError;
use super::{MAX_AT_ONCE, MAX_CUE_BYTES, MAX_CUES, MAX_HEADER_BYTES};
use crate::input::{Fault, Place, Unsupported};

/// The line with which HLS ties a segment to the media's clock; our media begins at 0.
const TIMESTAMP_MAP: &str = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000";
const SIGNATURE: &str = "WEBVTT";

/// One line of subtitles and when it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cue {
    /// When it appears, milliseconds.
    pub start_ms: u64,
    /// When it is gone again.
    pub end_ms: u64,
    /// Its identifier; empty: none.
    pub id: String,
    /// Its settings, as they stand behind the times.
    pub settings: String,
    /// Its text with markup: never empty, no empty line in it.
    pub payload: String,
}

impl Cue {
    /// The cue later by `shift_ms`, with the time stamps inside it; `None` where it would end
    /// before the title begins.
    pub(crate) fn moved(&self, shift_ms: i64) -> Option<Self> {
        let end_ms = self.end_ms.checked_add_signed(shift_ms).filter(|end| *end > 0)?;
        let start_ms = self.start_ms.saturating_add_signed(shift_ms);
        let payload = if shift_ms == 0 {
            self.payload.clone()
        } else {
            clock::move_stamps(&self.payload, shift_ms)
        };
        let (id, settings) = (self.id.clone(), self.settings.clone());
        Some(Self { start_ms, end_ms, id, settings, payload })
    }
}

/// A file of WebVTT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebVtt {
    /// All before the first cue but notes: the line `WEBVTT` and the blocks with regions and
    /// styles, with an empty line between them.
    pub header: String,
    /// Its cues, by their start.
    pub cues: Vec<Cue>,
}

/// Whether bytes begin like WebVTT.
pub(super) fn is_signed(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).starts_with(SIGNATURE.as_bytes())
}

impl WebVtt {
    /// Reads a file.
    ///
    /// Errors: [`TextError`] with the line. Cues without text are left out.
    /// Limits: 50 000 cues of 16 KiB, 64 at the same time, 64 KiB of header.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = super::utf8(bytes)?.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.replace('\0', "\u{fffd}");
        let mut reader = Reader {
            lines: Lines { rest: text.lines(), number: 0, ahead: None },
            file: Self::default(),
            begins: Vec::new(),
        };
        reader.read()?;
        let Reader { mut file, begins, .. } = reader;
        let spans: Vec<_> = file.cues.iter().map(|cue| (cue.start_ms, cue.end_ms)).collect();
        if let Some(line) = super::crowd(&spans).and_then(|at| begins.get(at)) {
            let limit = MAX_AT_ONCE as u64;
            let what = Unsupported::Limit { what: "cues at the same time", limit };
            return Err(Place::Line(*line).fault(what));
        }
        file.cues.sort_by_key(|cue| cue.start_ms);
        Ok(file)
    }

    /// Writes a segment for HLS: the whole header and the given cues with their own times, which
    /// may reach beyond the segment.
    pub(crate) fn write_segment<'c>(&self, cues: impl Iterator<Item = &'c Cue>) -> String {
        let (first, blocks) = self.header.split_once('\n').unwrap_or((&self.header, ""));
        let mut out = format!("{first}\n{TIMESTAMP_MAP}\n{blocks}");
        if !out.ends_with('\n') {
            out.push('\n');
        }
        for cue in cues {
            out.push('\n');
            if !cue.id.is_empty() {
                out += &cue.id;
                out.push('\n');
            }
            clock::write(cue.start_ms, &mut out);
            out += " --> ";
            clock::write(cue.end_ms, &mut out);
            if !cue.settings.is_empty() {
                out.push(' ');
                out += &cue.settings;
            }
            out = out + "\n" + &cue.payload + "\n";
        }
        out
    }
}

/// A file that is being read.
struct Reader<'a> {
    lines: Lines<'a>,
    file: WebVtt,
    /// The line of each cue's times.
    begins: Vec<u32>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Fault> {
        let first = self.lines.next().unwrap_or_default();
        let behind = first.strip_prefix(SIGNATURE);
        if !behind.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return Err(self.lines.fault(TextError::Signature));
        }
        first.clone_into(&mut self.file.header);
        self.add_header_lines()?;
        while let Some(line) = self.lines.next() {
            if !line.is_empty() {
                self.read_block(line)?;
            }
        }
        Ok(())
    }

    /// Adds the lines up to an empty one or a cue.
    fn add_header_lines(&mut self) -> Result<(), Fault> {
        while let Some(line) = self.lines.next_if(is_inside) {
            if line.starts_with("X-TIMESTAMP-MAP") {
                continue;
            }
            self.file.header.push('\n');
            self.file.header.push_str(line);
            self.check_limit("bytes of styles", self.file.header.len(), MAX_HEADER_BYTES)?;
        }
        Ok(())
    }

    fn read_block(&mut self, first: &str) -> Result<(), Fault> {
        if first.contains(ARROW) {
            return self.read_cue("", first);
        }
        let begin = self.lines.number;
        let is_called = |name| {
            let rest = first.strip_prefix(name);
            rest.is_some_and(|rest: &str| rest.trim_matches([' ', '\t']).is_empty())
        };
        if first == "NOTE" || first.starts_with("NOTE ") || first.starts_with("NOTE\t") {
            while self.lines.next_if(|line| !line.is_empty()).is_some() {}
            return Ok(());
        }
        if self.file.cues.is_empty() && (is_called("STYLE") || is_called("REGION")) {
            self.file.header.push_str("\n\n");
            self.file.header.push_str(first);
            return self.add_header_lines();
        }
        match self.lines.next_if(|line| line.contains(ARROW)) {
            Some(times) => self.read_cue(first, times),
            None => Err(Place::Line(begin).fault(TextError::StrayBlock)),
        }
    }

    fn read_cue(&mut self, id: &str, times: &str) -> Result<(), Fault> {
        let begin = self.lines.number;
        let Some((start_ms, end_ms, settings)) = read_times(times) else {
            return Err(self.lines.fault(TextError::CueTimes));
        };
        if end_ms <= start_ms {
            return Err(self.lines.fault(TextError::CueEnd));
        }
        let mut payload = String::new();
        while let Some(line) = self.lines.next_if(is_inside) {
            if !payload.is_empty() {
                payload.push('\n');
            }
            payload.push_str(line);
        }
        let len = payload.len() + id.len() + settings.len();
        self.check_limit("bytes in a cue", len, MAX_CUE_BYTES)?;
        self.check_limit("cues", self.file.cues.len() + 1, MAX_CUES)?;
        if !payload.is_empty() {
            let (id, settings) = (id.to_owned(), settings.to_owned());
            self.file.cues.push(Cue { start_ms, end_ms, id, settings, payload });
            self.begins.push(begin);
        }
        Ok(())
    }

    fn check_limit(&self, what: &'static str, is: usize, limit: usize) -> Result<(), Fault> {
        if is <= limit {
            return Ok(());
        }
        Err(self.lines.fault(Unsupported::Limit { what, limit: limit as u64 }))
    }
}

const ARROW: &str = "-->";

/// Whether a line goes on with what the lines before it began.
fn is_inside(line: &str) -> bool {
    !line.is_empty() && !line.contains(ARROW)
}

fn read_times(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = clock::read(line.trim_start_matches([' ', '\t']))?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix(ARROW)?;
    let (end, settings) = clock::read(rest.trim_start_matches([' ', '\t']))?;
    let is_apart = settings.is_empty() || settings.starts_with([' ', '\t']);
    (is_apart && !settings.contains(ARROW)).then(|| (start, end, settings.trim()))
}

/// Lines with their number, one of them looked at ahead.
struct Lines<'a> {
    rest: std::str::Lines<'a>,
    /// Number of the line last taken, counted from 1.
    number: u32,
    ahead: Option<&'a str>,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.ahead.take().or_else(|| self.rest.next())?;
        self.number = self.number.saturating_add(1);
        Some(line)
    }

    fn next_if(&mut self, is_wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        if self.ahead.is_none() {
            self.ahead = self.rest.next();
        }
        self.ahead.is_some_and(is_wanted).then(|| self.next()).flatten()
    }

    fn fault(&self, what: impl Into<crate::input::What>) -> Fault {
        Place::Line(self.number.max(1)).fault(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Malformed, What};
    use proptest::prelude::*;

    fn fault(text: &str) -> (Place, TextError) {
        match WebVtt::parse(text.as_bytes()).expect_err("it is refused") {
            Fault { place, what: What::Malformed(Malformed::Text(error)) } => (place, error),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn everything_a_file_may_have_is_read() {
        let text = "\u{feff}WEBVTT - a title\r\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\r\n\r\n\
            NOTE nobody\r\nsees this\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\nREGION\r\nid:a\r\n\r\n\
            2\r\n00:03.000 --> 00:00:05.500 line:0 align:start\r\n<v Ann>One &amp;\r\ntwo\r\n\r\n\r\n\
            00:01.000\t-->\t00:04.000\r\nEarlier\r\n00:06.000 --> 00:07.000\r\nNo empty line between\r\n\
            empty\r\n00:08.000 --> 00:09.000\r\n\r\nNOTE\r\nlast";
        let read = WebVtt::parse(text.as_bytes()).unwrap();
        assert_eq!(read.header, "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:a");
        let cue = |start_ms, end_ms, id: &str, settings: &str, payload: &str| Cue {
            start_ms,
            end_ms,
            id: id.into(),
            settings: settings.into(),
            payload: payload.into(),
        };
        assert_eq!(
            read.cues,
            [
                cue(1000, 4000, "", "", "Earlier"),
                cue(3000, 5500, "2", "line:0 align:start", "<v Ann>One &amp;\ntwo"),
                cue(6000, 7000, "", "", "No empty line between\nempty"),
            ]
        );
        let written = read.write_segment(read.cues.iter());
        assert!(written.starts_with(
            "WEBVTT - a title\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\nSTYLE\n"
        ));
        assert_eq!(WebVtt::parse(written.as_bytes()).unwrap(), read);
    }

    #[test]
    fn what_a_player_would_drop_is_refused_with_its_line() {
        let cases = [
            ("WEBVTTX\n", 1, TextError::Signature),
            ("WEBVTT\n\n00:01.000 --> 00:02,000\nx\n", 3, TextError::CueTimes),
            ("WEBVTT\n\na\n00:01.000 -> 00:02.000\nx\n", 3, TextError::StrayBlock),
            ("WEBVTT\n\n00:02.000 --> 00:01.000\nx\n", 3, TextError::CueEnd),
            ("WEBVTT\n\n00:01.000 --> 00:02.000\nx\n\nlost line\n", 6, TextError::StrayBlock),
            ("WEBVTT\n\n00:01.000 --> 00:02.000\nx\n\nSTYLE\n::cue {}\n", 6, TextError::StrayBlock),
            ("WEBVTT\n\n1\n00:61.000 --> 01:02.000\nx\n", 4, TextError::CueTimes),
        ];
        for (text, line, error) in cases {
            assert_eq!(fault(text), (Place::Line(line), error), "{text}");
        }
        let broken = WebVtt::parse(b"WEBVTT\n\n00:01.000 --> 00:02.000\n\xff\n").unwrap_err();
        assert_eq!(broken.place, Place::Line(4));
    }

    #[test]
    fn the_limits_hold() {
        let long =
            format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n", "x".repeat(MAX_CUE_BYTES + 1));
        let many = format!("WEBVTT\n{}", "\n00:01.000 --> 00:02.000\nx\n".repeat(MAX_CUES + 1));
        let crowded =
            "WEBVTT\n".to_owned() + &"\n00:01.000 --> 00:02.000\nx\n".repeat(MAX_AT_ONCE + 1);
        let refused = WebVtt::parse(crowded.as_bytes()).unwrap_err();
        assert_eq!(refused.place, Place::Line(u32::try_from(3 + 3 * MAX_AT_ONCE).unwrap()));
        let styled = format!("WEBVTT\n\nSTYLE\n{}\n", "x\n".repeat(MAX_HEADER_BYTES));
        for text in [long, many, styled] {
            let refused = WebVtt::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(refused.what, What::Unsupported(Unsupported::Limit { .. })));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            cues in proptest::collection::vec(
                (0..9_000_000_u64, 1..9_000_000_u64, "[a-z0-9 ]{0,5}[a-z]", "(line:[0-9])?", "[a-z<&;\u{e9}]{1,9}(\n[ a-z]{0,9}x)?"),
                0..9,
            ),
        ) {
            let mut file = WebVtt { header: "WEBVTT\n\nSTYLE\na".into(), cues: Vec::new() };
            for (start_ms, lasts, id, settings, payload) in cues {
                file.cues.push(Cue { start_ms, end_ms: start_ms + lasts, id, settings, payload });
            }
            file.cues.sort_by_key(|cue| cue.start_ms);
            let written = file.write_segment(file.cues.iter());
            prop_assert_eq!(WebVtt::parse(written.as_bytes()).unwrap(), file);
        }
    }
}
