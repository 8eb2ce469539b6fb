//! The keys of a title that change: which period each segment is in, under which key and IVs it is
//! encrypted, and which keys its `pssh` boxes name.

use super::cut::{Cuts, TrackCut};
use super::error::{KeyFault, PlanError};
use super::job::JobTrack;
use super::keyring::{Drawing, Use};
use super::rendition::KeyTurn;
use super::track_writer::WrittenTurn;
use super::{Layout, MAX_KEY_PERIODS, Plan};
use crate::cenc::{SampleIv, Seig, TrackCipher};
use crate::manifest::{KeyRotation, KeySignal};
use crate::pssh::{KeyNames, NamedKey, boxes_of};
use keys::{ContentKey, PackagingKey, PackagingKeys};
use model::{Rotation, Scheme, TrackClass, TrackClasses};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

/// A place in a track where its key changes.
pub(crate) struct PlannedTurn<'k> {
    /// The first segment under it, counted from 0.
    pub segment: usize,
    /// The period that begins.
    pub period: u32,
    /// What fragments say of the key.
    pub seig: Seig,
    /// The `pssh` boxes of its batch.
    pub pssh: Arc<[u8]>,
    signal: KeySignal,
    scheme: Scheme,
    key: &'k ContentKey,
    first_iv: Option<SampleIv>,
}

impl PlannedTurn<'_> {
    /// The key with its cipher, which is made when it is needed.
    pub fn turn(&self) -> KeyTurn {
        let constant_iv = self.seig.constant_iv.unwrap_or_default();
        KeyTurn {
            seig: self.seig,
            cipher: TrackCipher::new(self.key, self.scheme, constant_iv),
            first_iv: self.first_iv,
            pssh: self.pssh.clone(),
            signal: self.signal,
        }
    }

    /// What the written fragments are held to.
    pub(super) fn written(&self) -> WrittenTurn {
        let is_in_band = self.signal == KeySignal::InBand;
        let pssh = is_in_band.then(|| self.pssh.clone());
        WrittenTurn { segment: self.segment, seig: self.seig, pssh }
    }
}

/// Whether a plan's rotation can be. Errors: [`PlanError`].
pub(super) fn check(plan: &Plan) -> Result<(), PlanError> {
    let Some(rotation) = &plan.rotation else { return Ok(()) };
    if rotation.of.period_s.get() < plan.segment_s {
        return Err(PlanError::KeyPeriod { segment_s: plan.segment_s });
    }
    if rotation.signal == KeySignal::Periods && plan.layout == Layout::SingleFile {
        return Err(PlanError::KeyPeriodsInOneFile);
    }
    Ok(())
}

/// How many periods a title of this length has at most; their keys are what is needed to package
/// it. Errors: [`PlanError::TooManyKeyPeriods`].
pub fn periods_of(rotation: Rotation, duration_ms: u64) -> Result<Range<u32>, PlanError> {
    let last = rotation.period_at(duration_ms.saturating_sub(1));
    if last < MAX_KEY_PERIODS { Ok(0..last + 1) } else { Err(PlanError::TooManyKeyPeriods) }
}

/// The rotation of a title that is cut, with the names of all its keys.
///
/// Errors: [`PlanError::TooManyKeyPeriods`]; [`KeyFault`] where a key is missing.
pub(super) fn of_title(
    plan: &Plan,
    jobs: &[JobTrack],
    cuts: &Cuts,
    schemes: &[Scheme],
    keys: &PackagingKeys,
) -> Result<Option<KeyRotation>, super::PackageError> {
    let Some(planned) = &plan.rotation else { return Ok(None) };
    let last = cuts.turns.last().map_or(0, |turn| turn.period);
    if last >= MAX_KEY_PERIODS {
        return Err(PlanError::TooManyKeyPeriods.into());
    }
    let count = NonZeroU32::MIN.saturating_add(last);
    let of = Rotation { batch_periods: planned.of.batch_periods.min(count), ..planned.of };
    let classes = jobs.iter().map(|job| job.class).collect();
    let names = schemes.iter().map(|scheme| key_names(keys, classes, *scheme, 0..count.get()));
    let names = names.collect::<Result<_, _>>()?;
    let (signal, turns) = (planned.signal, cuts.turns.clone());
    Ok(Some(KeyRotation { of, signal, turns, names, is_whole: true }))
}

/// The names of a title's keys in one scheme: those of its tracks and of these periods.
///
/// Errors: [`KeyFault::Missing`], [`KeyFault::MissingInPeriod`].
pub(crate) fn key_names(
    keys: &PackagingKeys,
    classes: TrackClasses,
    scheme: Scheme,
    periods: Range<u32>,
) -> Result<KeyNames, KeyFault> {
    let named = |key: &PackagingKey| NamedKey {
        kid: key.kid,
        checksum: (scheme == Scheme::Cenc).then(|| key.key.playready_checksum(key.kid)),
    };
    let of = |period: Option<u32>| -> Result<BTreeMap<TrackClass, NamedKey>, KeyFault> {
        let found = classes.iter().map(|class| {
            let found = find(keys, period, class, scheme)?;
            Ok((class, named(found)))
        });
        found.collect()
    };
    let of_period = |period| of(Some(period)).map(|keys| (period, keys));
    let of_periods = periods.map(of_period).collect::<Result<_, _>>()?;
    Ok(KeyNames { scheme, tracks: of(None)?, periods: of_periods })
}

fn find(
    keys: &PackagingKeys,
    period: Option<u32>,
    class: TrackClass,
    scheme: Scheme,
) -> Result<&PackagingKey, KeyFault> {
    keys.find_in(period, class, scheme).ok_or(match period {
        None => KeyFault::Missing { class, scheme },
        Some(period) => KeyFault::MissingInPeriod { class, scheme, period },
    })
}

/// The `pssh` boxes that the fragments of a batch carry, the same in every track of the scheme.
///
/// Errors: [`KeyFault::BatchTooLarge`].
pub(crate) fn batch_pssh(
    names: &KeyNames,
    rotation: Rotation,
    batch: u32,
) -> Result<Arc<[u8]>, KeyFault> {
    let boxes = boxes_of(&names.batch(rotation, batch), names.scheme);
    let too_large = KeyFault::BatchTooLarge { batch_periods: rotation.batch_periods.get() };
    boxes.map(Arc::from).map_err(|_| too_large)
}

/// The `pssh` boxes of the inits of a scheme. Errors: [`KeyFault::BatchTooLarge`].
pub(super) fn init_pssh(rotation: &KeyRotation, scheme: Scheme) -> Result<Vec<u8>, KeyFault> {
    let named = rotation.init_keys(scheme);
    let batch_periods = rotation.of.batch_periods.get();
    boxes_of(&named, scheme).map_err(|_| KeyFault::BatchTooLarge { batch_periods })
}

/// Every use of a key of a period, once for each track that it encrypts, and every other key of
/// the title's periods once.
pub(super) fn uses<'k>(
    tracks: &[(&JobTrack, &TrackCut)],
    schemes: &[Scheme],
    keys: &'k PackagingKeys,
    rotation: &KeyRotation,
) -> Result<Vec<Use<'k>>, KeyFault> {
    let mut used = Vec::new();
    for scheme in schemes {
        let Some(names) = rotation.names_of(*scheme) else { continue };
        for period in names.periods.keys() {
            for (job, _) in tracks {
                used.push((find(keys, Some(*period), job.class, *scheme)?, *scheme));
            }
        }
    }
    Ok(used)
}

/// Where the key of a track changes under a scheme, each with IVs of its own.
pub(super) fn track_turns<'k>(
    (job, cut): (&JobTrack, &TrackCut),
    scheme: Scheme,
    keys: &'k PackagingKeys,
    rotation: &KeyRotation,
    drawing: &mut Drawing<'_>,
) -> Result<Vec<PlannedTurn<'k>>, KeyFault> {
    let missing = KeyFault::Missing { class: job.class, scheme };
    let names = rotation.names_of(scheme).ok_or(missing)?;
    let begins = cut.segments.iter().map(|segment| segment.presentation);
    let periods = rotation.periods_at(begins, job.track.timescale.get());
    let (mut turns, mut at): (Vec<PlannedTurn<'k>>, usize) = (Vec::new(), 0);
    for run in periods.chunk_by(|a, b| a == b) {
        let segments = cut.segments.get(at..at + run.len()).unwrap_or_default();
        let Some(period) = run.first().copied() else { continue };
        let key = find(keys, Some(period), job.class, scheme)?;
        let samples = segments.iter().fold(0_u32, |sum, one| sum.saturating_add(one.count));
        let (tenc, first_iv) = drawing.settings(job, key, scheme, samples)?;
        let batch = rotation.of.batch_of(period);
        let same_batch = turns.last().filter(|last| rotation.of.batch_of(last.period) == batch);
        let pssh = match same_batch {
            Some(last) => last.pssh.clone(),
            None => batch_pssh(names, rotation.of, batch)?,
        };
        let signal = rotation.signal;
        let (seig, key) = (tenc.into(), &key.key);
        turns.push(PlannedTurn { segment: at, period, seig, pssh, signal, scheme, key, first_iv });
        at += run.len();
    }
    Ok(turns)
}
