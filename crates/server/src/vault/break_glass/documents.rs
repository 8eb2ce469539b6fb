//! The documents of an export: each key with its class and its period (CPIX 2.4,
//! `ContentKeyUsageRule` and `ContentKeyPeriod`), so that who holds nothing else can tell which key
//! opens which part of the media.
//!
//! A title whose keys change has more keys than a document may have that our own reader takes
//! ([`MAX_KEYS`]); they go into several, each whole by itself.

use super::super::Vault;
use super::super::key_service::KeyServiceError;
use super::ExportRefused;
use dialect::cpix::speke::TrackType;
use dialect::cpix::{
    Blob, Clock, Delivery, Document, Filters, KeyEntry, KeyPeriod as NamedPeriod, KeyRole,
    KeyValue, MAX_KEYS, Parts, ProtectionScheme, Span, SpanForm, Text, UsageRule, Version,
};
use model::{ContentId, KeyPeriod, Timestamp, WrappedKey};

/// Most documents of one export: three classes in two schemes for 10 000 periods.
pub const MAX_DOCUMENTS: usize = 64;

impl Vault {
    /// The title's keys in documents that only the certificate's owner reads: those of its tracks
    /// first, then by period.
    pub(in crate::vault) async fn sealed(
        &self,
        content_id: &ContentId,
        certificate: Vec<u8>,
        now: Timestamp,
    ) -> Result<Vec<Document>, ExportRefused> {
        let mut rows = self.store.keys_of(content_id).await.map_err(KeyServiceError::from)?;
        if rows.is_empty() {
            return Err(ExportRefused::NoKeys);
        }
        if rows.len() > MAX_DOCUMENTS * MAX_KEYS {
            return Err(ExportRefused::TooManyKeys(rows.len()));
        }
        rows.sort_by_key(|row| (order(row.period), row.track_class, row.scheme, row.kid));
        let too_long = || ExportRefused::Certificate("it is too long".to_owned());
        let certificate = Blob::from_bytes(certificate).ok_or_else(too_long)?;
        let mut documents = Vec::new();
        for rows in rows.chunks(MAX_KEYS) {
            let mut keys = Vec::with_capacity(rows.len());
            for row in rows {
                let key = self.keys.open_key(row, now).await?;
                keys.push(KeyEntry {
                    id: None,
                    kid: row.kid,
                    explicit_iv: row.iv,
                    role: KeyRole::root(row.scheme.map(ProtectionScheme::Common)),
                    value: KeyValue::Clear(key),
                });
            }
            let certificate = certificate.clone();
            let delivery = Delivery { id: None, name: None, certificate, delivered: None };
            let document = Document::new(Parts {
                version: Some(Version::V2_4),
                content_id: Text::parse(content_id.as_str()),
                deliveries: vec![delivery],
                keys,
                periods: periods(rows),
                rules: rows.iter().filter_map(rule).collect(),
                ..Parts::default()
            })?;
            documents.push(self.keys.entropy.with(|entropy| document.seal(now, entropy))?);
        }
        Ok(documents)
    }
}

/// A key that does not rotate comes before those that do.
fn order(period: Option<KeyPeriod>) -> Option<(u32, Option<Timestamp>)> {
    period.map(|period| (period.index, period.span.map(|span| span.begins)))
}

/// What rules call a period. The time is in the name because an event that begins anew under its
/// old name has the same numbers at another time.
fn name(period: KeyPeriod) -> Option<Text> {
    let begins = period.span.map(|span| format!("-{}", span.begins.0)).unwrap_or_default();
    Text::parse(&format!("period-{}{begins}", period.index))
}

/// The periods of keys that are sorted by them.
fn periods(rows: &[WrappedKey]) -> Vec<NamedPeriod> {
    let mut periods: Vec<KeyPeriod> = rows.iter().filter_map(|row| row.period).collect();
    periods.dedup();
    let named = |period: KeyPeriod| {
        let us = |at: Timestamp| at.0.saturating_mul(1000);
        let span = period.span.and_then(|span| {
            Span::from_us(Clock::Wall, us(span.begins), us(span.ends), SpanForm::End)
        });
        NamedPeriod { id: name(period), label: None, index: Some(period.index), span }
    };
    periods.into_iter().map(named).collect()
}

/// What a key is for; none for one that opens every track at all times.
fn rule(row: &WrappedKey) -> Option<UsageRule> {
    if row.track_class.is_none() && row.period.is_none() {
        return None;
    }
    let class = row.track_class.and_then(|class| TrackType::parse(class.name()));
    let track_type = class.unwrap_or(TrackType::ALL);
    let mut filters = track_type.filters();
    filters.periods.extend(row.period.and_then(name));
    Some(UsageRule {
        id: None,
        kid: row.kid,
        track_type: Text::parse(&track_type.name()),
        filters: Filters::Known(filters),
    })
}
