//! The segments that a playback goes through, those of all its tracks in the order of their times;
//! of a title that goes on, also those that its manifest comes to list.

use super::Failure;
use super::place::Place;
use super::web::Web;
use anyhow::{Context as _, anyhow};
use media::manifest::listing::{Listed, Live, MediaParts, Part, Segment, subsegments};
use model::{KeyId, Scheme, Timestamp};
use server::clock::Clock;
use std::collections::VecDeque;

/// Longest index of a single file, bytes.
const MAX_INDEX_BYTES: usize = 1 << 20;

/// A segment, and what is said of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The track, by its place among those that play.
    pub track: usize,
    /// The segment.
    pub segment: Segment,
    /// Its initialization segment.
    pub init: Part,
    /// How the manifest says that it is encrypted.
    pub protection: Option<(Scheme, KeyId)>,
    /// Where a playlist says that its key is.
    pub key_uri: Option<String>,
}

/// A track's segments that are to come.
struct Lane {
    id: String,
    steps: VecDeque<Step>,
    /// The last that was listed.
    last: Option<u64>,
}

/// What is to come.
pub struct Timeline {
    lanes: Vec<Lane>,
    /// How it goes on; none: it is whole.
    live: Option<Live>,
    read: Timestamp,
}

/// The segments of a rendition, each with what is said of it.
pub fn steps(place: &Place, web: &Web, track: usize, one: &Listed) -> Result<Vec<Step>, Failure> {
    let segments = match &one.media {
        MediaParts::Segments(segments) => segments.clone(),
        MediaParts::Indexed(index) => {
            let bytes = place.read(web, index, MAX_INDEX_BYTES)?;
            let found = subsegments(index, &bytes).with_context(|| one.id.clone());
            found.map_err(Failure::Refused)?
        }
    };
    let (mut turns, mut steps) = (one.turns.iter().peekable(), vec![]);
    let scheme = one.protection.map(|(scheme, _)| scheme);
    let mut said = (one.init.clone(), one.protection, one.key_uri.clone());
    for (at, segment) in segments.into_iter().enumerate() {
        while let Some(turn) = turns.next_if(|turn| turn.segment <= at) {
            said = (turn.init.clone(), scheme.zip(turn.kid), turn.key_uri.clone());
        }
        let (init, protection, key_uri) = said.clone();
        steps.push(Step { track, segment, init, protection, key_uri });
    }
    Ok(steps)
}

/// When a playback begins: at the begin, or so far behind the newest segment as the manifest of a
/// title that goes on has it; never before the track that begins last.
pub fn begin_ms(all: &[Vec<Step>], live: Option<Live>) -> u64 {
    let Some(live) = live else { return 0 };
    let ends = all.iter().filter_map(|steps| steps.last()).map(end_ms);
    ends.min().unwrap_or(0).saturating_sub(live.delay_ms)
}

/// When a segment ends, milliseconds.
pub const fn end_ms(step: &Step) -> u64 {
    step.segment.begins_ms.saturating_add(step.segment.duration_ms)
}

impl Timeline {
    /// What is to come of these renditions.
    pub fn new(place: &Place, web: &Web, chosen: &[&Listed]) -> Result<Self, Failure> {
        let read = Clock::System.now();
        let live = chosen.iter().find_map(|one| one.live);
        let all: Vec<Vec<Step>> = chosen
            .iter()
            .enumerate()
            .map(|(track, one)| steps(place, web, track, one))
            .collect::<Result<_, _>>()?;
        let begin_ms = begin_ms(&all, live);
        let lanes = chosen.iter().zip(all).map(|(one, steps)| Lane {
            id: one.id.clone(),
            last: steps.last().map(|step| step.segment.number),
            steps: steps.into_iter().skip_while(|step| end_ms(step) <= begin_ms).collect(),
        });
        Ok(Self { lanes: lanes.collect(), live, read })
    }

    /// Whether the manifest may come to list more.
    pub const fn goes_on(&self) -> bool {
        self.live.is_some()
    }

    /// How many segments are known to come.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.steps.len()).sum()
    }

    /// The next segment.
    pub fn next(&mut self) -> Option<Step> {
        let first = |lane: &&mut Lane| lane.steps.front().map(|step| step.segment.begins_ms);
        let lanes = self.lanes.iter_mut().filter(|lane| !lane.steps.is_empty());
        lanes.min_by_key(first)?.steps.pop_front()
    }

    /// Where the keys of what comes are, in the order in which they are needed; each once.
    pub fn key_uris(&self, most: usize) -> Vec<String> {
        let mut steps: Vec<&Step> = self.lanes.iter().flat_map(|lane| &lane.steps).collect();
        steps.sort_by_key(|step| step.segment.begins_ms);
        let mut found: Vec<String> = vec![];
        for uri in steps.iter().filter_map(|step| step.key_uri.as_ref()) {
            if found.len() == most {
                break;
            }
            if !found.contains(uri) {
                found.push(uri.clone());
            }
        }
        found
    }

    /// Reads the manifest anew where it is time; how long until then, milliseconds.
    ///
    /// Errors: a manifest that no longer lists a track, or that cannot be read.
    pub fn follow(
        &mut self,
        place: &Place,
        web: &Web,
        dialect: model::Dialect,
    ) -> Result<u64, Failure> {
        let Some(live) = self.live else { return Ok(u64::MAX) };
        let due = self.read.0.saturating_add(live.reload_ms);
        let now = Clock::System.now();
        if now.0 < due {
            return Ok(due.saturating_sub(now.0));
        }
        self.read = now;
        let listed = place.renditions(web, dialect)?;
        self.live = None;
        for (track, lane) in self.lanes.iter_mut().enumerate() {
            let one = listed.iter().find(|one| one.id == lane.id);
            let one = one.with_context(|| format!("{} is no longer listed", lane.id));
            let one = one.map_err(Failure::Refused)?;
            self.live = self.live.or(one.live);
            let more = steps(place, web, track, one)?;
            let is_new = |step: &Step| lane.last.is_none_or(|last| step.segment.number > last);
            let more: Vec<Step> = more.into_iter().filter(is_new).collect();
            lane.last = more.last().map(|step| step.segment.number).or(lane.last);
            lane.steps.extend(more);
            if lane.steps.len() > MAX_AHEAD {
                return Err(Failure::Refused(anyhow!(
                    "the manifest lists more than can be played"
                )));
            }
        }
        Ok(self.live.map_or(u64::MAX, |live| live.reload_ms))
    }
}

/// Most segments of a track that are listed ahead.
const MAX_AHEAD: usize = 1_000_000;
