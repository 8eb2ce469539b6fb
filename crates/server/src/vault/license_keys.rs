//! Which rows a license request is about, and which of their keys its license carries: steps 4
//! and 5 of the license flow.

use super::Vault;
use super::dialects::{Ask, Wanted, Wish, carries_end};
use super::license::count_alert;
use crate::vault_link::LicenseRefused;
use dialect::MAX_KEYS;
use model::{KeyId, KeyState, PeriodSpan, Timestamp, TrackClass, TrackClasses, WrappedKey};
use playback::Covers;
use playback::grant::GrantTerms;
use playback::rotation::{horizon, is_given};
use store::StoreError;

/// How far behind the moment a player may be that asks for a live event's keys by the title's name.
const BEHIND_S: u64 = 120;
/// How far ahead its keys are read at most: at a key a second there are no more than one call reads.
const AHEAD_S: u64 = 1000;

/// The rows of a request, parted.
pub(super) struct Parted {
    /// Those whose keys the license carries.
    pub(super) given: Vec<WrappedKey>,
    /// Those that stay here: above the level, or compromised.
    pub(super) withheld: Vec<WrappedKey>,
    /// Those that stay here for now: of periods beyond the horizon.
    pub(super) beyond: Vec<WrappedKey>,
}

impl Parted {
    /// When one of the periods is whose keys are asked for, where the title is a live event.
    pub(super) fn span(&self) -> Option<PeriodSpan> {
        self.given.iter().chain(&self.beyond).find_map(span_of)
    }
}

/// Refuses a request for a key that the grant does not cover, as far as it names those it does.
pub(super) fn must_be_covered(ask: &Ask, terms: &GrantTerms) -> Result<(), LicenseRefused> {
    let is_covered = match (&ask.wanted, &terms.covers) {
        (Wanted::Title(name), _) => name == terms.content_id.as_str().as_bytes(),
        (Wanted::Kids(kids), Covers::Kids(covered)) => kids.iter().all(|kid| covered.contains(kid)),
        // The rows will say.
        (Wanted::Kids(_), Covers::Periods) => true,
    };
    if is_covered { Ok(()) } else { Err(LicenseRefused::KidNotInContent) }
}

impl Vault {
    /// The rows of the keys that are asked for, in the order of their KIDs.
    ///
    /// Errors: [`LicenseRefused::CekNotFound`] where the row of a key is gone that the grant names;
    /// [`LicenseRefused::KidNotInContent`] where it names none and the title has no such row. The
    /// keys of long past periods are removed, so that a license that is there goes on without them.
    pub(super) async fn rows_of(
        &self,
        terms: &GrantTerms,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Vec<WrappedKey>, LicenseRefused> {
        let asked: &[KeyId] = match (&ask.wanted, &terms.covers) {
            (Wanted::Kids(kids), _) | (Wanted::Title(_), Covers::Kids(kids)) => kids,
            (Wanted::Title(_), Covers::Periods) => {
                let mut rows = self.told(terms, self.rows_of_moment(terms, ask, now).await)?;
                rows.sort_by_key(|row| row.kid);
                return Ok(rows);
            }
        };
        let read = self.store.keys_named(&terms.content_id, asked).await;
        let mut rows = self.told(terms, read)?;
        rows.sort_by_key(|row| row.kid);
        let is_there = |kid: &&KeyId| rows.binary_search_by_key(*kid, |row| row.kid).is_ok();
        match (asked.iter().find(|kid| !is_there(kid)), &terms.covers) {
            (None, _) => Ok(rows),
            (Some(kid), Covers::Kids(_)) => {
                tracing::error!(
                    alert = "cek_not_found", content_id = %terms.content_id, %kid,
                    correlation_id = %terms.correlation,
                    "the row of a packaged title's key is gone"
                );
                count_alert("cek_not_found");
                Err(LicenseRefused::CekNotFound)
            }
            (Some(_), Covers::Periods) if ask.wish == Wish::License => {
                Err(LicenseRefused::KidNotInContent)
            }
            (Some(_), Covers::Periods) if rows.is_empty() => Err(LicenseRefused::NotRenewed),
            (Some(_), Covers::Periods) => Ok(rows),
        }
    }

    /// The keys that who names none of a title whose keys change is asking for: those that name its
    /// tracks, and of a live event those of the periods about now, else the first; [`MAX_KEYS`] at
    /// most.
    async fn rows_of_moment(
        &self,
        terms: &GrantTerms,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Vec<WrappedKey>, StoreError> {
        let title = &terms.content_id;
        let mut rows = self.store.track_keys_of(title).await?;
        let from = Timestamp(now.0.saturating_sub(BEHIND_S * 1000));
        let ahead = now.plus_s(AHEAD_S);
        let until = horizon(&terms.policy, now).map_or(ahead, |horizon| horizon.min(ahead));
        let mut of_periods = self.store.keys_between(title, from, until).await?;
        if of_periods.is_empty() {
            let most = u32::try_from(MAX_KEYS).unwrap_or(u32::MAX);
            of_periods = self.store.period_keys_of(title, 0..most).await?;
        }
        of_periods.sort_by_key(|row| row.period.map(|period| period.index));
        rows.append(&mut of_periods);
        rows.retain(|row| ask.scheme.is_none() || row.scheme.is_none() || row.scheme == ask.scheme);
        rows.truncate(MAX_KEYS);
        Ok(rows)
    }

    /// Rows that were read; an alert where one of them says what no row may say.
    fn told(
        &self,
        terms: &GrantTerms,
        read: Result<Vec<WrappedKey>, StoreError>,
    ) -> Result<Vec<WrappedKey>, LicenseRefused> {
        let read = read.inspect_err(|error| {
            // It was changed behind our back.
            if let StoreError::Corrupt(_) = error {
                tracing::error!(
                    alert = "key_integrity", content_id = %terms.content_id,
                    correlation_id = %terms.correlation, %error, "a stored key does not read back"
                );
                count_alert("key_integrity");
            }
        });
        Ok(read?)
    }
}

/// A key above the level is withheld. So is a compromised one, so that other tracks and periods
/// still play; when nothing else was asked for, the title cannot be played and the viewer is told
/// so. So is, for now, one of a live event's period beyond the policy's horizon. More time is given
/// to a license as a whole: one with a key that may no longer be had gets none.
pub(super) fn part(
    rows: Vec<WrappedKey>,
    ask: &Ask,
    terms: &GrantTerms,
    now: Timestamp,
) -> Result<Parted, LicenseRefused> {
    let is_allowed = |row: &WrappedKey| may_have(ask.allowed, row) && row.state == KeyState::Active;
    let (allowed, withheld): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_allowed);
    let (end, has_end) = (horizon(&terms.policy, now), carries_end(terms.dialect));
    let is_near =
        |row: &WrappedKey| span_of(row).is_none_or(|span| is_given(&span, now, end, has_end));
    let (given, beyond): (Vec<_>, Vec<_>) = allowed.into_iter().partition(is_near);
    if ask.wish == Wish::MoreTime && !(withheld.is_empty() && beyond.is_empty()) {
        return Err(LicenseRefused::NotRenewed);
    }
    // What the level allows and is withheld all the same is compromised.
    let has_compromised = || withheld.iter().any(|row| may_have(ask.allowed, row));
    if given.is_empty() && beyond.is_empty() && has_compromised() {
        metrics::counter!("strongroom_compromised_keys_refused_total").increment(1);
        return Err(LicenseRefused::KeyCompromised);
    }
    Ok(Parted { given, withheld, beyond })
}

fn span_of(row: &WrappedKey) -> Option<PeriodSpan> {
    row.period.and_then(|period| period.span)
}

/// The classes a key opens: an imported one without a class may open any.
pub(super) fn classes_of(row: &WrappedKey) -> TrackClasses {
    row.track_class
        .map_or(TrackClasses::up_to(TrackClass::Uhd), |class| [class].into_iter().collect())
}

fn may_have(allowed: TrackClasses, row: &WrappedKey) -> bool {
    classes_of(row).iter().all(|class| allowed.contains(class))
}
