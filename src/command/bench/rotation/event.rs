//! The event that is watched: its keys, and what its media names in each batch.

use anyhow::Context as _;
use keys::PackagingKeys;
use media::pssh;
use model::{ContentId, KeyId, Rotation, Scheme, TrackClass, TrackClasses};
use std::collections::HashMap;
use std::ops::Range;

/// The scheme of the media; the other one's keys would be others, and as many.
pub const SCHEME: Scheme = Scheme::Cenc;

/// A live event whose keys are made.
pub struct Event {
    /// Its title.
    pub content_id: ContentId,
    /// How its keys change.
    pub rotation: Rotation,
    /// Place of each key.
    places: HashMap<KeyId, usize>,
    /// How many keys there are, and how many of them are of one period.
    keys: usize,
    in_period: usize,
    /// What the fragments of each batch name.
    named: Vec<Named>,
}

/// The keys that the fragments of one batch name.
pub struct Named {
    /// By themselves.
    pub kids: Vec<KeyId>,
    /// As Widevine's `pssh` box.
    pub widevine: Vec<u8>,
}

impl Event {
    /// Puts the keys of an event in order. There are keys for `periods`.
    ///
    /// Errors: one is missing.
    pub fn of(
        content_id: ContentId,
        rotation: Rotation,
        classes: TrackClasses,
        periods: u32,
        made: &PackagingKeys,
    ) -> anyhow::Result<Self> {
        let kid_of = |period: Option<u32>, class: TrackClass| {
            let key = made.find_in(period, class, SCHEME);
            key.map(|key| key.kid).with_context(|| format!("no key for {period:?}, {class:?}"))
        };
        let mut kids = vec![];
        for period in (0..periods).map(Some).chain([None]) {
            for class in classes.iter() {
                kids.push(kid_of(period, class)?);
            }
        }
        let in_period = classes.iter().count();
        let tracks = kids.get(kids.len() - in_period..).unwrap_or_default();
        let batches = 0..=rotation.batch_of(periods.saturating_sub(1));
        let named = batches.map(|batch| {
            let Range { start, .. } = rotation.periods_of(batch);
            let Range { end, .. } = rotation.periods_of(batch.saturating_add(1));
            let (start, end) = (start as usize, end.min(periods) as usize);
            let of_periods = kids.get(start * in_period..end * in_period).unwrap_or_default();
            let kids = [tracks, of_periods].concat();
            let widevine = pssh::widevine(&kids, SCHEME);
            Named { kids, widevine }
        });
        let named = named.collect();
        let keys = kids.len();
        let places = kids.into_iter().zip(0..).collect();
        Ok(Self { content_id, rotation, places, keys, in_period, named })
    }

    /// How many keys there are, those of the tracks among them.
    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// How many keys there are in a period.
    pub const fn in_period(&self) -> usize {
        self.in_period
    }

    /// What the media of a second names.
    pub fn named_in(&self, second: u32) -> Option<&Named> {
        let period = self.rotation.period_at(u64::from(second) * 1000);
        self.named.get(self.rotation.batch_of(period) as usize)
    }

    /// The place of a key: period by period, those of the tracks behind them.
    pub fn place_of(&self, kid: KeyId) -> Option<usize> {
        self.places.get(&kid).copied()
    }
}
