//! The sample tables of a progressive track (ISO/IEC 14496-12:2022, 8.6 and 8.7).

use super::fault::{Fault, Malformed, Place, Unsupported};
use super::sample_table::{MAX_SAMPLES, SampleTable};
use super::source::{Entries, Located, Source, find, require};

/// Reads the tables among the children of `stbl`. A track without samples, as in a fragmented
/// file, gives an empty table.
pub(super) fn read(
    source: &mut Source<'_>,
    stbl: &Located,
    children: &[Located],
) -> Result<SampleTable, Fault> {
    let mut table = SampleTable::default();
    if let Some(stz2) = find(children, b"stz2") {
        return Err(stz2.place().fault(Unsupported::Feature("a compact sample size table")));
    }
    read_sizes(source, &require(children, b"stsz", stbl)?, &mut table)?;
    if table.count() == 0 {
        return Ok(table);
    }
    read_durations(source, &require(children, b"stts", stbl)?, &mut table)?;
    if let Some(ctts) = find(children, b"ctts") {
        read_compositions(source, ctts, &mut table)?;
    }
    if let Some(stss) = find(children, b"stss") {
        read_sync(source, stss, &mut table)?;
    }
    let stsc = require(children, b"stsc", stbl)?;
    read_chunks(source, &stsc, chunk_offsets(children, stbl)?, &mut table)?;
    Ok(table)
}

fn read_sizes(
    source: &mut Source<'_>,
    stsz: &Located,
    table: &mut SampleTable,
) -> Result<(), Fault> {
    let place = stsz.place();
    let mut fixed = [0; 12];
    if stsz.end - stsz.body < 12 {
        return Err(place.fault(crate::bmff::BoxError::Truncated));
    }
    source.read(stsz.body, &mut fixed)?;
    let [.., a, b, c, d, e, f, g, h] = fixed;
    let (size, count) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    if size != 0 {
        // No entries to weigh the count against: the bytes of the file must carry it.
        if u64::from(size) * u64::from(count) > source.len() {
            let room = source.len() / u64::from(size);
            return Err(place.fault(Malformed::Count { declared: u64::from(count), room }));
        }
        return (0..count).try_for_each(|_| table.push_size(place, size));
    }
    let mut entries = Entries::open::<4>(source, stsz, 8)?;
    while let Some(mut entry) = entries.next::<4>()? {
        let size = entry.u32().map_err(|error| place.fault(error))?;
        table.push_size(place, size)?;
    }
    Ok(())
}

fn read_durations(
    source: &mut Source<'_>,
    stts: &Located,
    table: &mut SampleTable,
) -> Result<(), Fault> {
    let place = stts.place();
    let mut entries = Entries::open::<8>(source, stts, 4)?;
    while let Some(mut entry) = entries.next::<8>()? {
        let count = entry.u32().map_err(|error| place.fault(error))?;
        let value = entry.u32().map_err(|error| place.fault(error))?;
        table.push_durations(count, value);
    }
    Ok(())
}

fn read_compositions(
    source: &mut Source<'_>,
    ctts: &Located,
    table: &mut SampleTable,
) -> Result<(), Fault> {
    let place = ctts.place();
    let mut entries = Entries::open::<8>(source, ctts, 4)?;
    while let Some(mut entry) = entries.next::<8>()? {
        let count = entry.u32().map_err(|error| place.fault(error))?;
        // Version 0 is unsigned by the letter; writers of negative offsets forget the version.
        let value = entry.i32().map_err(|error| place.fault(error))?;
        table.compositions.push(count, value);
    }
    Ok(())
}

fn read_sync(
    source: &mut Source<'_>,
    stss: &Located,
    table: &mut SampleTable,
) -> Result<(), Fault> {
    let place = stss.place();
    let mut sync = Vec::new();
    let mut entries = Entries::open::<4>(source, stss, 4)?;
    while let Some(mut entry) = entries.next::<4>()? {
        let number = entry.u32().map_err(|error| place.fault(error))?;
        let index = number.checked_sub(1).filter(|index| *index < table.count());
        let index = index.filter(|index| sync.last().is_none_or(|last| last < index));
        sync.push(index.ok_or_else(|| place.fault(Malformed::Value("a sync sample's number")))?);
    }
    table.sync = Some(sync);
    Ok(())
}

/// `stco` or `co64`.
fn chunk_offsets(children: &[Located], stbl: &Located) -> Result<Located, Fault> {
    match find(children, b"co64") {
        Some(co64) => Ok(*co64),
        None => require(children, b"stco", stbl),
    }
}

/// `first_chunk`, `samples_per_chunk`.
type ChunkRuns = Vec<(u32, u32)>;

fn read_chunk_runs(source: &mut Source<'_>, stsc: &Located) -> Result<ChunkRuns, Fault> {
    let place = stsc.place();
    let mut runs = ChunkRuns::new();
    let mut entries = Entries::open::<12>(source, stsc, 4)?;
    if entries.left() > u64::from(MAX_SAMPLES) {
        let limit = u64::from(MAX_SAMPLES);
        return Err(place.fault(Unsupported::Limit { what: "runs of chunks", limit }));
    }
    while let Some(mut entry) = entries.next::<12>()? {
        let [first, samples, description] =
            [entry.u32(), entry.u32(), entry.u32()].map(|field| field.map_err(|e| place.fault(e)));
        let (first, samples) = (first?, samples?);
        if description? != 1 {
            return Err(place.fault(Unsupported::Feature("a second sample description")));
        }
        let follows = runs.last().map_or(first == 1, |(before, _)| first > *before);
        if !follows || samples == 0 {
            return Err(place.fault(Malformed::Value("a run of chunks")));
        }
        runs.push((first, samples));
    }
    Ok(runs)
}

fn read_chunks(
    source: &mut Source<'_>,
    stsc: &Located,
    offsets: Located,
    table: &mut SampleTable,
) -> Result<(), Fault> {
    let runs = read_chunk_runs(source, stsc)?;
    let mut runs = runs.iter().peekable();
    let is_long = offsets.kind.0 == *b"co64";
    let mut entries = if is_long {
        Entries::open::<8>(source, &offsets, 4)?
    } else {
        Entries::open::<4>(source, &offsets, 4)?
    };
    let place = entries.place();
    let (mut first, mut end_of_last, mut per_chunk) = (0_u32, 0_u64, 0_u32);
    let mut chunk = 0_u32;
    loop {
        let entry = if is_long { entries.next::<8>()? } else { entries.next::<4>()? };
        let Some(mut entry) = entry else { break };
        chunk = chunk.saturating_add(1);
        let offset = if is_long { entry.u64() } else { entry.u32().map(u64::from) };
        let offset = offset.map_err(|error| place.fault(error))?;
        if let Some((_, samples)) = runs.next_if(|(begins, _)| *begins == chunk) {
            per_chunk = *samples;
        }
        let behind = first.checked_add(per_chunk).filter(|behind| *behind <= table.count());
        let behind = behind
            .ok_or_else(|| count_fault(place, table, u64::from(first) + u64::from(per_chunk)))?;
        table.push_place(first, offset, end_of_last);
        let sizes = table.sizes.get(first as usize..behind as usize).unwrap_or_default();
        let bytes: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
        end_of_last = offset
            .checked_add(bytes)
            .ok_or_else(|| place.fault(Malformed::Value("a chunk's offset")))?;
        first = behind;
    }
    if first == table.count() { Ok(()) } else { Err(count_fault(place, table, u64::from(first))) }
}

fn count_fault(place: Place, table: &SampleTable, told: u64) -> Fault {
    let kind = crate::bmff::FourCc(*b"stsc");
    place.fault(Malformed::SampleCount { kind, told, expected: u64::from(table.count()) })
}
