//! The keys of a channel: those that name its tracks, and those that encrypt.

use super::super::error::{KeyFault, PackageError};
use super::super::job::JobTrack;
use super::super::keyring::Protection;
use super::super::rendition::KeyTurn;
use super::state::{ChannelState, KeyName};
use crate::cenc::{SampleIv, Seig, Tenc, TrackCipher};
use crate::manifest::KeySignal;
use crate::pssh::{self, KeyNames, NamedKey, boxes_of};
use keys::{PackagingKey, PackagingKeys};
use model::{KeyId, Rotation, Scheme, TrackClass};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What protects the tracks of a channel, but for the keys themselves: they stay where they are
/// and are asked for anew for each segment.
pub(super) struct Protections {
    rotation: Option<Rotation>,
    /// For each track and scheme.
    tracks: Vec<Vec<TrackKey>>,
    /// The boxes of the batch that was written last, for each scheme.
    boxes: Vec<(Scheme, u32, Arc<[u8]>)>,
    /// The names in them that were not taken yet.
    new_names: Vec<KeyName>,
    /// What players were told, as far as it may be told again.
    known: Vec<KeyName>,
    /// The period of the last segment that the channel had when it was opened.
    last_period: Option<u32>,
}

/// The key that names a track under a scheme; without rotation it encrypts, too.
#[derive(Clone, Copy)]
pub(super) struct TrackKey {
    pub scheme: Scheme,
    pub class: TrackClass,
    pub kid: KeyId,
    pub checksum: Option<[u8; 8]>,
    pub tenc: Tenc,
    name: KeyName,
}

impl Protections {
    /// Errors: [`PackageError::Keys`]; [`KeyFault::Changed`] where a channel goes on under other
    /// keys.
    pub fn new(
        tracks: &[JobTrack],
        state: &ChannelState,
        keys: &PackagingKeys,
    ) -> Result<Self, PackageError> {
        let of = |job: &JobTrack| {
            let one = |scheme: &Scheme| track_key(job, *scheme, keys);
            state.schemes.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let protections = Self {
            rotation: state.rotation,
            tracks: tracks.iter().map(of).collect::<Result<_, _>>()?,
            boxes: Vec::new(),
            new_names: Vec::new(),
            known: state.names.clone(),
            last_period: state.last_period(),
        };
        for name in protections.track_names() {
            let KeyName { class, scheme, .. } = name;
            if protections.known(&name).is_some_and(|known| known != name) {
                return Err(KeyFault::Changed { class, scheme }.into());
            }
        }
        Ok(protections)
    }

    /// The names of the keys that name the tracks.
    pub fn track_names(&self) -> Vec<KeyName> {
        let mut names: Vec<KeyName> = Vec::new();
        for TrackKey { name, .. } in self.tracks.iter().flatten() {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    fn known(&self, name: &KeyName) -> Option<KeyName> {
        self.known.iter().find(|known| known.is_for_the_same(name)).copied()
    }

    /// The keys that name the tracks: all schemes of one, then of the next.
    pub fn track_keys(&self, at: usize) -> &[TrackKey] {
        self.tracks.get(at).map_or(&[], Vec::as_slice)
    }

    /// The boxes of a track's init.
    pub fn init_boxes(&self, key: &TrackKey) -> Result<Vec<u8>, PackageError> {
        if self.rotation.is_some() {
            let names = self.names(key.scheme, BTreeMap::new());
            let keys: Vec<_> = names.tracks.values().copied().collect();
            return boxes_of(&keys, key.scheme).map_err(|_| self.too_many().into());
        }
        let of_scheme = self.tracks.iter().flatten().filter(|one| one.scheme == key.scheme);
        let all: Vec<_> = of_scheme.map(|one| one.kid).collect();
        let boxes = [
            pssh::common(&all),
            pssh::widevine(&[key.kid], key.scheme),
            pssh::playready(key.kid, key.scheme, key.checksum),
        ];
        Ok(boxes.concat())
    }

    /// What encrypts the samples of a track in a period, from `first_iv` on.
    ///
    /// Errors: [`KeyFault::Missing`]: without its key there is no segment.
    pub fn of(
        &mut self,
        at: usize,
        class: TrackClass,
        scheme: Scheme,
        period: Option<u32>,
        first_iv: SampleIv,
        keys: &PackagingKeys,
    ) -> Result<(Protection<'static>, Option<KeyTurn>), PackageError> {
        let missing = KeyFault::Missing { class, scheme };
        let own = self.track_keys(at).iter().find(|key| key.scheme == scheme).copied();
        let own = own.ok_or(missing)?;
        let first_iv = (scheme == Scheme::Cenc).then_some(first_iv);
        let named = keys.find(class, scheme).filter(|key| key.kid == own.kid).ok_or(missing)?;
        let cipher = |key: &PackagingKey, iv: Option<[u8; 16]>| {
            TrackCipher::new(&key.key, scheme, iv.unwrap_or_default())
        };
        let protection = Protection {
            scheme,
            kid: own.kid,
            playready_checksum: own.checksum,
            tenc: own.tenc,
            // Where keys change, the track's own encrypts nothing.
            cipher: self.rotation.is_none().then(|| cipher(named, own.tenc.constant_iv)),
            first_iv,
            turns: Vec::new(),
        };
        let (Some(rotation), Some(period)) = (self.rotation, period) else {
            return Ok((protection, None));
        };
        let key = keys.find_in(Some(period), class, scheme).ok_or(missing)?;
        check_iv(key, scheme)?;
        let constant_iv = key.iv.filter(|_| scheme == Scheme::Cbcs);
        let iv_size = first_iv.map_or(0, SampleIv::size);
        let seig = Seig { pattern: own.tenc.pattern, kid: key.kid, iv_size, constant_iv };
        let pssh = self.batch_boxes(rotation, period, scheme, keys)?;
        let cipher = cipher(key, constant_iv);
        let signal = KeySignal::InBand;
        Ok((protection, Some(KeyTurn { seig, cipher, first_iv, pssh, signal })))
    }

    /// The boxes of a period's batch, the same bytes in all its fragments.
    fn batch_boxes(
        &mut self,
        rotation: Rotation,
        now: u32,
        scheme: Scheme,
        keys: &PackagingKeys,
    ) -> Result<Arc<[u8]>, PackageError> {
        let batch = rotation.batch_of(now);
        let known = self.boxes.iter().find(|(own, of, _)| *own == scheme && *of == batch);
        if let Some((_, _, boxes)) = known {
            return Ok(Arc::clone(boxes));
        }
        let classes: Vec<_> = self.classes(scheme).into_keys().collect();
        let mut periods = BTreeMap::new();
        let (from, until) = (rotation.periods_of(batch), rotation.periods_of(batch + 1));
        let first = from.start;
        for period in from.chain(until) {
            for class in &classes {
                let name = self.name_in(period, now, *class, scheme, keys)?;
                let of_period: &mut BTreeMap<_, _> = periods.entry(period).or_default();
                of_period.insert(*class, name.named());
                self.known.retain(|known| !known.is_for_the_same(&name));
                self.known.push(name);
                self.new_names.push(name);
            }
        }
        self.known.retain(|known| known.period.is_none_or(|period| period >= first));
        let names = self.names(scheme, periods).batch(rotation, batch);
        let boxes: Arc<[u8]> = boxes_of(&names, scheme).map_err(|_| self.too_many())?.into();
        self.boxes.retain(|(own, _, _)| *own != scheme);
        self.boxes.push((scheme, batch, Arc::clone(&boxes)));
        Ok(boxes)
    }

    /// The name of a key of a period of which players are told in the period `now`.
    ///
    /// What was written keeps the names that it has. A key that encrypted nothing yet may become
    /// another one under another name, as where it got known to strangers; a name never gets
    /// another key.
    fn name_in(
        &self,
        period: u32,
        now: u32,
        class: TrackClass,
        scheme: Scheme,
        keys: &PackagingKeys,
    ) -> Result<KeyName, KeyFault> {
        let missing = KeyFault::Missing { class, scheme };
        let key = keys.find_in(Some(period), class, scheme).ok_or(missing)?;
        let own = name_of(key, Some(period), class, scheme);
        let is_under_way = period == now && self.last_period == Some(now);
        match self.known(&own) {
            Some(known) if known == own => Ok(own),
            Some(known) if known.kid == own.kid || is_under_way => {
                Err(KeyFault::ChangedInPeriod { class, scheme, period })
            }
            Some(known) if period < now => Ok(known),
            Some(_) | None => Ok(own),
        }
    }

    /// The names of keys that were signaled since the last call.
    pub fn take_names(&mut self) -> Vec<KeyName> {
        std::mem::take(&mut self.new_names)
    }

    pub fn names(
        &self,
        scheme: Scheme,
        periods: BTreeMap<u32, BTreeMap<TrackClass, NamedKey>>,
    ) -> KeyNames {
        KeyNames { scheme, tracks: self.classes(scheme), periods }
    }

    fn too_many(&self) -> KeyFault {
        let batch_periods = self.rotation.map_or(1, |rotation| rotation.batch_periods.get());
        KeyFault::BatchTooLarge { batch_periods }
    }

    fn classes(&self, scheme: Scheme) -> BTreeMap<TrackClass, NamedKey> {
        let of_scheme = self.tracks.iter().flatten().filter(|key| key.scheme == scheme);
        of_scheme.map(|k| (k.class, NamedKey { kid: k.kid, checksum: k.checksum })).collect()
    }
}

/// IVs are counted through the channel, so that not even two ids of one key share any.
fn track_key(job: &JobTrack, scheme: Scheme, keys: &PackagingKeys) -> Result<TrackKey, KeyFault> {
    let missing = KeyFault::Missing { class: job.class, scheme };
    let key = keys.find(job.class, scheme).ok_or(missing)?;
    check_iv(key, scheme)?;
    let name = name_of(key, None, job.class, scheme);
    let NamedKey { kid, checksum } = name.named();
    let is_cbcs = scheme == Scheme::Cbcs;
    let tenc = Tenc {
        pattern: (is_cbcs && job.is_video()).then_some((1, 9)),
        kid,
        iv_size: if is_cbcs { 0 } else { SampleIv::Short(0).size() },
        constant_iv: key.iv,
    };
    Ok(TrackKey { scheme, class: job.class, kid, checksum, tenc, name })
}

fn name_of(key: &PackagingKey, period: Option<u32>, class: TrackClass, scheme: Scheme) -> KeyName {
    let check = key.key.playready_checksum(key.kid);
    KeyName { period, scheme, class, kid: key.kid, check }
}

/// A channel that is begun again must find the same constant IV, and must not begin at the same
/// sample IV.
fn check_iv(key: &PackagingKey, scheme: Scheme) -> Result<(), KeyFault> {
    let is_right = key.iv.is_some() == (scheme == Scheme::Cbcs);
    if is_right { Ok(()) } else { Err(KeyFault::LiveIv) }
}
