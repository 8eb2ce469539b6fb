//! What a channel shows: inits, manifests and the document of the package.

use super::protect::TrackKey;
use super::{Channel, PackageError};
use crate::cmaf::{Init, InitProtection, MediaKind, write_init};
use crate::manifest::{
    self, KeyRotation, KeySignal, LiveTrack, Presentation, SegmentEntry, TrackLayout,
    TrackProtection, TrackRendition, Turn,
};
use crate::package::job::JobTrack;
use crate::package::track_writer::described;
use model::{PackagedEvent, Rotation, Scheme, Timestamp};
use std::collections::BTreeMap;

impl Channel {
    /// Path and bytes of every init.
    pub(super) fn inits(&self) -> Result<Vec<(String, Vec<u8>)>, PackageError> {
        let mut inits = Vec::new();
        for (at, job) in self.tracks.iter().enumerate() {
            for key in self.protections.track_keys(at) {
                let pssh = self.protections.init_boxes(key)?;
                let path = format!("{}/{}/init.mp4", key.scheme.name(), job.name);
                inits.push((path, init_bytes(job, key, &pssh)));
            }
        }
        Ok(inits)
    }

    /// Path and text of every manifest, as they are now.
    ///
    /// Errors: [`PackageError::Verification`] where one does not read back.
    pub fn manifests(&self, now: Timestamp) -> Result<Vec<(String, String)>, PackageError> {
        let presentation = self.presentation(now);
        let mut manifests: Vec<_> = presentation
            .tracks
            .iter()
            .map(|track| (track.playlist_path(), manifest::hls_media(&presentation, track)))
            .collect();
        for scheme in &self.state.schemes {
            let path = manifest::hls_path(*scheme).to_owned();
            manifests.push((path, manifest::hls_master(&presentation, *scheme)));
        }
        manifests.push((manifest::DASH_PATH.to_owned(), manifest::mpd(&presentation)));
        Self::check_manifests(&manifests)?;
        Ok(manifests)
    }

    /// The document of the package, which is the event that it was published.
    #[must_use]
    pub fn event(&self, packager: String) -> PackagedEvent {
        let presentation = self.presentation(self.state.event_begins);
        let state = &self.state;
        PackagedEvent {
            event: PackagedEvent::EVENT.to_owned(),
            version: PackagedEvent::VERSION,
            content_id: state.content_id.clone(),
            package_id: state.package_id,
            schemes: state.schemes.clone(),
            variants: presentation
                .tracks
                .iter()
                .filter_map(|track| super::super::variant_of(track, presentation.rotation.as_ref()))
                .collect(),
            texts: Vec::new(),
            images: Vec::new(),
            dash: manifest::DASH_PATH.to_owned(),
            hls: state.schemes.iter().map(|s| manifest::hls_path(*s).to_owned()).collect(),
            live: true,
            rotation: state.rotation,
            duration_ms: 0,
            size_bytes: 0,
            packager,
            packaged_at: state.event_begins,
        }
    }

    fn presentation(&self, now: Timestamp) -> Presentation {
        let schemes = self.state.schemes.iter().enumerate();
        let tracks = schemes.flat_map(|(scheme, _)| {
            (0..self.tracks.len()).filter_map(move |track| self.listed(track, scheme))
        });
        Presentation {
            tracks: tracks.collect(),
            live: Some(self.state.live(now)),
            rotation: self.state.rotation.map(|of| self.rotation(of)),
            ..Presentation::new(self.state.content_id.clone())
        }
    }

    /// Where keys change among the segments that players may see, and how these are called.
    fn rotation(&self, of: Rotation) -> KeyRotation {
        let listed = self.state.segments.get(self.state.first_listed()..).unwrap_or_default();
        let mut turns: Vec<Turn> = Vec::new();
        for segment in listed {
            let period = of.period_at(segment.begin_ms);
            if turns.last().is_none_or(|last| last.period != period) {
                turns.push(Turn { start_ns: segment.begin_ms.saturating_mul(1_000_000), period });
            }
        }
        let names = |scheme: &Scheme| {
            let mut periods: BTreeMap<u32, BTreeMap<_, _>> = BTreeMap::new();
            for name in self.state.names.iter().filter(|name| name.scheme == *scheme) {
                let Some(period) = name.period else { continue };
                periods.entry(period).or_default().insert(name.class, name.named());
            }
            self.protections.names(*scheme, periods)
        };
        let names = self.state.schemes.iter().map(names).collect();
        KeyRotation { of, signal: KeySignal::InBand, turns, names, is_whole: false }
    }

    /// A track under the scheme of an index, with the segments that players may see.
    fn listed(&self, track: usize, scheme: usize) -> Option<TrackRendition> {
        let (job, known) = (self.tracks.get(track)?, self.state.tracks.get(track)?);
        let key = self.protections.track_keys(track).get(scheme)?;
        let segments = self.state.segments.get(self.state.first_listed()..).unwrap_or_default();
        let mut listed = Vec::with_capacity(segments.len());
        let mut jumps = Vec::new();
        let mut next = None;
        for (at, segment) in segments.iter().enumerate() {
            let part = segment.tracks.get(track)?;
            if next.is_some_and(|next| next != part.begin_ts) {
                jumps.push((at, part.begin_ts));
            }
            next = Some(part.begin_ts.saturating_add(part.duration_ts));
            listed.push(SegmentEntry {
                duration_ts: part.duration_ts,
                size_bytes: *part.bytes.get(scheme)?,
                starts_with_sap: true,
            });
        }
        let first = segments.first().and_then(|first| first.tracks.get(track));
        let (peak, average) = known.rates.get(scheme).copied()?;
        Some(TrackRendition {
            start_ts: first.map_or(0, |first| first.begin_ts),
            segments: listed,
            live: Some(LiveTrack { jumps, peak, average }),
            ..described(job, protection(key), TrackLayout::Segments)
        })
    }
}

const fn protection(key: &TrackKey) -> TrackProtection {
    let TrackKey { scheme, class, kid, checksum, .. } = *key;
    TrackProtection { scheme, class, kid, playready_checksum: checksum }
}

fn init_bytes(job: &JobTrack, key: &TrackKey, pssh: &[u8]) -> Vec<u8> {
    let track = &job.track;
    let protection =
        InitProtection { scheme: key.scheme, tenc: key.tenc, pssh, has_clear_entry: false };
    let init = Init {
        kind: if job.is_video() { MediaKind::Video } else { MediaKind::Audio },
        timescale: track.timescale,
        language: track.language.as_deref(),
        packed_language: track.packed_language,
        frame: track.frame,
        media_time: track.edit.media_time,
        entry: track.entry,
        entry_body: &track.entry_body,
        protection: Some(protection),
        length: 0,
    };
    let mut bytes = Vec::new();
    write_init(&init, &mut bytes);
    bytes
}
