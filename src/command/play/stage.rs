//! A track that plays: its segments are decrypted by the CDM and decoded, at L1 inside of it.

use super::cdm_client::CdmProcess;
use super::decoder::Decoder;
use super::summary::Played;
use super::timeline::Step;
use super::{Failure, Level};
use anyhow::{Context as _, anyhow};
use cdm::{Track, segment};
use media::manifest::listing::{Listed, Part};
use model::KeyId;
use std::collections::BTreeSet;

/// A track on its way.
pub struct Stage<'a> {
    one: &'a Listed,
    number: u32,
    level: Level,
    /// The initialization segment that counts now, read.
    current: Option<(Part, Track)>,
    /// Where decoding is outside of the CDM.
    decoder: Option<Decoder>,
    segments: usize,
    kids: BTreeSet<KeyId>,
    /// A line for each frame.
    lines: String,
}

impl<'a> Stage<'a> {
    /// A track under a number of its own.
    pub fn new(one: &'a Listed, number: u32, level: Level) -> Self {
        let (kids, lines) = (BTreeSet::new(), String::new());
        Self { one, number, level, current: None, decoder: None, segments: 0, kids, lines }
    }

    /// How many segments of it have been played.
    pub const fn segments(&self) -> usize {
        self.segments
    }

    /// Whether a segment needs another initialization segment than the one before it.
    pub fn needs_init(&self, step: &Step) -> bool {
        self.current.as_ref().is_none_or(|(init, _)| *init != step.init)
    }

    /// Goes on with the initialization segment of a segment; what it starts DRM systems with.
    ///
    /// Errors: where it is protected otherwise than the manifest says.
    pub fn turn(
        &mut self,
        cdm: &mut CdmProcess,
        step: &Step,
        init: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let track = Track::parse(init).with_context(|| self.one.id.clone());
        let track = track.map_err(Failure::Refused)?;
        let same = |(_, before): &(Part, Track)| before.clear_init == track.clear_init;
        let goes_on = self.current.as_ref().is_some_and(same);
        if !goes_on && self.current.is_some() {
            self.finish(cdm)?;
        }
        let (protection, clear) = cdm.load(self.number, init).map_err(Failure::Refused)?;
        // A key line is of the segments behind it, where keys change within their initialization.
        let changes =
            step.key_uri.is_some() && (!self.one.turns.is_empty() || self.one.live.is_some());
        let is_told = match (protection, step.protection) {
            (Some(found), Some((scheme, kid))) => {
                found.scheme == scheme && (found.kid == kid || changes)
            }
            (found, told) => found.is_none() && told.is_none(),
        };
        if !is_told {
            let error = anyhow!("{}: the segment's key is not the manifest's", self.one.id);
            return Err(Failure::Refused(error));
        }
        if !goes_on {
            self.decoder = match self.level {
                Level::L1 => None,
                Level::L2 | Level::L3 => Some(Decoder::start().map_err(Failure::Environment)?),
            };
            self.decode(&clear)?;
        }
        let data = track.init_data.clone();
        self.current = Some((step.init.clone(), track));
        Ok(data)
    }

    /// The keys that a segment is under.
    pub fn kids(&self, bytes: &[u8]) -> Result<Vec<KeyId>, Failure> {
        let Some((_, track)) = &self.current else { return Ok(vec![]) };
        segment::kids(track, bytes).with_context(|| self.one.id.clone()).map_err(Failure::Refused)
    }

    /// Decrypts and decodes a segment.
    pub fn play(&mut self, cdm: &mut CdmProcess, bytes: &[u8]) -> Result<(), Failure> {
        let clear = cdm.decrypt(self.number, bytes).map_err(Failure::Refused)?;
        self.decode(&clear)?;
        self.kids.extend(self.kids(bytes)?);
        self.segments += 1;
        Ok(())
    }

    fn decode(&mut self, clear: &[u8]) -> Result<(), Failure> {
        match &mut self.decoder {
            Some(decoder) => decoder.write(clear).map_err(Failure::Refused),
            None => Ok(()),
        }
    }

    fn finish(&mut self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        let inside = cdm.finish(self.number).map_err(Failure::Refused)?;
        let outside = self.decoder.take().map(Decoder::finish).transpose();
        self.lines += &outside.map_err(Failure::Refused)?.unwrap_or(inside);
        Ok(())
    }

    /// Ends the track; what was played of it.
    pub fn end(mut self, cdm: &mut CdmProcess) -> Result<Played, Failure> {
        if self.current.is_some() {
            self.finish(cdm)?;
        }
        Ok(Played::new(self.one, self.segments, self.kids.len(), self.lines))
    }
}
