//! Keys that encryptors name: found, or made at the first question, and the same ever after.
//!
//! The KID is the row's primary key, so of any number of processes that are asked at once one
//! makes the key, and all answer with it. A KID never gets a second key: asked for another
//! title, scheme, class, period or IV, it is refused.

use crate::vault::key_service::{KeyService, KeyServiceError, entry};
use dialect::cpix::speke::AskedKey;
use dialect::cpix::{Clock, KeyPeriod, Span};
use keys::{ContentKey, Kek, PackagingKey};
use model::{
    KekVersion, KeyId, KeyPeriod as RowPeriod, KeyState, PeriodSpan, Scheme, Timestamp, Title,
    TrackClass, TrackClasses, WrappedKey,
};
use store::{AskedFor, StoreError};

/// Why a key that is asked for is not given.
#[derive(Debug, thiserror::Error)]
pub enum AskedKeyError {
    /// The KID has a key, and it is for something else.
    #[error(
        "KID {} is known for another content, scheme, track type, period or IV",
        .0.to_uuid()
    )]
    Contradiction(KeyId),
    /// The key is known to strangers.
    #[error("the key of KID {} may not be used any more; choose another KID", .0.to_uuid())]
    Blocked(KeyId),
    /// The key service.
    #[error(transparent)]
    Service(#[from] KeyServiceError),
}

impl From<StoreError> for AskedKeyError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl KeyService {
    /// The keys of a question, in its order.
    ///
    /// Errors: [`AskedKeyError`]; then no key was made. A key that was made has its audit row.
    pub async fn asked_keys(
        &self,
        title: &Title,
        asked: &[AskedKey],
        now: Timestamp,
    ) -> Result<Vec<(WrappedKey, ContentKey)>, AskedKeyError> {
        let mut rows = self.find_asked(title, asked).await?;
        if rows.iter().any(Option::is_none) {
            let _one_at_a_time = self.making.lock().await;
            // Another request may have made them while this one waited.
            let known = self.find_asked(title, asked).await?;
            let missing: Vec<&AskedKey> = (known.iter().zip(asked))
                .filter_map(|(row, asked)| row.is_none().then_some(asked))
                .collect();
            self.make_asked(title, &missing, now).await?;
            // What another process made first is what counts.
            rows = self.find_asked(title, asked).await?;
        }
        let mut given = Vec::with_capacity(rows.len());
        for row in rows {
            let row = row.ok_or(KeyServiceError::Store(StoreError::Missing))?;
            let key = self.open_key(&row, now).await?;
            given.push((row, key));
        }
        Ok(given)
    }

    async fn find_asked(
        &self,
        title: &Title,
        asked: &[AskedKey],
    ) -> Result<Vec<Option<WrappedKey>>, AskedKeyError> {
        let mut rows = Vec::with_capacity(asked.len());
        for asked in asked {
            let found = self.store.asked_key(asked.kid).await?;
            let row = match found {
                None => None,
                Some((row, _)) if row.state == KeyState::Compromised => {
                    return Err(AskedKeyError::Blocked(asked.kid));
                }
                Some((row, before)) if is_answer(title, asked, &row, before.as_ref()) => Some(row),
                Some(_) => return Err(AskedKeyError::Contradiction(asked.kid)),
            };
            rows.push(row);
        }
        Ok(rows)
    }

    async fn make_asked(
        &self,
        title: &Title,
        missing: &[&AskedKey],
        now: Timestamp,
    ) -> Result<(), AskedKeyError> {
        if missing.is_empty() {
            return Ok(());
        }
        let (version, kek) = self.newest_kek(&title.category, now).await?;
        let rows: Vec<(WrappedKey, AskedFor)> =
            missing.iter().map(|asked| self.draw(title, asked, version, &kek, now)).collect();
        let entries = rows.iter().map(|(row, asked)| {
            let detail = format!(
                "asked for classes {} scheme {} period {} kek {} {}",
                class_names(asked.classes),
                row.scheme.map_or("any", Scheme::name),
                if asked.periods.is_empty() { "none" } else { &asked.periods },
                row.category,
                row.kek_version.0
            );
            let detail: String = detail.chars().take(MAX_DETAIL).collect();
            entry("key.generated", &title.content_id, Some(row.kid), detail, now)
        });
        self.audit.append(entries.collect()).await.map_err(KeyServiceError::Audit)?;
        match self.store.insert_asked_keys(&rows).await {
            Err(StoreError::Conflict) => {
                let kid = rows.first().map_or(KeyId::from_bytes([0; 16]), |(row, _)| row.kid);
                Err(KeyServiceError::KeyReused(kid).into())
            }
            outcome => Ok(outcome?),
        }
    }

    fn draw(
        &self,
        title: &Title,
        asked: &AskedKey,
        version: KekVersion,
        kek: &Kek,
        now: Timestamp,
    ) -> (WrappedKey, AskedFor) {
        let key = self.entropy.with(|entropy| {
            // Under cenc each track draws its own IVs.
            let iv = (asked.scheme != Some(Scheme::Cenc)).then(|| {
                asked.explicit_iv.unwrap_or_else(|| {
                    let mut iv = [0; 16];
                    entropy.fill(&mut iv);
                    iv
                })
            });
            let key = ContentKey::generate(entropy);
            let (kid, scheme) = (asked.kid, asked.scheme);
            let track_class = row_class(asked.classes);
            let period = row_period(&asked.periods).map(|period| period.index);
            PackagingKey { kid, key, iv, track_class, scheme, period }
        });
        let row = self.wrap(title, &key, row_period(&asked.periods), (version, kek), now);
        (row, AskedFor { classes: asked.classes, periods: periods(&asked.periods) })
    }
}

/// Letters of an audit row's detail.
const MAX_DETAIL: usize = 1000;

/// The class that licenses go by: who may not have the highest of several may not have the
/// key. Absent: every track, so only who may have every class.
fn row_class(classes: TrackClasses) -> Option<TrackClass> {
    if classes == TrackClasses::up_to(TrackClass::Uhd) { None } else { classes.iter().last() }
}

/// The period that licenses and rotation go by: the first of several, from the begin of the
/// first to the end of the last. One that has a time and no number is numbered by the second in
/// which it begins; one that has a name alone is none.
fn row_period(periods: &[KeyPeriod]) -> Option<RowPeriod> {
    let index = periods.iter().filter_map(index_of).min()?;
    let spans: Option<Vec<PeriodSpan>> = periods.iter().map(wall_span).collect();
    let spans = spans.unwrap_or_default();
    let begins = spans.iter().map(|span| span.begins).min();
    let ends = spans.iter().map(|span| span.ends).max();
    let span = begins.zip(ends).map(|(begins, ends)| PeriodSpan { begins, ends });
    Some(RowPeriod { index, span })
}

fn index_of(period: &KeyPeriod) -> Option<u32> {
    let second = |span: Span| u32::try_from(span.start_us() / 1_000_000).unwrap_or(u32::MAX);
    period.index.or_else(|| period.span.map(second))
}

/// When a live period is, to the millisecond around it.
fn wall_span(period: &KeyPeriod) -> Option<PeriodSpan> {
    let span = period.span.filter(|span| span.clock() == Clock::Wall)?;
    let begins = Timestamp(span.start_us() / 1000);
    Some(PeriodSpan { begins, ends: Timestamp(span.end_us().div_ceil(1000)) })
}

/// Whether two periods have the same time, as far as both state one.
fn is_same_time(row: Option<RowPeriod>, asked: Option<RowPeriod>) -> bool {
    let span = |period: Option<RowPeriod>| period.and_then(|period| period.span);
    span(row).zip(span(asked)).is_none_or(|(row, asked)| row == asked)
}

/// Whether a row is the answer to a question. A key that nobody asked for by name (imported,
/// or made for our own packager) answers one for its class, scheme and period.
fn is_answer(title: &Title, asked: &AskedKey, row: &WrappedKey, before: Option<&AskedFor>) -> bool {
    if row.content_id != title.content_id {
        return false;
    }
    let has_iv = asked.scheme != Some(Scheme::Cenc);
    if has_iv && asked.explicit_iv.is_some_and(|iv| row.iv != Some(iv)) {
        return false;
    }
    match before {
        Some(before) => {
            row.scheme == asked.scheme
                && before.classes == asked.classes
                && is_same_text(&before.periods, &periods(&asked.periods))
                && is_same_time(row.period, row_period(&asked.periods))
        }
        None => {
            let is_scheme = |scheme| asked.scheme.is_none_or(|asked| asked == scheme);
            let is_class = |class| asked.classes.iter().eq([class]);
            let period = row_period(&asked.periods);
            let index = |period: Option<RowPeriod>| period.map(|period| period.index);
            periods(&asked.periods).is_empty() == period.is_none()
                && index(row.period) == index(period)
                && is_same_time(row.period, period)
                && row.scheme.is_none_or(is_scheme)
                && row.track_class.is_none_or(is_class)
        }
    }
}

/// Periods in one spelling: by number where they have one, else by their time.
fn periods(periods: &[KeyPeriod]) -> String {
    let mut names: Vec<String> = periods.iter().map(period).collect();
    names.sort_unstable();
    names.join(" ")
}

/// Whether both name the same periods. Asked for alone, that of number 0 is how some encryptors
/// say that a key does not rotate, and a batch may begin with it: so it is the same as none.
fn is_same_text(before: &str, asked: &str) -> bool {
    let first = |text| if text == "index:0" { "" } else { text };
    first(before) == first(asked)
}

fn period(period: &KeyPeriod) -> String {
    match (period.index, period.span) {
        (Some(index), _) => format!("index:{index}"),
        (None, Some(span)) => {
            let clock = match span.clock() {
                Clock::Wall => "wall",
                Clock::Offset => "offset",
            };
            format!("{clock}:{}-{}", span.start_us(), span.end_us())
        }
        (None, None) => {
            let name = period.label.as_ref().or(period.id.as_ref());
            format!("name:{}", name.map_or("", |name| name.as_str()))
        }
    }
}

fn class_names(classes: TrackClasses) -> String {
    classes.iter().map(TrackClass::name).collect::<Vec<_>>().join("+")
}
