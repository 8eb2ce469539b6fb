//! The sample tables of a progressive track (ISO/IEC 14496-12:2022, 8.6 and 8.7).

use super::column::{Packed, Places};
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
        table.compositions.push(count, i64::from(value));
    }
    Ok(())
}

fn read_sync(
    source: &mut Source<'_>,
    stss: &Located,
    table: &mut SampleTable,
) -> Result<(), Fault> {
    let place = stss.place();
    table.list_sync();
    let mut entries = Entries::open::<4>(source, stss, 4)?;
    while let Some(mut entry) = entries.next::<4>()? {
        let number = entry.u32().map_err(|error| place.fault(error))?;
        number
            .checked_sub(1)
            .and_then(|index| table.push_listed_sync(index))
            .ok_or_else(|| place.fault(Malformed::Value("a sync sample's number")))?;
    }
    Ok(())
}

/// `stco` or `co64`.
fn chunk_offsets(children: &[Located], stbl: &Located) -> Result<Located, Fault> {
    match find(children, b"co64") {
        Some(co64) => Ok(*co64),
        None => require(children, b"stco", stbl),
    }
}

/// `stsc`: for each run the chunks since the run before, then the samples of a chunk.
fn read_chunk_runs(source: &mut Source<'_>, stsc: &Located) -> Result<Packed, Fault> {
    let place = stsc.place();
    let mut runs = Packed::default();
    let mut before = 0;
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
        if first <= before || before == 0 && first != 1 || samples == 0 {
            return Err(place.fault(Malformed::Value("a run of chunks")));
        }
        runs.push(u64::from(first - before));
        runs.push(u64::from(samples));
        before = first;
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
    let mut runs = runs.iter();
    let mut next_run = runs.next_u32();
    let is_long = offsets.kind.0 == *b"co64";
    let mut entries = if is_long {
        Entries::open::<8>(source, &offsets, 4)?
    } else {
        Entries::open::<4>(source, &offsets, 4)?
    };
    let place = entries.place();
    let mut sizes = table.sizes.iter();
    let mut places = Places::default();
    let (mut first, mut per_chunk, mut chunk) = (0_u32, 0_u32, 0_u32);
    loop {
        let entry = if is_long { entries.next::<8>()? } else { entries.next::<4>()? };
        let Some(mut entry) = entry else { break };
        chunk = chunk.saturating_add(1);
        let offset = if is_long { entry.u64() } else { entry.u32().map(u64::from) };
        let offset = offset.map_err(|error| place.fault(error))?;
        if next_run == Some(chunk) {
            per_chunk = runs.next_u32().unwrap_or(0);
            next_run = runs.next_u32().and_then(|chunks| chunk.checked_add(chunks));
        }
        let told = u64::from(first) + u64::from(per_chunk);
        let behind = u32::try_from(told).ok().filter(|behind| *behind <= table.count());
        let behind = behind.ok_or_else(|| count_fault(place, table, told))?;
        places.push(first, offset);
        places.advance(sizes.by_ref().take(per_chunk as usize).sum());
        first = behind;
    }
    if first != table.count() {
        return Err(count_fault(place, table, u64::from(first)));
    }
    table.places = places;
    Ok(())
}

fn count_fault(place: Place, table: &SampleTable, told: u64) -> Fault {
    let kind = crate::bmff::FourCc(*b"stsc");
    place.fault(Malformed::SampleCount { kind, told, expected: u64::from(table.count()) })
}
