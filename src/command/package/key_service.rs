//! Keys from a key service, by CPIX: ours or a foreign one (CPIX 2.4; SPEKE 2.0 and 2.1, the
//! encryptor's side).
//!
//! By default the keys come encrypted for a certificate that is made for this run: its private
//! key is in memory only, and ends with it.

use super::super::Failure;
use super::super::source::open;
use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use dialect::cpix::speke::{Ask, ContractPart, SpekeVersion, TrackType, WantedKey, contract};
use dialect::cpix::{Blob, Clock, Document, KeyPeriod, KeyValue, Span, SpanForm, SystemId, Text};
use keys::{PackagingKey, PackagingKeys, RecipientKey, SystemEntropy};
use media::NamedInput;
use media::package::{key_periods_of, probe};
use model::{Entropy as _, KeyId, Rotation, Scheme, Timestamp, TrackClass, TrackClasses};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use server::vault::{Job, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use store::remote::{KeyServiceClient, KeyServiceError, KeyServiceSettings};
use zeroize::{Zeroize as _, Zeroizing};

/// Longest token file, bytes.
const MAX_TOKEN: u64 = 16 * 1024;
/// Longest file of certificate authorities, bytes.
const MAX_AUTHORITY: u64 = 1 << 20;

/// Most periods of one question: with a key for each class, a hundred keys.
const PERIODS_AT_ONCE: u32 = 20;

/// The keys of a question, with the numbers of their periods.
type Asked = BTreeMap<KeyId, Option<u32>>;

/// How `package` asks a key service.
#[derive(Args)]
pub(super) struct KeyServiceArguments {
    /// Ask this key service for the keys, by CPIX: `strongroom serve` has
    /// /speke/v2.0/copyProtection and /cpix.
    #[arg(long = "key-service", value_name = "URL", requires = "out", conflicts_with = "keys")]
    url: Option<String>,
    /// File with the token (`strongroom admin-token`) that is sent as `Authorization: Bearer`.
    #[arg(long = "key-service-token-file", value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// How the key service is spoken to.
    #[arg(
        long = "key-service-dialect",
        value_enum,
        default_value_t = KeyServiceDialect::SpekeV2,
        requires = "url"
    )]
    dialect: KeyServiceDialect,
    /// How the keys travel: encrypted for a key that is made for this run, or in the clear.
    #[arg(
        long = "key-service-delivery",
        value_enum,
        default_value_t = Delivery::Rsa3072,
        requires = "url"
    )]
    delivery: Delivery,
    /// PEM file with a certificate authority beside the system's.
    #[arg(long = "key-service-ca", value_name = "FILE", requires = "url")]
    authority: Option<PathBuf>,
    /// Allows plain HTTP to another machine.
    #[arg(long = "key-service-allow-http", requires = "url")]
    allow_http: bool,
}

/// How a key service is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeyServiceDialect {
    /// SPEKE 2.0: CPIX 2.3.
    #[value(name = "speke-v2")]
    SpekeV2,
    /// SPEKE 2.1: CPIX 2.4.
    #[value(name = "speke-v2.1")]
    SpekeV2_1,
    /// CPIX 2.3 without SPEKE's header.
    Cpix,
    /// CPIX 2.4 without SPEKE's header.
    #[value(name = "cpix-2.4")]
    Cpix2_4,
}

/// How keys travel.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Delivery {
    /// Encrypted, for an RSA key of 3072 bits.
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// Encrypted, for an RSA key of 2048 bits: what SPEKE names.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// As they are, within TLS.
    Clear,
}

/// A key service that can be asked.
pub(super) struct KeyService {
    client: KeyServiceClient,
    dialect: KeyServiceDialect,
    recipient: Option<OwnRecipient>,
}

/// The key of this run, and the certificate that names it.
struct OwnRecipient {
    key: RecipientKey,
    certificate: Blob,
}

impl KeyServiceArguments {
    /// Whether a key service is named.
    pub(super) const fn is_named(&self) -> bool {
        self.url.is_some()
    }

    /// The key service that is named, with a key of this run.
    pub(super) fn open(&self) -> Result<Option<KeyService>, Failure> {
        let Some(url) = &self.url else { return Ok(None) };
        self.open_at(url).map(Some).map_err(Failure::Environment)
    }

    fn open_at(&self, url: &str) -> anyhow::Result<KeyService> {
        let token = match &self.token_file {
            None => None,
            Some(path) => {
                let text = read(path, MAX_TOKEN).context("--key-service-token-file")?;
                let text = String::from_utf8(text).context("--key-service-token-file")?;
                ensure!(!text.trim().is_empty(), "--key-service-token-file: there is no token");
                Some(text.trim().to_owned())
            }
        };
        let authority = self.authority.as_ref().map(|path| read(path, MAX_AUTHORITY)).transpose();
        let authority = authority.context("--key-service-ca")?;
        let settings = KeyServiceSettings { authority, allow_http: self.allow_http, token };
        let client = KeyServiceClient::new(url, settings).context("--key-service")?;
        let recipient = match self.delivery {
            Delivery::Rsa3072 => Some(OwnRecipient::make(RsaKeySize::_3072)?),
            Delivery::Rsa2048 => Some(OwnRecipient::make(RsaKeySize::_2048)?),
            Delivery::Clear => None,
        };
        Ok(KeyService { client, dialect: self.dialect, recipient })
    }
}

impl OwnRecipient {
    fn make(size: RsaKeySize) -> anyhow::Result<Self> {
        let mut pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "strongroom package");
        let certificate = params.self_signed(&pair)?;
        let certificate = Blob::from_bytes(certificate.der().to_vec());
        let pkcs8 = Zeroizing::new(pair.serialize_der());
        pair.zeroize();
        let key = RecipientKey::parse(&pkcs8)?;
        Ok(Self { key, certificate: certificate.context("a certificate has bytes")? })
    }
}

/// The classes of the tracks that need keys, and the length of the title, milliseconds.
pub(super) fn probed(inputs: &[Source]) -> Result<(TrackClasses, u64), Failure> {
    let mut files = inputs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut named: Vec<_> = files
        .iter_mut()
        .zip(inputs)
        .map(|(input, source)| NamedInput { name: source.name(), input: &mut **input })
        .collect();
    let probe = probe(&mut named).map_err(Failure::refused)?;
    let length_ms = probe.tracks.iter().map(|track| track.duration_ms).max().unwrap_or(0);
    Ok((probe.tracks.iter().map(|track| track.class).collect(), length_ms))
}

impl KeyService {
    /// Asks for one key for each class and scheme, and where keys rotate for one for each period
    /// too; a document has one scheme.
    pub(super) async fn keys(
        &self,
        job: &Job,
        (classes, length_ms): (TrackClasses, u64),
    ) -> Result<PackagingKeys, Failure> {
        let mut keys = Vec::new();
        for scheme in &job.schemes {
            keys.extend(self.keys_of(job.content_id.as_str(), classes, *scheme).await?);
        }
        let mut keys = PackagingKeys::new(keys);
        if let Some(planned) = job.rotation {
            let periods = key_periods_of(planned.of, length_ms).map_err(Failure::refused)?;
            let (content_id, uses) = (job.content_id.as_str(), (classes, &job.schemes[..]));
            keys.extend(self.period_keys(content_id, uses, periods, None).await?);
        }
        Ok(keys)
    }

    async fn keys_of(
        &self,
        content_id: &str,
        classes: TrackClasses,
        scheme: Scheme,
    ) -> Result<Vec<PackagingKey>, Failure> {
        let wanted = named(classes, None).map_err(Failure::Environment)?;
        self.ask(content_id, scheme, wanted, vec![]).await
    }

    /// Asks for a key for each period, class and scheme, in as few questions as a key service
    /// can be expected to answer. Of a live event it says when each period is, where the dialect
    /// has words for that beside the period's number.
    pub(super) async fn period_keys(
        &self,
        content_id: &str,
        (classes, schemes): (TrackClasses, &[Scheme]),
        periods: Range<u32>,
        event: Option<(Rotation, Timestamp)>,
    ) -> Result<PackagingKeys, Failure> {
        let mut keys = Vec::new();
        let mut from = periods.start;
        while from < periods.end {
            let until = from.saturating_add(PERIODS_AT_ONCE).min(periods.end);
            let event = event.filter(|_| self.dialect.version() == SpekeVersion::V2_1);
            let asked: Vec<KeyPeriod> =
                (from..until).map(|index| key_period(index, event)).collect();
            for scheme in schemes {
                let wanted = asked.iter().map(|period| named(classes, Some(period)));
                let wanted = wanted.collect::<anyhow::Result<Vec<_>>>();
                let wanted = wanted.map_err(Failure::Environment)?.concat();
                keys.extend(self.ask(content_id, *scheme, wanted, asked.clone()).await?);
            }
            from = until;
        }
        Ok(PackagingKeys::new(keys))
    }

    async fn ask(
        &self,
        content_id: &str,
        scheme: Scheme,
        wanted: Vec<WantedKey>,
        periods: Vec<KeyPeriod>,
    ) -> Result<Vec<PackagingKey>, Failure> {
        let index_of = |wanted: &WantedKey| {
            let is_own =
                |period: &&KeyPeriod| wanted.period.is_some() && period.id == wanted.period;
            periods.iter().find(is_own).and_then(|period| period.index)
        };
        let asked: Asked = wanted.iter().map(|wanted| (wanted.kid, index_of(wanted))).collect();
        let question = self.question(content_id, scheme, wanted, periods);
        let question = question.map_err(Failure::Environment)?;
        let answer = self.client.ask(question.write().as_bytes(), self.headers()).await;
        let answer = Zeroizing::new(answer.map_err(blame)?);
        let keys = self.read(&answer, content_id, scheme, &asked);
        keys.context("the key service's answer").map_err(Failure::Refused)
    }

    fn question(
        &self,
        content_id: &str,
        scheme: Scheme,
        keys: Vec<WantedKey>,
        periods: Vec<KeyPeriod>,
    ) -> anyhow::Result<Document> {
        let mut systems = vec![SystemId::WIDEVINE, SystemId::PLAYREADY];
        systems.extend((scheme == Scheme::Cbcs).then_some(SystemId::FAIRPLAY));
        let ask = Ask {
            version: self.dialect.version(),
            content_id: Text::parse(content_id).context("a content id is text")?,
            scheme,
            keys,
            systems,
            periods,
            recipients: self.recipient.iter().map(|own| own.certificate.clone()).collect(),
        };
        Ok(ask.document()?)
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.dialect {
            KeyServiceDialect::SpekeV2 => &[("x-speke-version", "2.0")],
            KeyServiceDialect::SpekeV2_1 => &[("x-speke-version", "2.1")],
            KeyServiceDialect::Cpix | KeyServiceDialect::Cpix2_4 => &[],
        }
    }

    /// Takes the keys out of an answer that answers this question and no other.
    fn read(
        &self,
        answer: &[u8],
        content_id: &str,
        scheme: Scheme,
        asked: &Asked,
    ) -> anyhow::Result<Vec<PackagingKey>> {
        let mut document = Document::parse(answer)?;
        let parts = document.parts();
        let named = parts.content_id.as_ref().map(Text::as_str);
        ensure!(named == Some(content_id), "it is for another content id");
        let found: BTreeSet<KeyId> = parts.keys.iter().map(|key| key.kid).collect();
        ensure!(found.iter().eq(asked.keys()), "it is for other key ids");
        if let Some(own) = &self.recipient {
            let is_encrypted = |value: &KeyValue| matches!(value, KeyValue::Encrypted(_));
            let all = parts.keys.iter().all(|key| is_encrypted(&key.value));
            ensure!(all, "keys are in the clear, although a recipient was named");
            document = document.open(&own.key)?;
        }
        let mut keys = document.into_packaging_key_list()?;
        for key in &mut keys {
            let period = asked.get(&key.kid).copied().flatten();
            // Some say of the period of number 0, where it is asked for alone, that it is none.
            let is_lone = key.period.is_none() && period == Some(0);
            ensure!(key.period == period || is_lone, "a key is for another period");
            key.period = period;
        }
        if keys.iter().any(|key| key.scheme != Some(scheme)) {
            bail!("keys are for another scheme");
        }
        Ok(keys)
    }
}

impl KeyServiceDialect {
    const fn version(self) -> SpekeVersion {
        match self {
            Self::SpekeV2 | Self::Cpix => SpekeVersion::V2_0,
            Self::SpekeV2_1 | Self::Cpix2_4 => SpekeVersion::V2_1,
        }
    }
}

/// A period of this number, under an id that only this document knows.
fn key_period(index: u32, event: Option<(Rotation, Timestamp)>) -> KeyPeriod {
    let span = event.and_then(|(rotation, begins)| {
        let span = rotation.span_of(index, begins);
        let us = |at: Timestamp| at.0.saturating_mul(1000);
        Span::from_us(Clock::Wall, us(span.begins), us(span.ends), SpanForm::End)
    });
    KeyPeriod { id: Text::parse(&format!("period-{index}")), label: None, index: Some(index), span }
}

/// A fresh KID for each class, which the encryptor chooses: asked again after a lost answer,
/// the key service gives the same keys.
fn named(classes: TrackClasses, period: Option<&KeyPeriod>) -> anyhow::Result<Vec<WantedKey>> {
    let part = |is_of: &dyn Fn(TrackClass) -> bool| {
        let types: Option<Vec<_>> =
            classes.iter().filter(|c| is_of(*c)).map(|c| TrackType::parse(c.name())).collect();
        match types {
            Some(types) if !types.is_empty() => ContractPart::Keys(types),
            _ => ContractPart::Unencrypted,
        }
    };
    let video = part(&|class| class != TrackClass::Audio);
    let audio = part(&|class| class == TrackClass::Audio);
    let types = contract(&video, &audio)?;
    let name = |track_type| {
        let mut kid = [0; 16];
        SystemEntropy.fill(&mut kid);
        let period = period.and_then(|period| period.id.clone());
        WantedKey { kid: KeyId::from_bytes(kid), track_type, period }
    };
    Ok(types.into_iter().map(name).collect())
}

/// A no is a no; everything else is our surroundings.
fn blame(error: KeyServiceError) -> Failure {
    match error {
        KeyServiceError::Refused { status, .. } if status < 500 => Failure::refused(error),
        KeyServiceError::TooLong => Failure::refused(error),
        _ => Failure::environment(error),
    }
}

fn read(path: &PathBuf, limit: u64) -> anyhow::Result<Vec<u8>> {
    let about = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(about)?.len();
    if size > limit {
        return Err(anyhow!("{}: too large", path.display()));
    }
    std::fs::read(path).with_context(about)
}
