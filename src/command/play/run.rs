//! The course of a playback: each segment in its turn is fetched, its keys are seen to, and it is
//! decrypted when its time has come.
//!
//! A title that is whole plays as fast as it is fetched. One that goes on plays by the clock, so
//! far behind its edge as its manifest has it; a segment that is not there when its time has come
//! is a stall, and the rest of the playback is later by that much.

use super::cdm_client::CdmProcess;
use super::licenses::{Licenses, Ready};
use super::place::Place;
use super::stage::Stage;
use super::summary::{Ended, Played};
use super::timeline::{self, Step, Timeline};
use super::{Dialect, Failure, Player};
use crate::screen::count_bar;
use anyhow::anyhow;
use cdm::{MAX_INIT_BYTES, MAX_SEGMENT_BYTES};
use indicatif::ProgressBar;
use media::manifest::listing::Listed;
use server::clock::Clock;

/// Keys of FairPlay that are asked for together.
const MAX_URIS: usize = 64;
/// Of how many of the keys that come next one must be missing for more to be asked for.
const AHEAD: usize = 8;
/// How long nothing new may come of a title that goes on, milliseconds.
const PATIENCE_MS: u64 = 60_000;
/// What is later than this is late, milliseconds.
const LATE_MS: u64 = 500;
/// Longest sleep without a look around, milliseconds.
const NAP_MS: u64 = 100;

/// A playback on its way.
pub struct Run<'a, 'b> {
    player: &'a Player<'a>,
    place: &'a Place,
    cdm: &'a mut CdmProcess,
    licenses: &'a mut Licenses<'b>,
    stages: Vec<Stage<'a>>,
    timeline: Timeline,
    /// The time of the title at which it began, and when that was; none before the first segment.
    begun: Option<Begun>,
    /// How far it has played, milliseconds of the title.
    played_ms: u64,
    stalls: usize,
}

#[derive(Clone, Copy)]
struct Begun {
    title_ms: u64,
    clock_ms: u64,
}

impl<'a, 'b> Run<'a, 'b> {
    /// A playback of these renditions.
    pub fn new(
        player: &'a Player<'a>,
        place: &'a Place,
        cdm: &'a mut CdmProcess,
        licenses: &'a mut Licenses<'b>,
        chosen: &[&'a Listed],
    ) -> Result<Self, Failure> {
        let timeline = Timeline::new(place, &player.web, chosen)?;
        let level = player.chosen.level;
        let stages = (0_u32..).zip(chosen).map(|(number, one)| Stage::new(one, number, level));
        let stages = stages.collect();
        Ok(Self {
            player,
            place,
            cdm,
            licenses,
            stages,
            timeline,
            begun: None,
            played_ms: 0,
            stalls: 0,
        })
    }

    /// Plays until something ends it. A key that is not to be had ends the picture, and is the
    /// second of what comes back; damaged media, and what is missing here, are errors.
    pub fn play(&mut self) -> Result<(Ended, Option<Failure>), Failure> {
        let bar = count_bar("play", u64::try_from(self.timeline.len()).unwrap_or(0));
        let ended = self.segments(&bar);
        bar.finish_and_clear();
        ended
    }

    fn segments(&mut self, bar: &ProgressBar) -> Result<(Ended, Option<Failure>), Failure> {
        while let Some(step) = self.next()? {
            let begun_ms = self.begun.map_or(step.segment.begins_ms, |begun| begun.title_ms);
            let seconds = self.player.arguments.seconds.map(|seconds| u64::from(seconds) * 1000);
            let behind_ms = step.segment.begins_ms.saturating_sub(begun_ms);
            if seconds.is_some_and(|most| behind_ms >= most) {
                return Ok((self.ended("so much was to be played".to_owned()), None));
            }
            let bytes = self.fetch(&step)?;
            let kids = self.stage(&step)?.kids(&bytes)?;
            if let Err(failure) = self.ready(&step, &kids) {
                return lost(self, failure);
            }
            self.licenses.renew(self.cdm)?;
            if let Err(refused) = self.show(&step, &bytes) {
                // Between the look at a key and its use, the key may have ended.
                match self.licenses.ensure(self.cdm, &kids) {
                    Ok(Ready::Held) => return Err(refused),
                    Ok(Ready::Waited) => self.show(&step, &bytes)?,
                    Err(failure) => return lost(self, failure),
                }
            }
            self.shown(&step);
            bar.inc(1);
        }
        Ok((self.ended("the title is over".to_owned()), None))
    }

    fn stage(&mut self, step: &Step) -> Result<&mut Stage<'a>, Failure> {
        let stage = self.stages.get_mut(step.track);
        stage.ok_or_else(|| Failure::Refused(anyhow!("there is no such track")))
    }

    /// The next segment; of a title that goes on, as soon as it is listed.
    fn next(&mut self) -> Result<Option<Step>, Failure> {
        let waits = Clock::System.now().0;
        loop {
            let due_ms = self.follow()?;
            if let Some(step) = self.timeline.next() {
                return Ok(Some(step));
            }
            if !self.timeline.goes_on() {
                return Ok(None);
            }
            if Clock::System.now().0.saturating_sub(waits) > PATIENCE_MS {
                return Err(Failure::Refused(anyhow!("The stream stands still")));
            }
            self.player.web.wait(due_ms.clamp(1, NAP_MS));
        }
    }

    fn follow(&mut self) -> Result<u64, Failure> {
        let dialect = self.player.chosen.dialect.system();
        self.timeline.follow(self.place, &self.player.web, dialect)
    }

    /// Fetches a segment, its initialization segment where that changes, and the licenses that
    /// they speak of.
    fn fetch(&mut self, step: &Step) -> Result<Vec<u8>, Failure> {
        let (place, web) = (self.place, &self.player.web);
        let mut data = vec![];
        if self.stage(step)?.needs_init(step) {
            let init = place.read(web, &step.init, MAX_INIT_BYTES)?;
            let stage = self.stages.get_mut(step.track);
            let stage = stage.ok_or_else(|| Failure::Refused(anyhow!("there is no such track")))?;
            data = stage.turn(self.cdm, step, &init)?;
        }
        let bytes = place.read(web, &step.segment.part, MAX_SEGMENT_BYTES)?;
        let of_fragments = cdm::segment::init_data(&bytes);
        if !of_fragments.is_empty() {
            data = of_fragments;
        }
        if self.player.chosen.dialect == Dialect::Fairplay {
            self.meet_uris(step)?;
        } else if !data.is_empty() {
            self.licenses.meet(self.cdm, vec![data])?;
        }
        Ok(bytes)
    }

    /// FairPlay: the keys of what comes, asked for when the next few are not all known.
    fn meet_uris(&mut self, step: &Step) -> Result<(), Failure> {
        let mut uris: Vec<String> = step.key_uri.iter().cloned().collect();
        let to_come = self.timeline.key_uris(MAX_URIS);
        uris.extend(to_come.into_iter().filter(|uri| step.key_uri.as_ref() != Some(uri)));
        uris.truncate(MAX_URIS);
        let uris: Vec<Vec<u8>> = uris.into_iter().map(String::into_bytes).collect();
        if !self.licenses.has_met(uris.iter().take(AHEAD)) || self.licenses.next().is_some() {
            self.licenses.meet(self.cdm, uris)?;
        }
        Ok(())
    }

    /// A segment is seen. The clock counts from when the first one of each track is: decoders take
    /// their time to start.
    fn shown(&mut self, step: &Step) {
        let is_first = self.stages.get(step.track).is_some_and(|stage| stage.segments() == 1);
        if is_first {
            let title_ms = self.begun.map_or(step.segment.begins_ms, |begun| begun.title_ms);
            self.begun = Some(Begun { title_ms, clock_ms: Clock::System.now().0 });
        }
        self.played_ms = self.played_ms.max(timeline::end_ms(step));
    }

    /// Decrypts and decodes a segment.
    fn show(&mut self, step: &Step, bytes: &[u8]) -> Result<(), Failure> {
        let stage = self.stages.get_mut(step.track);
        let stage = stage.ok_or_else(|| Failure::Refused(anyhow!("there is no such track")))?;
        stage.play(self.cdm, bytes)
    }

    /// Waits until a segment's time has come, with its keys at hand: those that are missing are
    /// asked for at once, and those that end meanwhile once more.
    fn ready(&mut self, step: &Step, kids: &[model::KeyId]) -> Result<(), Failure> {
        let is_first = self.stage(step)?.segments() == 0;
        if self.licenses.ensure(self.cdm, kids)? == Ready::Waited && !is_first {
            // It may still be in time, where the title goes on by the clock.
            self.stalls += usize::from(!self.timeline.goes_on());
        }
        let now_ms = Clock::System.now().0;
        let Some(begun) = self.begun.filter(|_| !is_first && self.timeline.goes_on()) else {
            return Ok(());
        };
        let since_ms = step.segment.begins_ms.saturating_sub(begun.title_ms);
        let due_ms = begun.clock_ms.saturating_add(since_ms);
        if now_ms > due_ms.saturating_add(LATE_MS) {
            let (late_ms, number) = (now_ms - due_ms, step.segment.number);
            tracing::warn!(late_ms, track = step.track, number, "a segment came late");
            self.stalls += 1;
            self.begun = Some(Begun { clock_ms: begun.clock_ms + (now_ms - due_ms), ..begun });
            return Ok(());
        }
        while let Some(left_ms) = due_ms.checked_sub(Clock::System.now().0).filter(|ms| *ms > 0) {
            self.player.web.wait(left_ms.min(NAP_MS));
            self.follow()?;
            self.licenses.meet(self.cdm, vec![])?;
        }
        self.licenses.ensure(self.cdm, kids).map(drop)
    }

    fn ended(&self, why: String) -> Ended {
        let begun_ms = self.begun.map_or(self.played_ms, |begun| begun.title_ms);
        Ended {
            at_ms: self.played_ms.saturating_sub(begun_ms),
            title_ms: self.played_ms,
            why,
            stalls: self.stalls,
            license_requests: self.licenses.requests(),
        }
    }

    /// What was played of each track.
    pub fn end(self) -> Result<Vec<Played>, Failure> {
        let mut played = vec![];
        for stage in self.stages {
            played.push(stage.end(self.cdm)?);
        }
        Ok(played)
    }
}

/// A key that is not to be had ends the picture.
fn lost(run: &Run<'_, '_>, failure: Failure) -> Result<(Ended, Option<Failure>), Failure> {
    match failure {
        Failure::Refused(error) if run.begun.is_some() => {
            Ok((run.ended(error.to_string()), Some(Failure::Refused(error))))
        }
        failure => Err(failure),
    }
}
