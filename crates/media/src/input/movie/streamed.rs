//! A movie whose fragments come one by one (ISO/IEC 14496-12:2022, 8.8): each is read for itself,
//! and nothing of the ones before is kept but where they ended.

use super::{Moov, Reading};
use crate::bmff::FourCc;
use crate::input::fault::{Fault, Malformed, Place, Unsupported};
use crate::input::fragments;
use crate::input::sample_table::{MediaData, Sample, SampleTable, check_sample};
use crate::input::source::Source;
use crate::input::{Input, Track};

/// The head of a stream: what `moov` says.
pub(crate) struct StreamedMovie {
    moov: Moov,
    /// Decode time behind the last sample of each track.
    ends: Vec<u64>,
}

/// What one fragment has of one track.
pub(crate) struct TrackFragment {
    /// Index of the track.
    pub track: usize,
    /// Its samples.
    pub samples: Vec<Sample>,
}

impl StreamedMovie {
    /// Reads `ftyp`, where there is one, and `moov`, which lie in `input` one behind the other.
    ///
    /// Errors: [`Fault`]; also for samples outside fragments and for a movie without tracks.
    pub fn read(input: &mut dyn Input) -> Result<Self, Fault> {
        let mut source = Source::new(input);
        let mut reading = Reading::default();
        let mut offset = 0;
        while offset < source.len() {
            let located = source.box_at(offset, source.len())?;
            reading.top_level(&mut source, &located)?;
            offset = located.end;
        }
        let missing = Malformed::Missing(FourCc(*b"moov"));
        let moov = reading.moov.ok_or_else(|| Place::File.fault(missing))?;
        if moov.movie.tracks.is_empty() {
            return Err(moov.place.fault(Malformed::NoTracks));
        }
        if moov.movie.tracks.iter().any(|track| track.samples.count() > 0) {
            let what = Unsupported::Feature("a stream with samples outside its fragments");
            return Err(moov.place.fault(what));
        }
        let ends = vec![0; moov.movie.tracks.len()];
        Ok(Self { moov, ends })
    }

    /// Video and audio, in the order of the stream.
    pub fn tracks(&self) -> &[Track] {
        &self.moov.movie.tracks
    }

    /// Handler types of the tracks that are left out: subtitles too.
    pub fn left_out(&self) -> Vec<FourCc> {
        let texts = self.moov.movie.texts.iter().map(|_| FourCc(*b"text"));
        texts.chain(self.moov.movie.left_out.iter().copied()).collect()
    }

    /// Reads the `moof` at `offset`, with its `mdat` right behind it.
    ///
    /// Errors: [`Fault`]; also where a sample lies elsewhere and where bytes are nobody's.
    pub fn fragment(
        &mut self,
        input: &mut dyn Input,
        offset: u64,
    ) -> Result<Vec<TrackFragment>, Fault> {
        let mut source = Source::new(input);
        let moof = source.box_at(offset, source.len())?;
        let data = source.box_at(moof.end, source.len())?;
        let room = data.end - data.body;
        let Moov { movie, defaults, left_out_ids, .. } = &self.moov;
        let mut read: Vec<_> =
            self.ends.iter().map(|end| SampleTable::beginning_at(*end)).collect();
        let kept = movie.tracks.iter().zip(&mut read).map(|(track, table)| (track.id, Some(table)));
        let texts = movie.texts.iter().map(|text| (text.id, None));
        let left_out = left_out_ids.iter().map(|id| (*id, None));
        let mut tables: Vec<_> = kept.chain(texts).chain(left_out).collect();
        fragments::read(&mut source, &moof, room, defaults, &mut tables)?;
        let mut media_data = [MediaData { start: data.body, end: data.end, used: 0 }];
        let mut found = Vec::new();
        for (at, ((track, table), end)) in
            movie.tracks.iter().zip(&read).zip(&mut self.ends).enumerate()
        {
            let samples: Vec<Sample> = table.iter().collect();
            for sample in &samples {
                check_sample(track.id, sample, &mut media_data)?;
            }
            if samples.is_empty() {
                continue;
            }
            let reached = table.start.checked_add(table.total_ticks());
            let too_long = Malformed::Value("the track's length");
            *end = reached
                .filter(|end| i64::try_from(*end).is_ok())
                .ok_or_else(|| Place::Track(track.id).fault(too_long))?;
            found.push(TrackFragment { track: at, samples });
        }
        let [media_data] = media_data;
        let is_whole = left_out_ids.is_empty() && movie.texts.is_empty();
        if is_whole && media_data.used < room {
            return Err(Place::Byte(data.offset).fault(Malformed::UnusedMediaData));
        }
        Ok(found)
    }
}
