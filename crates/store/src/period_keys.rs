//! The keys of a title that has many, because they rotate: some of them by name, by period or by
//! time, many kept at once, and those that nobody needs any more forgotten.

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::keys::{ADD_ONE, INTO, bind_key, must_be_active, read_key, select_keys};
use crate::query::{Query, insert_text, query};
use crate::{PAGE_MAX, Store, StoreError};
use model::{ContentId, KeyId, KeyState, Timestamp, WrappedKey};
use std::ops::Range;
use std::sync::LazyLock;

/// Most keys that one call reads.
pub const KEYS_MAX: u32 = 10_000;
/// Most keys that one call keeps.
pub const INSERT_KEYS_MAX: usize = 1000;
/// Keys in one statement that adds some.
const CHUNK: usize = 25;
/// Keys that one transaction forgets, so that licenses need not wait for it.
const DROP_CHUNK: u32 = 500;

/// The keys of a title's periods that ended before a moment or at it, but for those that somebody
/// asked for by name.
macro_rules! stale {
    () => {
        "WHERE content_id = $1 AND period_ends <= $2 \
         AND NOT EXISTS (SELECT 1 FROM asked_keys WHERE asked_keys.kid = content_keys.kid)"
    };
}

/// What the keys of periods that ended are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleKeys {
    /// How many there are.
    pub keys: u64,
    /// The first of their periods.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

impl Store {
    /// Those of the named keys that are this title's, ordered by KID.
    ///
    /// Errors: [`StoreError::Invalid`] beyond [`PAGE_MAX`] names.
    pub async fn keys_named(
        &self,
        content_id: &ContentId,
        kids: &[KeyId],
    ) -> Result<Vec<WrappedKey>, StoreError> {
        if kids.len() > PAGE_MAX as usize {
            return Err(StoreError::Invalid("more names of keys than one call takes"));
        }
        let mut keys = Vec::with_capacity(kids.len());
        // One text for a license of one title, one for a batch of periods: a text for each
        // number of names would be prepared anew each time.
        for kids in kids.chunks(NAMED_MANY) {
            let (text, names) = match kids.len() {
                ..=NAMED_FEW => (&NAMED_IN_FEW, NAMED_FEW),
                _ => (&NAMED_IN_MANY, NAMED_MANY),
            };
            let Some(last) = kids.last() else { break };
            let mut select = query(text).bind(content_id);
            for kid in kids.iter().chain(std::iter::repeat(last)).take(names) {
                select = select.bind(kid.as_bytes());
            }
            keys.extend(self.read_keys(select).await?);
        }
        keys.sort_by_key(|key| key.kid);
        keys.dedup_by_key(|key| key.kid);
        Ok(keys)
    }

    /// The keys of a title that do not rotate, ordered by KID: where others do, those that name
    /// its tracks.
    pub async fn track_keys_of(
        &self,
        content_id: &ContentId,
    ) -> Result<Vec<WrappedKey>, StoreError> {
        self.bounded(query(OF_TRACKS).bind(content_id)).await
    }

    /// Whether a title has keys of periods.
    pub async fn has_period_keys(&self, content_id: &ContentId) -> Result<bool, StoreError> {
        let select =
            query("SELECT kid FROM content_keys WHERE content_id = $1 AND period >= 0 LIMIT 1");
        Ok(self.rows.row(select.bind(content_id)).await?.is_some())
    }

    /// The keys of some periods of a title, by period and KID.
    ///
    /// Errors: [`StoreError::Invalid`] where they are more than [`KEYS_MAX`].
    pub async fn period_keys_of(
        &self,
        content_id: &ContentId,
        periods: Range<u32>,
    ) -> Result<Vec<WrappedKey>, StoreError> {
        let Some(last) = periods.end.checked_sub(1) else { return Ok(vec![]) };
        self.bounded(in_periods(content_id, periods.start, last)).await
    }

    /// The keys of a title's periods that have a time and that some of a time span falls into,
    /// by period and KID. The span is half-open, as the periods are.
    ///
    /// Errors: [`StoreError::Invalid`] where they are more than [`KEYS_MAX`].
    pub async fn keys_between(
        &self,
        content_id: &ContentId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<WrappedKey>, StoreError> {
        let select = query(select_keys!(
            "WHERE content_id = $1 AND period_ends > $2 AND period_begins < $3 \
             ORDER BY period, kid LIMIT $4"
        ));
        self.bounded(select.bind(content_id).bind(from).bind(until)).await
    }

    /// The keys of a title in the order of their KIDs, from the one after `after`: all of them,
    /// however many, a page at a time.
    pub async fn keys_page(
        &self,
        content_id: &ContentId,
        after: Option<KeyId>,
    ) -> Result<Vec<WrappedKey>, StoreError> {
        let select =
            query(select_keys!("WHERE content_id = $1 AND kid > $2 ORDER BY kid LIMIT $3"))
                .bind(content_id)
                // Every KID sorts after no bytes.
                .bind(after.as_ref().map_or(&[][..], |kid| kid.as_bytes()))
                .bind(PAGE_MAX);
        self.read_keys(select).await
    }

    /// Keeps new keys of one title, all or none, and says how many. A key for a use that a key
    /// of the title serves already (period, class and scheme) is passed over: of two processes
    /// that make keys for the same periods at once, the first one's are kept, and both read them
    /// afterwards.
    ///
    /// Errors: [`StoreError::Conflict`] when a KID or a fingerprint is known, so a key was used
    /// before (R016); [`StoreError::Missing`] when their KEK is not stored,
    /// [`StoreError::Retired`] when it wraps nothing any more; [`StoreError::Invalid`] for keys
    /// of several titles or KEKs and beyond [`INSERT_KEYS_MAX`].
    pub async fn insert_keys(&self, keys: &[WrappedKey]) -> Result<u64, StoreError> {
        let Some(first) = keys.first() else { return Ok(0) };
        if keys.len() > INSERT_KEYS_MAX {
            return Err(StoreError::Invalid("more keys than one transaction keeps"));
        }
        let place =
            |key: &WrappedKey| (key.content_id.clone(), key.category.clone(), key.kek_version);
        if keys.iter().any(|key| place(key) != place(first)) {
            return Err(StoreError::Invalid("keys of several titles or KEKs at once"));
        }
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            // Who else makes keys of this title waits here, and finds these.
            hold_keys_of(&mut open, &first.content_id).await?;
            must_be_active(&mut open, &first.category, first.kek_version).await?;
            let new = unserved(&mut open, keys).await?;
            let (chunks, rest) = new.as_chunks::<CHUNK>();
            let many = chunks.iter().map(|chunk| (&ADD_CHUNK, chunk.as_slice()));
            let single = rest.iter().map(|one| (&ADD_ONE, std::slice::from_ref(one)));
            for (text, keys) in many.chain(single) {
                let insert = keys.iter().fold(query(text), bind_key);
                open.run(insert).await?;
            }
            open.commit().await?;
            Ok(new.len() as u64)
        })
        .await
    }

    /// The keys of periods that ended before a moment or at it; none: there are none. A key
    /// without a time is never among them, and none that an encryptor asked for by name: who
    /// asks for that name again must get that key.
    pub async fn stale_keys(
        &self,
        content_id: &ContentId,
        ended_before: Timestamp,
    ) -> Result<Option<StaleKeys>, StoreError> {
        let select = query(concat!(
            "SELECT CAST(COUNT(*) AS BIGINT) AS keys, MIN(period) AS first, MAX(period) AS last \
             FROM content_keys ",
            stale!()
        ));
        let row = self.rows.row(select.bind(content_id).bind(ended_before)).await?;
        let row = row.ok_or(StoreError::Missing)?;
        let keys = u64::try_from(row.integer("keys")?).map_err(|_| StoreError::corrupt("keys"))?;
        let ends = row.optional_u32("first")?.zip(row.optional_u32("last")?);
        Ok(ends.map(|(first, last)| StaleKeys { keys, first, last }))
    }

    /// Forgets what [`Self::stale_keys`] counts, and says how many. It works in small
    /// transactions: cut short, it has forgotten some, the oldest first.
    pub async fn drop_period_keys(
        &self,
        content_id: &ContentId,
        ended_before: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut dropped = 0;
        loop {
            let some = repeated(|| self.drop_some(content_id, ended_before)).await?;
            dropped += some;
            if some < u64::from(DROP_CHUNK) {
                return Ok(dropped);
            }
        }
    }

    async fn drop_some(
        &self,
        content_id: &ContentId,
        ended_before: Timestamp,
    ) -> Result<u64, Failure> {
        let mut open = self.rows.begin(Durability::Power).await?;
        hold_keys_of(&mut open, content_id).await?;
        let stale = query(DROP_KEYS).bind(content_id).bind(ended_before).bind(DROP_CHUNK);
        let dropped = open.run(stale).await?;
        open.commit().await?;
        Ok(dropped)
    }

    /// Reads keys by a text whose last parameter is the limit.
    async fn bounded(&self, select: Query) -> Result<Vec<WrappedKey>, StoreError> {
        not_too_many(self.read_keys(select.bind(KEYS_MAX + 1)).await?)
    }

    async fn read_keys(&self, select: Query) -> Result<Vec<WrappedKey>, StoreError> {
        self.rows.rows(select).await?.iter().map(read_key).collect()
    }
}

/// Names in the two texts of [`Store::keys_named`].
const NAMED_FEW: usize = 8;
const NAMED_MANY: usize = 64;
static NAMED_IN_FEW: LazyLock<String> = LazyLock::new(|| named_text(NAMED_FEW));
static NAMED_IN_MANY: LazyLock<String> = LazyLock::new(|| named_text(NAMED_MANY));
static ADD_CHUNK: LazyLock<String> = LazyLock::new(|| insert_text(INTO, CHUNK));

const DROP_KEYS: &str = concat!(
    "DELETE FROM content_keys WHERE kid IN (SELECT kid FROM content_keys ",
    stale!(),
    " ORDER BY period_ends, kid LIMIT $3)"
);

fn named_text(names: usize) -> String {
    let names: Vec<_> = (0..names).map(|name| format!("${}", name + 2)).collect();
    format!("{}({})", select_keys!("WHERE content_id = $1 AND kid IN "), names.join(", "))
}

fn not_too_many(keys: Vec<WrappedKey>) -> Result<Vec<WrappedKey>, StoreError> {
    if keys.len() > KEYS_MAX as usize {
        return Err(StoreError::Invalid("more keys than one call reads"));
    }
    Ok(keys)
}

/// Until the end of the transaction nobody else adds or forgets keys of this title.
async fn hold_keys_of(open: &mut Transaction, content_id: &ContentId) -> Result<(), Failure> {
    // The number keeps these locks apart from others of the kind (`schema.rs`).
    let lock = query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7310576))::TEXT");
    open.lock(lock.bind(content_id)).await
}

const OF_TRACKS: &str =
    select_keys!("WHERE content_id = $1 AND period IS NULL ORDER BY kid LIMIT $2");

/// Text and parameters but the limit.
fn in_periods(content_id: &ContentId, first: u32, last: u32) -> Query {
    query(select_keys!(
        "WHERE content_id = $1 AND period BETWEEN $2 AND $3 ORDER BY period, kid LIMIT $4"
    ))
    .bind(content_id)
    .bind(first)
    .bind(last)
}

/// Those of the keys whose use no usable key of the title serves.
async fn unserved(open: &mut Transaction, keys: &[WrappedKey]) -> Result<Vec<WrappedKey>, Failure> {
    let Some(one) = keys.first() else { return Ok(vec![]) };
    let periods = || keys.iter().filter_map(|key| key.period).map(|period| period.index);
    let mut known = vec![];
    if let (Some(first), Some(last)) = (periods().min(), periods().max()) {
        let select = in_periods(&one.content_id, first, last);
        known.extend(open.rows(select.bind(KEYS_MAX + 1)).await?);
    }
    if keys.iter().any(|key| key.period.is_none()) {
        let select = query(OF_TRACKS).bind(&one.content_id);
        known.extend(open.rows(select.bind(KEYS_MAX + 1)).await?);
    }
    let known: Vec<WrappedKey> = known.iter().map(read_key).collect::<Result<_, _>>()?;
    let mut known = not_too_many(known)?;
    known.retain(|key| key.state == KeyState::Active);
    let is_served = |key: &WrappedKey| known.iter().any(|known| serves_as(known, key));
    Ok(keys.iter().filter(|key| !is_served(key)).cloned().collect())
}

/// Whether a key serves all that another one is for.
fn serves_as(known: &WrappedKey, key: &WrappedKey) -> bool {
    known.period == key.period
        && (known.track_class.is_none() || known.track_class == key.track_class)
        && (known.scheme.is_none() || known.scheme == key.scheme)
}
