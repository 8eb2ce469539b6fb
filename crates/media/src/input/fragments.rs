//! Movie fragments (ISO/IEC 14496-12:2022, 8.8): `moof` into the sample tables.

use super::fault::{Fault, Malformed, Place, Unsupported, What};
use super::sample_table::SampleTable;
use super::source::{Located, Source};
use crate::bmff::{BoxError, Child, Fields, boxes};

/// Defaults of a track (`trex`), which a fragment may override.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub track: u32,
    /// The one sample description that is read, counted from 1.
    pub description: u32,
    pub duration: u32,
    pub size: u32,
    pub flags: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { track: 0, description: 1, duration: 0, size: 0, flags: 0 }
    }
}

impl Defaults {
    pub fn parse(trex: &[u8]) -> Result<Self, What> {
        let mut fields = Fields::new(trex);
        fields.version_and_flags()?;
        let track = fields.u32()?;
        if fields.u32()? != 1 {
            return Err(Unsupported::Feature("a second sample description").into());
        }
        let (duration, size, flags) = (fields.u32()?, fields.u32()?, fields.u32()?);
        Ok(Self { track, duration, size, flags, ..Self::default() })
    }
}

/// The samples that the `moof` at `offset` holds of the track with id `track`, all of the sample
/// description `description`.
pub(crate) fn read_one(
    source: &mut Source<'_>,
    offset: u64,
    end: u64,
    track: u32,
    description: u32,
) -> Result<SampleTable, Fault> {
    let moof = source.box_at(offset, end)?;
    let mut table = SampleTable::default();
    let defaults = Defaults { track, description, ..Defaults::default() };
    let room = source.len();
    read(source, &moof, room, &[defaults], &mut [(track, Some(&mut table))])?;
    Ok(table)
}

/// What all tracks of a fragment share.
struct Fragment<'d> {
    /// Offset of the `moof`.
    moof: u64,
    /// Bytes that there are for samples.
    room: u64,
    defaults: &'d [Defaults],
}

/// What a fragment says about one track.
struct Header {
    defaults: Defaults,
    /// Offset from which `trun` counts.
    base: u64,
}

/// Tables being filled: the track's id and its table; a track that is left out has none.
pub(super) type Tables<'t> = [(u32, Option<&'t mut SampleTable>)];

/// Appends the samples of one `moof`, for which there are at most `room` bytes.
pub(super) fn read(
    source: &mut Source<'_>,
    moof: &Located,
    room: u64,
    defaults: &[Defaults],
    tables: &mut Tables<'_>,
) -> Result<(), Fault> {
    let place = moof.place();
    let body = source.body(moof)?;
    // Where the data of the `traf` before it ended: the base of the oldest addressing rule.
    let mut reached = moof.offset;
    for child in boxes(&body) {
        let child = child.map_err(|error| place.fault(error))?;
        if child.kind.0 == *b"traf" {
            let place = Place::Box {
                kind: child.kind,
                offset: moof.body.saturating_add(child.offset as u64),
            };
            let fragment = Fragment { moof: moof.offset, room, defaults };
            reached = fragment.read_traf(&child, reached, tables, place)?;
        }
    }
    Ok(())
}

impl Fragment<'_> {
    fn read_traf(
        &self,
        traf: &Child<'_>,
        reached: u64,
        tables: &mut Tables<'_>,
        place: Place,
    ) -> Result<u64, Fault> {
        let at = |what: What| Fault { place, what };
        let children: Vec<_> =
            boxes(traf.body).collect::<Result<_, _>>().map_err(|error| place.fault(error))?;
        let find = |kind: &[u8; 4]| children.iter().find(|child| child.kind.0 == *kind);
        let tfhd = find(b"tfhd")
            .ok_or_else(|| place.fault(Malformed::Missing(crate::bmff::FourCc(*b"tfhd"))))?;
        let header = parse_tfhd(tfhd.body, self.moof, reached, self.defaults).map_err(at)?;
        let track = header.defaults.track;
        let slot = tables.iter_mut().find(|(id, _)| *id == track);
        let (_, table) =
            slot.ok_or_else(|| place.fault(Malformed::Value("a fragment's track id")))?;
        if let (Some(table), Some(tfdt)) = (table.as_deref_mut(), find(b"tfdt")) {
            let told = parse_tfdt(tfdt.body).map_err(at)?;
            set_decode_time(table, told).map_err(at)?;
        }
        let mut reached = header.base;
        for trun in children.iter().filter(|child| child.kind.0 == *b"trun") {
            reached = self.read_trun(trun.body, &header, reached, table.as_deref_mut(), place)?;
        }
        Ok(reached)
    }

    /// Returns the offset behind the run's last sample.
    fn read_trun(
        &self,
        body: &[u8],
        header: &Header,
        reached: u64,
        mut table: Option<&mut SampleTable>,
        place: Place,
    ) -> Result<u64, Fault> {
        let short = |error: BoxError| place.fault(error);
        let mut fields = Fields::new(body);
        let (_, flags) = fields.version_and_flags().map_err(short)?;
        let declared = fields.u32().map_err(short)?;
        let mut offset = reached;
        if flags & 1 != 0 {
            let relative = i64::from(fields.i32().map_err(short)?);
            offset = header
                .base
                .checked_add_signed(relative)
                .ok_or_else(|| place.fault(Malformed::Value("a run's data offset")))?;
        }
        let first_flags = if flags & 4 != 0 { Some(fields.u32().map_err(short)?) } else { None };
        let per_sample = [0x100, 0x200, 0x400, 0x800].map(|flag| flags & flag != 0);
        let entry_len = 4 * per_sample.iter().filter(|present| **present).count();
        if entry_len as u64 * u64::from(declared) > fields.rest().len() as u64 {
            let room = (fields.rest().len() / entry_len.max(1)) as u64;
            return Err(place.fault(Malformed::Count { declared: u64::from(declared), room }));
        }
        let [has_duration, has_size, has_flags, has_composition] = per_sample;
        let default_size = u64::from(header.defaults.size.max(1));
        if !has_size && u64::from(declared) * default_size > self.room {
            // No entries to weigh the count against: the bytes that are there must carry it.
            let room = self.room / default_size;
            return Err(place.fault(Malformed::Count { declared: u64::from(declared), room }));
        }
        let mut end = offset;
        if let Some(table) = table.as_deref_mut() {
            table.places.push(table.count(), offset);
        }
        for number in 0..declared {
            let mut field = |present: bool, default: u32| {
                if present { fields.u32().map_err(short) } else { Ok(default) }
            };
            let duration = field(has_duration, header.defaults.duration)?;
            let size = field(has_size, header.defaults.size)?;
            let default = first_flags.filter(|_| number == 0).unwrap_or(header.defaults.flags);
            let sample_flags = field(has_flags, default)?;
            let composition = field(has_composition, 0)?.cast_signed();
            end = end
                .checked_add(u64::from(size))
                .ok_or_else(|| place.fault(Malformed::Value("a run's data offset")))?;
            if let Some(table) = table.as_deref_mut() {
                push_sample(table, place, size, duration, sample_flags, composition)?;
            } else if entry_len == 0 {
                // Nothing to learn from the samples of a track that is left out.
                break;
            }
        }
        Ok(end)
    }
}

fn parse_tfhd(body: &[u8], moof: u64, reached: u64, all: &[Defaults]) -> Result<Header, What> {
    let mut fields = Fields::new(body);
    let (_, flags) = fields.version_and_flags()?;
    let track = fields.u32()?;
    let mut defaults = all.iter().find(|one| one.track == track).copied().unwrap_or_default();
    defaults.track = track;
    let base = match (flags & 1 != 0, flags & 0x2_0000 != 0) {
        (true, _) => fields.u64()?,
        (false, true) => moof,
        (false, false) => reached,
    };
    let description = if flags & 2 != 0 { fields.u32()? } else { 1 };
    if description != defaults.description {
        return Err(Unsupported::Feature("a second sample description").into());
    }
    if flags & 8 != 0 {
        defaults.duration = fields.u32()?;
    }
    if flags & 0x10 != 0 {
        defaults.size = fields.u32()?;
    }
    if flags & 0x20 != 0 {
        defaults.flags = fields.u32()?;
    }
    Ok(Header { defaults, base })
}

fn parse_tfdt(body: &[u8]) -> Result<u64, What> {
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags()?;
    Ok(fields.time(version)?)
}

/// A later decode time than the samples so far add up to means that the last of them lasts
/// longer than its fragment could know.
fn set_decode_time(table: &mut SampleTable, told: u64) -> Result<(), What> {
    let reached = table.start.saturating_add(table.total_ticks());
    if table.count() == 0 {
        table.start = told;
    } else if told != reached {
        let last_begins = reached.saturating_sub(u64::from(table.last_duration()));
        let lasts = told.checked_sub(last_begins).and_then(|ticks| u32::try_from(ticks).ok());
        let lasts = lasts.filter(|ticks| *ticks > 0);
        let fault = Malformed::TimeGoesBack { told, reached: last_begins };
        table.set_last_duration(lasts.ok_or(fault)?);
    }
    Ok(())
}

fn push_sample(
    table: &mut SampleTable,
    place: Place,
    size: u32,
    duration: u32,
    flags: u32,
    composition: i32,
) -> Result<(), Fault> {
    let index = table.count();
    table.push_size(place, size)?;
    table.push_durations(1, duration);
    if composition != 0 && table.compositions.count() == 0 {
        table.compositions.push(index, 0);
    }
    if composition != 0 || table.compositions.count() != 0 {
        table.compositions.push(1, i64::from(composition));
    }
    table.places.advance(u64::from(size));
    table.push_sync(index, flags & 0x1_0000 == 0);
    Ok(())
}
