//! Checks of what was written: each fragment by our own reader before it leaves the buffer,
//! each file again when all is written.

use super::error::PackageError;
use super::key_check::Told;
use super::output::Output;
use super::rendition::CLEAR_ENTRY;
use super::track_writer::{Written, WrittenInit};
use crate::bmff::{Child, Fields, boxes};
use crate::cenc::Tenc;
use crate::cmaf::{Fragment, SampleProtection, TRACK_ID};
use crate::input::{Input, SampleTable, Source, read_fragment};
use crate::manifest::{self, ByteSpan, Presentation, TrackLayout, TrackMedia, TrackRendition};
use crate::pssh;
use model::KeyId;

/// What is wrong with a written file.
pub(super) type Wrong = &'static str;

/// Checks `moof` and the header of `mdat` behind it, as they are about to be written, against
/// what they were made of.
pub(super) fn fragment(bytes: &[u8], meant: &Fragment<'_>, payload: usize) -> Result<(), Wrong> {
    const NOT_A_FRAGMENT: Wrong = "a fragment does not read back";
    let end = bytes.len() as u64;
    let table = read_moof(&mut { bytes }, 0, end, meant.description).ok_or(NOT_A_FRAGMENT)?;
    let first_offset = bytes.len() as u64;
    let mut offset = first_offset;
    let mut read = table.iter();
    for sample in meant.samples {
        let is_same = read.next().is_some_and(|found| {
            (found.offset, found.size, found.duration) == (offset, sample.size, sample.duration)
                && (found.composition, found.is_sync) == (sample.composition, sample.is_sync)
        });
        if !is_same {
            return Err("a fragment describes other samples than it holds");
        }
        offset += u64::from(sample.size);
    }
    if read.next().is_some() || offset - first_offset != payload as u64 {
        return Err("a fragment's samples do not fill its media data");
    }
    if table.iter().next().is_some_and(|first| first.decode_time != meant.decode_time) {
        return Err("a fragment has another decode time than its samples");
    }
    let is_there = match meant.protection {
        Some(info) => protection_is_there(bytes, &info, meant.samples.len()),
        None => has_protection(bytes).map(|has| !has),
    };
    if is_there != Some(true) {
        return Err("a fragment's encryption information is not where it says");
    }
    let told = Told::of(meant.rotation, meant.protection.is_some());
    match told.is_in(bytes, table.count()) {
        Some(true) => Ok(()),
        _ => Err(KEY_NOT_TOLD),
    }
}

const KEY_NOT_TOLD: Wrong = "a fragment does not say under which key it is";

/// Whether the `moof` with which `bytes` begin has encryption information of any kind.
fn has_protection(bytes: &[u8]) -> Option<bool> {
    let moof = boxes(bytes).next()?.ok()?;
    let traf = find(moof.body, b"traf")?;
    Some([b"senc", b"saiz", b"saio"].iter().any(|kind| find(traf.body, kind).is_some()))
}

/// Whether `saio` leads to the information, `saiz` tells its lengths and `senc` holds it.
fn protection_is_there(bytes: &[u8], info: &SampleProtection<'_>, samples: usize) -> Option<bool> {
    let moof = boxes(bytes).next()?.ok()?;
    let traf = find(moof.body, b"traf")?;
    let count = u32::try_from(samples).ok()?;
    let senc = find(traf.body, b"senc")?.body;
    let mut fields = Fields::new(senc);
    let (_, flags) = fields.version_and_flags().ok()?;
    if (flags & 2 != 0) != info.has_subsamples
        || fields.u32().ok()? != count
        || fields.rest() != info.entries
    {
        return Some(false);
    }
    if info.entries.is_empty() {
        return Some(find(traf.body, b"saiz").is_none() && find(traf.body, b"saio").is_none());
    }
    let mut saiz = Fields::new(find(traf.body, b"saiz")?.body);
    saiz.version_and_flags().ok()?;
    let default = saiz.u8().ok()?;
    let told = saiz.u32().ok()?;
    let sizes_agree = match default {
        0 => saiz.rest() == info.sizes,
        size => info.sizes.iter().all(|own| *own == size),
    };
    let mut saio = Fields::new(find(traf.body, b"saio")?.body);
    saio.take(8).ok()?;
    let at = usize::try_from(saio.u32().ok()?).ok()?;
    let there = bytes.get(at..at.checked_add(info.entries.len())?)?;
    Some(told == count && sizes_agree && there == info.entries)
}

fn find<'b>(siblings: &'b [u8], kind: &[u8; 4]) -> Option<Child<'b>> {
    boxes(siblings).flatten().find(|child| child.kind.0 == *kind)
}

/// The samples of the `moof` at `offset`, all of one sample description.
pub(super) fn read_moof(
    input: &mut dyn Input,
    offset: u64,
    end: u64,
    description: u32,
) -> Option<SampleTable> {
    let mut source = Source::new(input);
    read_fragment(&mut source, offset, end, TRACK_ID, description).ok()
}

/// Checks every file of a package; returns the bytes of all media files.
pub(super) fn package(
    presentation: &Presentation,
    written: &[Written],
    manifests: &[(String, String)],
    out: &mut dyn Output,
) -> Result<u64, PackageError> {
    let mut total = 0;
    for one in written {
        total += check_track(one, out)?;
    }
    for (path, text) in manifests {
        check_file(path, out, |file| {
            let is_same = read_all(file).is_some_and(|bytes| bytes == text.as_bytes());
            if is_same { Ok(()) } else { Err("a manifest does not read back") }
        })?;
    }
    check_entries(presentation, manifests)?;
    Ok(total)
}

/// Runs a check on a file that was written.
pub(super) fn check_file<T>(
    path: &str,
    out: &mut dyn Output,
    check: impl FnOnce(&mut dyn Input) -> Result<T, Wrong>,
) -> Result<T, PackageError> {
    let mut file = out
        .read_back(path)
        .map_err(|source| PackageError::Write { path: path.to_owned(), source })?;
    check(&mut *file).map_err(|what| PackageError::Verification { path: path.to_owned(), what })
}

/// Checks a track's files; returns their bytes.
fn check_track(written: &Written, out: &mut dyn Output) -> Result<u64, PackageError> {
    let Written { track, counts, inits, turns } = written;
    if counts.len() != track.segments.len() {
        let what = "the manifest has another number of segments";
        return Err(PackageError::Verification { path: track.init_path(), what });
    }
    let expected = |number, count| {
        let state = state_of(track, number);
        let told = Told::in_segment(turns, number, state == State::Protected);
        Expected { count, state, told }
    };
    if let TrackLayout::SingleFile { index, .. } = track.layout {
        let len = index.end().saturating_add(track.size_bytes());
        return check_file(&track.init_path(), out, |file| {
            let [init] = &inits[..] else { return Err("a single file has one init") };
            check_init(file, track, init)?;
            check_index(file, track, index.start)?;
            let mut at = index.end();
            for (number, (segment, count)) in (1..).zip(track.segments.iter().zip(counts)) {
                let expected = expected(number, *count);
                let spans = check_segment(file, at, at + segment.size_bytes, false, expected)?;
                check_key_frames(track, number, &spans)?;
                at += segment.size_bytes;
            }
            if file.len() == len { Ok(len) } else { Err("the file has another size") }
        });
    }
    for init in inits {
        check_file(&init.path, out, |file| {
            check_init(file, track, init)?;
            let is_whole = file.len() == init.bytes.len() as u64;
            if is_whole { Ok(()) } else { Err("the init has another size") }
        })?;
    }
    for (at, (segment, count)) in track.segments.iter().zip(counts).enumerate() {
        check_file(&track.segment_path(at + 1), out, |file| {
            if file.len() != segment.size_bytes {
                return Err("the segment has another size than the manifest says");
            }
            let expected = expected(at + 1, *count);
            let spans = check_segment(file, 0, segment.size_bytes, true, expected)?;
            check_key_frames(track, at + 1, &spans)
        })?;
    }
    Ok(written.size_bytes())
}

/// The init is what was meant, and what was meant names scheme, key and systems.
fn check_init(
    file: &mut dyn Input,
    track: &TrackRendition,
    meant: &WrittenInit,
) -> Result<(), Wrong> {
    let mut bytes = vec![0; meant.bytes.len()];
    file.read_at(0, &mut bytes).map_err(|_| "the init cannot be read back")?;
    if bytes != meant.bytes {
        return Err("the init does not read back");
    }
    match init_names_key(&bytes, track, meant.kid) {
        Some(true) => Ok(()),
        _ => Err("the init does not name the scheme and the key"),
    }
}

fn init_names_key(init: &[u8], track: &TrackRendition, kid: Option<KeyId>) -> Option<bool> {
    let mut top = boxes(init);
    let ftyp = top.next()?.ok()?;
    let moov = top.next()?.ok()?;
    if ftyp.kind.0 != *b"ftyp" || moov.kind.0 != *b"moov" || top.next().is_some() {
        return Some(false);
    }
    let path = [b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let stsd = path.iter().try_fold(moov.body, |at, kind| Some(find(at, kind)?.body))?;
    let mut entries = boxes(stsd.get(8..)?);
    let entry = entries.next()?.ok()?;
    // A clear entry is there for the lead alone.
    let clear = entries.next().transpose().ok()?;
    let is_clear_expected = track.clear_segments > 0;
    let is_clear_entry = |entry: Child<'_>| !entry.kind.0.starts_with(b"enc");
    if clear.map(is_clear_entry) != is_clear_expected.then_some(true) || entries.next().is_some() {
        return Some(false);
    }
    let has_pssh = find(moov.body, b"pssh").is_some();
    let (Some(protection), Some(kid)) = (track.protection, kid) else {
        return Some(!entry.kind.0.starts_with(b"enc") && !has_pssh);
    };
    let fields = match &entry.kind.0 {
        b"encv" => crate::codec::VISUAL_FIELDS,
        b"enca" => crate::codec::AUDIO_FIELDS,
        _ => return Some(false),
    };
    let sinf = find(entry.body.get(fields..)?, b"sinf")?.body;
    let scheme = find(sinf, b"schm")?.body.get(4..8)?;
    let tenc = Tenc::parse(find(find(sinf, b"schi")?.body, b"tenc")?.body).ok()?;
    let names = |child: Child<'_>| {
        let pssh = pssh::parse(child.whole).ok()?;
        Some(pssh.all_kids().contains(&kid))
    };
    let mut systems = boxes(moov.body).flatten().filter(|child| child.kind.0 == *b"pssh");
    Some(
        scheme == protection.scheme.name().as_bytes()
            && tenc.kid == kid
            && has_pssh
            && systems.all(|child| names(child) == Some(true)),
    )
}

fn check_index(file: &mut dyn Input, track: &TrackRendition, at: u64) -> Result<(), Wrong> {
    const WRONG: Wrong = "the index does not lead to the segments";
    let mut meant = Vec::new();
    let references = super::track_writer::references(track).map_err(|_| WRONG)?;
    crate::cmaf::write_index(track.timescale, track.start_ts, &references, &mut meant);
    let mut bytes = vec![0; meant.len()];
    file.read_at(at, &mut bytes).map_err(|_| WRONG)?;
    if bytes == meant { Ok(()) } else { Err(WRONG) }
}

/// Whether the samples of a segment are encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// They are.
    Protected,
    /// They are of the clear lead.
    Lead,
    /// Nothing of the track is.
    ClearTrack,
}

fn state_of(track: &TrackRendition, segment: usize) -> State {
    match track.protection {
        None => State::ClearTrack,
        Some(_) if segment <= track.clear_segments => State::Lead,
        Some(_) => State::Protected,
    }
}

/// Every fragment of a picture that begins with a key frame is listed, by the bytes up to the
/// end of that frame.
fn check_key_frames(
    track: &TrackRendition,
    segment: usize,
    found: &[ByteSpan],
) -> Result<(), Wrong> {
    if !matches!(track.media, TrackMedia::Video { .. }) || track.trick_of.is_some() {
        return Ok(());
    }
    // In order, so that the segment's own stand together.
    let from = track.key_frames.partition_point(|frame| frame.segment < segment);
    let own = track.key_frames.iter().skip(from).take_while(|frame| frame.segment == segment);
    if own.map(|frame| &frame.span).eq(found) {
        Ok(())
    } else {
        Err("the list of key frames is not that of the segment")
    }
}

/// What is to be in a segment.
#[derive(Clone, Copy)]
struct Expected<'a> {
    /// Samples.
    count: u32,
    state: State,
    told: Told<'a>,
}

/// Fragments fill the bytes from `start` to `end` and hold what is expected. Returns the bytes
/// from each `moof` to the end of the sync sample that it begins with.
fn check_segment(
    file: &mut dyn Input,
    start: u64,
    end: u64,
    has_type: bool,
    Expected { count, state, told }: Expected<'_>,
) -> Result<Vec<ByteSpan>, Wrong> {
    const WRONG: Wrong = "the segment is not made of whole fragments";
    let mut at = start;
    let mut samples = 0_u32;
    let mut syncs = Vec::new();
    let mut expected: &[u8; 4] = if has_type { b"styp" } else { b"moof" };
    while at < end {
        let head = Source::new(file).box_at(at, end).map_err(|_| WRONG)?;
        if head.kind.0 != *expected {
            return Err(WRONG);
        }
        expected = match expected {
            b"moof" => {
                let description = if state == State::Lead { CLEAR_ENTRY } else { 1 };
                let table = read_moof(file, at, end, description)
                    .ok_or("a fragment is clear where it is not to be, or the other way round")?;
                let moof = read_span(file, at, head.end).ok_or(WRONG)?;
                if has_protection(&moof) != Some(state == State::Protected) {
                    return Err("encryption information is not where samples are encrypted");
                }
                if told.is_in(&moof, table.count()) != Some(true) {
                    return Err(KEY_NOT_TOLD);
                }
                samples = samples.saturating_add(table.count());
                syncs.extend(table.iter().next().filter(|first| first.is_sync).map(|first| {
                    ByteSpan { start: at, len: first.offset + u64::from(first.size) - at }
                }));
                b"mdat"
            }
            _ => b"moof",
        };
        at = head.end;
    }
    let is_whole = expected == b"moof" && samples > 0;
    if !is_whole {
        Err(WRONG)
    } else if samples != count {
        Err("the segment has another number of samples")
    } else {
        Ok(syncs)
    }
}

/// Bytes of a file from `start` to `end`, which its own box bounds.
fn read_span(file: &mut dyn Input, start: u64, end: u64) -> Option<Vec<u8>> {
    let len = end.checked_sub(start).filter(|len| *len <= MAX_MANIFEST)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_at(start, &mut bytes).ok()?;
    Some(bytes)
}

/// Largest manifest that is read back: a week of segments of one second.
const MAX_MANIFEST: u64 = 256 << 20;

pub(super) fn read_all(file: &mut dyn Input) -> Option<Vec<u8>> {
    let len = usize::try_from(file.len()).ok().filter(|_| file.len() <= MAX_MANIFEST)?;
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes).ok()?;
    Some(bytes)
}

/// Every playlist lists the segments that were written, and the MPD names every track.
fn check_entries(
    presentation: &Presentation,
    manifests: &[(String, String)],
) -> Result<(), PackageError> {
    let text = |path: &str| {
        let found = manifests.iter().find(|(own, _)| own == path).map(|(_, text)| text.as_str());
        let what = "the manifest was not written";
        found.ok_or_else(|| PackageError::Verification { path: path.to_owned(), what })
    };
    let mpd = text(manifest::DASH_PATH)?;
    if presentation.images.as_ref().is_some_and(|images| !mpd.contains(&images.tiles.name())) {
        let (path, what) = (manifest::DASH_PATH.to_owned(), "the thumbnails are missing in it");
        return Err(PackageError::Verification { path, what });
    }
    for track in &presentation.tracks {
        let path = track.playlist_path();
        let listed = text(&path)?.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let written = (1..=track.segments.len()).map(|number| track.hls_segment_path(number));
        if !listed.map(|line| format!("{folder}/{line}")).eq(written) {
            let what = "the playlist lists other segments than were written";
            return Err(PackageError::Verification { path, what });
        }
        if let Some(path) = track.iframe_playlist_path() {
            check_i_frames(track, text(&path)?)
                .map_err(|what| PackageError::Verification { path: path.clone(), what })?;
        }
        if !mpd.contains(&format!("{}/{}", track.folder(), track.name)) {
            let path = manifest::DASH_PATH.to_owned();
            let what = "a track is missing in the manifest";
            return Err(PackageError::Verification { path, what });
        }
    }
    Ok(())
}

/// The playlist lists every key frame by its bytes.
fn check_i_frames(track: &TrackRendition, text: &str) -> Result<(), Wrong> {
    let ranges = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:"));
    let files = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let written = track.key_frames.iter().map(|frame| {
        let path = track.segment_path(frame.segment);
        let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name).to_owned();
        (format!("{}@{}", frame.span.len, frame.span.start), name)
    });
    let listed = ranges.zip(files).map(|(range, file)| (range.to_owned(), file.to_owned()));
    if listed.eq(written) {
        Ok(())
    } else {
        Err("the playlist lists other key frames than were written")
    }
}
