//! The key lines of HLS playlists (RFC 8216bis, 4.4.4.4 and 4.4.5.2): one for each system that
//! plays a scheme; FairPlay knows `cbcs` only.
//!
//! Where keys change, a line stands where its system has something new to hear: FairPlay and Clear
//! Key at each change, since their lines name one key; Widevine and PlayReady where a batch begins,
//! since their lines name all keys of the batch. A line holds until the next of its `KEYFORMAT`.

use super::hls::{CLEARKEY, FAIRPLAY, PLAYREADY, line, quoted, relative};
use super::presentation::{Presentation, TrackProtection, TrackRendition};
use super::rotation::{KeyRotation, KeySignal};
use crate::pssh::{self, NamedKey, SystemId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ContentId, KeyId, Scheme};
use std::collections::BTreeSet;

/// `EXT-X-KEY`, of media playlists.
const KEY: &str = "EXT-X-KEY";
/// `EXT-X-SESSION-KEY`, of multivariant playlists.
const SESSION_KEY: &str = "EXT-X-SESSION-KEY";

/// The key lines of one media playlist, and its inits where each key has one.
pub(super) struct KeyLines<'p> {
    presentation: &'p Presentation,
    track: &'p TrackRendition,
    protection: Option<TrackProtection>,
    /// The period of each segment; empty where keys do not change.
    periods: Vec<u32>,
    /// The period of the last lines.
    said: Option<u32>,
    /// The period of the last init.
    mapped: Option<u32>,
}

impl<'p> KeyLines<'p> {
    pub fn new(presentation: &'p Presentation, track: &'p TrackRendition) -> Self {
        let rotation = presentation.rotation.as_ref().filter(|_| track.protection.is_some());
        let periods = rotation.map(|rotation| rotation.periods_of(track)).unwrap_or_default();
        let protection = track.protection;
        Self { presentation, track, protection, periods, said: None, mapped: None }
    }

    /// Appends what stands before a segment, counted from 0. What stands before the first key line
    /// is the clear lead.
    pub fn before(&mut self, segment: usize, out: &mut String) {
        let Some(protection) = self.protection else { return };
        let is_clear = segment < self.track.clear_segments;
        let Some(rotation) = &self.presentation.rotation else {
            if !is_clear {
                key_lines(out, KEY, &self.presentation.content_id, &protection);
                self.protection = None;
            }
            return;
        };
        let Some(period) = self.periods.get(segment).copied() else { return };
        if rotation.signal == KeySignal::Periods && self.mapped != Some(period) {
            let init = self.track.init_path_in(period);
            let uri = quoted(relative(&init, &self.track.playlist_path()));
            line(out, format_args!("#EXT-X-MAP:URI={uri}"));
            self.mapped = Some(period);
        }
        if is_clear || self.said == Some(period) {
            return;
        }
        let batch = rotation.of.batch_of(period);
        let begins_batch = self.said.is_none_or(|last| rotation.of.batch_of(last) != batch);
        self.said = Some(period);
        let Some(key) = rotation.key_in(&protection, period) else { return };
        let lines =
            Lines { tag: KEY, content: &self.presentation.content_id, scheme: protection.scheme };
        lines.of_one(out, key.kid);
        if begins_batch {
            lines.of_many(out, key.kid, &rotation.batch_keys(protection.scheme, batch));
        }
    }
}

/// The key lines of a track whose key does not change.
pub(super) fn key_lines(
    out: &mut String,
    tag: &'static str,
    content: &ContentId,
    protection: &TrackProtection,
) {
    let TrackProtection { kid, scheme, playready_checksum: checksum, .. } = *protection;
    let lines = Lines { tag, content, scheme };
    lines.fairplay(out, kid);
    lines.of_many(out, kid, &[NamedKey { kid, checksum }]);
    lines.clear_key(out, kid);
}

/// The session keys of a scheme: each key of the tracks; where keys change also the first batch.
pub(super) fn session_key_lines(out: &mut String, presentation: &Presentation, scheme: Scheme) {
    let tracks = presentation.tracks_of(scheme).filter(|track| track.trick_of.is_none());
    let protections: Vec<_> = tracks.filter_map(|track| track.protection).collect();
    if let Some(rotation) = &presentation.rotation {
        return rotating_session_keys(out, &presentation.content_id, rotation, &protections);
    }
    let mut seen = BTreeSet::new();
    for protection in protections.iter().filter(|one| seen.insert(one.kid)) {
        key_lines(out, SESSION_KEY, &presentation.content_id, protection);
    }
}

/// Keys of the tracks before those of periods. What names them all stands once, under the key of
/// the lowest class, which every session may have.
fn rotating_session_keys(
    out: &mut String,
    content: &ContentId,
    rotation: &KeyRotation,
    protections: &[TrackProtection],
) {
    let Some(lowest) = protections.iter().min_by_key(|one| one.class) else { return };
    let scheme = lowest.scheme;
    let lines = Lines { tag: SESSION_KEY, content, scheme };
    let first = rotation.turns.first().map_or(0, |turn| turn.period);
    let batch = rotation.of.batch_of(first);
    let periods = rotation.of.periods_of(batch);
    let in_batch = |period: &u32| periods.contains(period) && *period >= first;
    let of_periods = |one: &TrackProtection| {
        let all = rotation.names_of(scheme).into_iter().flat_map(|names| names.periods.keys());
        let keys = all.filter(|period| in_batch(period)).copied();
        keys.filter_map(|period| rotation.key_in(one, period))
            .map(|key| key.kid)
            .collect::<Vec<_>>()
    };
    let own = protections.iter().map(|one| one.kid);
    let mut seen = BTreeSet::new();
    for kid in own.chain(protections.iter().flat_map(of_periods)) {
        if seen.insert(kid) {
            lines.of_one(out, kid);
        }
    }
    lines.of_many(out, lowest.kid, &rotation.batch_keys(scheme, batch));
}

/// Lines of one kind.
struct Lines<'a> {
    tag: &'static str,
    content: &'a ContentId,
    scheme: Scheme,
}

impl Lines<'_> {
    fn method(&self) -> &'static str {
        match self.scheme {
            Scheme::Cbcs => "SAMPLE-AES",
            Scheme::Cenc => "SAMPLE-AES-CTR",
        }
    }

    /// The systems whose lines name one key.
    fn of_one(&self, out: &mut String, kid: KeyId) {
        self.fairplay(out, kid);
        self.clear_key(out, kid);
    }

    fn fairplay(&self, out: &mut String, kid: KeyId) {
        let Self { tag, content, scheme } = self;
        if *scheme == Scheme::Cbcs {
            let method = self.method();
            line(
                out,
                format_args!(
                    "#{tag}:METHOD={method},URI=\"skd://{content}?kid={kid}\",KEYFORMAT=\"{FAIRPLAY}\",KEYFORMATVERSIONS=\"1\""
                ),
            );
        }
    }

    fn clear_key(&self, out: &mut String, kid: KeyId) {
        self.in_data(out, kid, "", kid.as_bytes(), CLEARKEY);
    }

    /// The systems whose lines name several keys; `kid` is the one that the line is about.
    fn of_many(&self, out: &mut String, kid: KeyId, keys: &[NamedKey]) {
        let kids: Vec<KeyId> = keys.iter().map(|key| key.kid).collect();
        let widevine = pssh::widevine(&kids, self.scheme);
        self.in_data(out, kid, "", &widevine, &SystemId::WIDEVINE.urn());
        // The packager refuses a batch that no header holds.
        if let Ok(object) = pssh::playready_object_of(keys, self.scheme) {
            self.in_data(out, kid, "charset=UTF-16;", &object, PLAYREADY);
        }
    }

    fn in_data(&self, out: &mut String, kid: KeyId, kind: &str, bytes: &[u8], key_format: &str) {
        let (tag, method) = (self.tag, self.method());
        let data = STANDARD.encode(bytes);
        line(
            out,
            format_args!(
                "#{tag}:METHOD={method},URI=\"data:text/plain;{kind}base64,{data}\",KEYID=0x{kid},KEYFORMAT=\"{key_format}\",KEYFORMATVERSIONS=\"1\""
            ),
        );
    }
}
