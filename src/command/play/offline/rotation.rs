//! Titles whose keys change, for a time without network: one license has all of their keys, or they
//! are not kept.

use crate::command::Failure;
use crate::command::play::library::{Library, Title};
use crate::command::play::licenses::kids_of;
use crate::command::play::place::Place;
use crate::command::play::{Listing, Player, timeline};
use anyhow::{Context as _, anyhow};
use cdm::protocol::KeyState;
use cdm::{KeyStatus, MAX_INIT_BYTES, MAX_SEGMENT_BYTES, Track, segment};
use model::KeyId;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Batches whose keys one request names: what a license server reads of boxes, with room for those
/// of the initialization segments.
const MAX_BATCHES: usize = 12;

/// A title as it can be kept: where its keys change, its initialization data names all of them.
///
/// Errors: a title that goes on, or whose manifest says where keys change; more keys than one
/// request names.
pub fn kept(player: &Player<'_>, place: &Place, mut listing: Listing) -> Result<Listing, Failure> {
    let refused = |why: &str| Err(Failure::Refused(anyhow!("{why}: it cannot be kept")));
    if listing.renditions.iter().any(|one| one.live.is_some()) {
        return refused("this title goes on");
    }
    if listing.renditions.iter().any(|one| !one.turns.is_empty()) {
        return refused("the keys of this title change by its manifest");
    }
    let smallest = listing.renditions.iter().min_by_key(|one| one.bandwidth);
    let Some(one) = smallest.filter(|_| listing.rotates) else { return Ok(listing) };
    let init = place.read(&player.web, &one.init, MAX_INIT_BYTES)?;
    let track = Track::parse(&init).with_context(|| one.id.clone()).map_err(Failure::Refused)?;
    let mut data = listing.init_data.concat();
    let mut named: BTreeSet<KeyId> = kids_of(&data).into_iter().collect();
    let mut batches = 0;
    // The boxes of a batch are those of every rendition (ISO/IEC 23001-7, 8.1).
    for step in timeline::steps(place, &player.web, 0, one)? {
        let bytes = place.read(&player.web, &step.segment.part, MAX_SEGMENT_BYTES)?;
        let kids = segment::kids(&track, &bytes).with_context(|| one.id.clone());
        if kids.map_err(Failure::Refused)?.iter().all(|kid| named.contains(kid)) {
            continue;
        }
        batches += 1;
        if batches > MAX_BATCHES {
            return refused("this title has more keys than one license names");
        }
        let more = segment::init_data(&bytes);
        named.extend(kids_of(&more));
        data.extend(more);
    }
    listing.init_data = vec![data];
    Ok(listing)
}

/// Whether every segment of a title that was fetched is under a key that its license has.
pub fn check(library: &Library, title: &Title, keys: &[KeyState]) -> Result<(), Failure> {
    let read = |file: &Path| {
        let bytes = fs::read(file).with_context(|| file.display().to_string());
        bytes.map_err(Failure::Environment)
    };
    let usable = keys.iter().filter(|key| key.status == KeyStatus::Usable);
    let usable: BTreeSet<KeyId> = usable.map(|key| key.kid).collect();
    let mut track = None;
    for wanted in library.wanted(title) {
        let bytes = read(&wanted.file)?;
        let about = || wanted.file.display().to_string();
        if wanted.is_init {
            let found = Track::parse(&bytes).with_context(about).map_err(Failure::Refused)?;
            track = Some(found);
            continue;
        }
        let Some(track) = &track else { continue };
        let kids = segment::kids(track, &bytes).with_context(about).map_err(Failure::Refused)?;
        if !kids.iter().all(|kid| usable.contains(kid)) {
            return Err(Failure::Refused(anyhow!(
                "the keys of {} change, and its license has not all of them: it cannot be kept; \
                 --forget it",
                title.content
            )));
        }
    }
    Ok(())
}
