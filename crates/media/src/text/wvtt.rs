//! WebVTT in MP4 (ISO/IEC 14496-30:2018, clause 7): a sample for every time span in which the
//! same cues are shown, a `vttc` for each of them, a `vtte` where there is none.

use super::clock;
use super::error::TextError;
use super::webvtt::{Cue, WebVtt};
use super::{MAX_AT_ONCE, MAX_CUE_BYTES, MAX_CUES, MAX_HEADER_BYTES};
use crate::bmff::{Child, Fields, boxes, plain_box};
use crate::input::{Unsupported, What};
use std::collections::HashMap;

/// One cue as a sample holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SampleCue {
    /// Tells parts of one cue from another cue of the same text.
    source: Option<u32>,
    id: String,
    settings: String,
    payload: String,
    /// `ctim`: the time that stamps inside the payload count from.
    time: Option<String>,
}

impl SampleCue {
    /// Whether it says the time of its sample where there are time stamps in it, and only there.
    pub fn tells_time(&self, start_ms: u64) -> bool {
        let mut time = String::new();
        clock::write(start_ms, &mut time);
        self.time == clock::has_stamps(&self.payload).then_some(time)
    }
}

/// Body of the sample entry: `WVTTSampleEntry` with its `vttC`.
pub(crate) fn sample_entry(header: &str) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 1];
    plain_box(&mut body, b"vttC", |out| out.extend(header.bytes()));
    body
}

/// The header in the body of a sample entry.
pub(crate) fn header_of(entry_body: &[u8]) -> Result<String, TextError> {
    const WRONG: TextError = TextError::Sample("header of WebVTT ('vttC')");
    let config = boxes(entry_body.get(8..).ok_or(WRONG)?)
        .map_while(Result::ok)
        .find(|child| child.kind.0 == *b"vttC")
        .ok_or(WRONG)?;
    if config.body.len() > MAX_HEADER_BYTES {
        return Err(WRONG);
    }
    // Read and put together again like a file's, so that it can stand in one.
    let file = WebVtt::parse(config.body).map_err(|_| WRONG)?;
    if file.cues.is_empty() { Ok(file.header) } else { Err(WRONG) }
}

/// Appends the sample with these cues, each with the number that its parts share where it has
/// several. `start_ms` is the time that the time stamps inside the cues count from.
pub(crate) fn write_sample(cues: &[(&Cue, Option<u32>)], start_ms: u64, out: &mut Vec<u8>) {
    if cues.is_empty() {
        plain_box(out, b"vtte", |_| {});
    }
    for (cue, source) in cues {
        let text = |out: &mut Vec<u8>, kind: &[u8; 4], text: &str| {
            if !text.is_empty() {
                plain_box(out, kind, |out| out.extend(text.bytes()));
            }
        };
        plain_box(out, b"vttc", |out| {
            if let Some(source) = source {
                plain_box(out, b"vsid", |out| out.extend(source.to_be_bytes()));
            }
            text(out, b"iden", &cue.id);
            if clock::has_stamps(&cue.payload) {
                let mut time = String::new();
                clock::write(start_ms, &mut time);
                text(out, b"ctim", &time);
            }
            text(out, b"sttg", &cue.settings);
            text(out, b"payl", &cue.payload);
        });
    }
}

/// Reads a sample: its cues.
///
/// Errors: what is no box of this format. `vtta`, which no viewer sees, is passed over.
/// Limits: 64 cues of 16 KiB.
pub(crate) fn read_sample(bytes: &[u8]) -> Result<Vec<SampleCue>, What> {
    const WRONG: TextError = TextError::Sample("cues of WebVTT");
    let mut cues = Vec::new();
    for child in boxes(bytes) {
        let child = child?;
        match &child.kind.0 {
            b"vttc" => cues.push(read_cue(&child)?.ok_or(WRONG)?),
            b"vtte" | b"vtta" => {}
            _ => return Err(WRONG.into()),
        }
        if cues.len() > MAX_AT_ONCE {
            let limit = MAX_AT_ONCE as u64;
            return Err(Unsupported::Limit { what: "cues at the same time", limit }.into());
        }
    }
    cues.retain(|cue| !cue.payload.is_empty());
    Ok(cues)
}

/// `None` where a text could not stand in a file.
fn read_cue(vttc: &Child<'_>) -> Result<Option<SampleCue>, What> {
    let (id, settings, payload) = Default::default();
    let mut cue = SampleCue { source: None, id, settings, payload, time: None };
    if vttc.body.len() > MAX_CUE_BYTES {
        let limit = MAX_CUE_BYTES as u64;
        return Err(Unsupported::Limit { what: "bytes in a cue", limit }.into());
    }
    for child in boxes(vttc.body) {
        let child = child?;
        if child.kind.0 == *b"vsid" {
            cue.source = Some(Fields::new(child.body).u32()?);
            continue;
        }
        let text = std::str::from_utf8(child.body).map_err(|_| TextError::NotUtf8)?;
        let text = text.trim_end_matches('\0').replace("\r\n", "\n").replace('\r', "\n");
        match &child.kind.0 {
            b"iden" => cue.id = text,
            b"ctim" => cue.time = Some(text),
            b"sttg" => cue.settings = text.trim().to_owned(),
            b"payl" => cue.payload = text.trim_matches('\n').to_owned(),
            _ => {}
        }
    }
    let is_line = |text: &str| !text.contains('\n') && !text.contains("-->");
    let is_text = !cue.payload.contains("\n\n") && !cue.payload.contains("-->");
    let can_stand = is_line(&cue.id) && is_line(&cue.settings) && is_text;
    Ok(can_stand.then_some(cue))
}

/// Puts cues together again that samples hold in parts.
#[derive(Default)]
pub(crate) struct Joining {
    cues: Vec<Cue>,
    /// Cues of the sample before, by what they say; where it ended.
    open: HashMap<SampleCue, Vec<usize>>,
    end_ms: u64,
    /// Whether only parts with a common number are one cue.
    is_strict: bool,
}

impl Joining {
    /// For tracks written here: a cue without a number is whole.
    pub fn strict() -> Self {
        Self { is_strict: true, ..Self::default() }
    }

    /// Takes the next sample. Errors: too many cues.
    pub fn add(&mut self, start_ms: u64, end_ms: u64, cues: Vec<SampleCue>) -> Result<(), What> {
        let mut before = std::mem::take(&mut self.open);
        if self.end_ms != start_ms {
            before.clear();
        }
        for cue in cues.into_iter().filter(|_| end_ms > start_ms) {
            // The time of the sample is no part of what the cue says.
            let cue = SampleCue { time: None, ..cue };
            let may_join = cue.source.is_some() || !self.is_strict;
            let part = before.get_mut(&cue).filter(|_| may_join).and_then(Vec::pop);
            let at = match part {
                Some(at) => at,
                None => {
                    let SampleCue { id, settings, payload, .. } = cue.clone();
                    self.cues.push(Cue { start_ms, end_ms, id, settings, payload });
                    self.cues.len() - 1
                }
            };
            if let Some(joined) = self.cues.get_mut(at) {
                joined.end_ms = end_ms;
            }
            self.open.entry(cue).or_default().push(at);
        }
        self.end_ms = end_ms;
        if self.cues.len() > MAX_CUES {
            let limit = MAX_CUES as u64;
            return Err(Unsupported::Limit { what: "cues", limit }.into());
        }
        Ok(())
    }

    /// All cues, by their start.
    pub fn finish(mut self) -> Vec<Cue> {
        self.cues.sort_by_key(|cue| cue.start_ms);
        self.cues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(id: &str, payload: &str) -> Cue {
        let (id, payload) = (id.to_owned(), payload.to_owned());
        Cue { start_ms: 0, end_ms: 1, id, settings: "line:0".into(), payload }
    }

    #[test]
    fn a_sample_reads_back() {
        let (one, two) = (cue("1", "a\nb"), cue("", "c<00:01.000>d"));
        let mut bytes = Vec::new();
        write_sample(&[(&one, None), (&two, Some(7))], 1500, &mut bytes);
        assert!(bytes.windows(16).any(|w| w == b"ctim00:00:01.500"));
        let read = read_sample(&bytes).unwrap();
        assert_eq!(read[0].id, "1");
        assert_eq!((read[0].source, read[1].source), (None, Some(7)));
        assert_eq!((read[0].payload.as_str(), read[1].settings.as_str()), ("a\nb", "line:0"));
        let mut empty = Vec::new();
        write_sample(&[], 0, &mut empty);
        assert_eq!(empty, b"\0\0\0\x08vtte");
        assert_eq!(read_sample(&empty).unwrap(), []);
    }

    #[test]
    fn parts_of_a_cue_are_one_cue_again() {
        let read = |cues: &[(&Cue, Option<u32>)]| {
            let mut bytes = Vec::new();
            write_sample(cues, 0, &mut bytes);
            read_sample(&bytes).unwrap()
        };
        let (one, two) = (cue("", "a"), cue("", "b"));
        let mut joining = Joining::default();
        joining.add(0, 10, read(&[(&one, Some(1))])).unwrap();
        joining.add(10, 20, read(&[(&one, Some(1)), (&two, None)])).unwrap();
        joining.add(20, 30, read(&[(&one, Some(2))])).unwrap();
        joining.add(40, 50, read(&[(&one, Some(2))])).unwrap();
        let times: Vec<_> =
            joining.finish().iter().map(|c| (c.start_ms, c.end_ms, c.payload.clone())).collect();
        let expected = [(0, 20, "a"), (10, 20, "b"), (20, 30, "a"), (40, 50, "a")];
        assert_eq!(times, expected.map(|(start, end, text)| (start, end, text.to_owned())));
    }

    #[test]
    fn what_could_not_stand_in_a_file_is_refused() {
        for payload in ["a\n\nb", "a --> b"] {
            let mut bytes = Vec::new();
            write_sample(&[(&cue("", payload), None)], 0, &mut bytes);
            assert!(read_sample(&bytes).is_err(), "{payload}");
        }
        assert!(read_sample(b"\0\0\0\x08moov").is_err());
        assert!(read_sample(b"\0\0\0\x09vtte").is_err());
    }
}
