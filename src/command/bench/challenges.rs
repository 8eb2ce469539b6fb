//! What the players of `bench licenses` ask: for each license a challenge of its own, made
//! before the clock runs.

use anyhow::Context as _;
use clap::ValueEnum;
use dialect::widevine::client::{Ask, AskedContent, ClientDevice, ServiceCertificate};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{Credentials, LicenseType, RootFile};
use dialect::{fairplay, playready};
use hyper::body::Bytes;
use keys::SystemEntropy;
use keys::fairplay::ApplicationCertificate;
use media::pssh::playready_object;
use model::{Dialect, Entropy as _, KeyId, Scheme, SecurityLevel, Timestamp};
use serde::Serialize;
use server::Home;
use server::vault::{FairPlayFiles, PlayReadyFiles, WidevineFiles};
use std::num::NonZero;
use std::path::Path;
use std::thread;

/// What the players speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spoken {
    /// W3C Clear Key.
    Clearkey,
    /// Widevine, the device's certificate in the clear.
    Widevine,
    /// Widevine, the device's certificate encrypted for the service.
    WidevinePrivacy,
    /// PlayReady.
    Playready,
    /// FairPlay.
    Fairplay,
}

impl Spoken {
    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Clearkey => "Clear Key",
            Self::Widevine => "Widevine",
            Self::WidevinePrivacy => "Widevine in privacy mode",
            Self::Playready => "PlayReady",
            Self::Fairplay => "FairPlay",
        }
    }

    /// More licenses than a service of a few cores makes in a second: so many challenges are
    /// made for one. A challenge of Widevine costs the player an RSA signature.
    pub const fn most_per_s(self) -> u32 {
        match self {
            Self::Clearkey => 40_000,
            Self::Widevine => 8_000,
            Self::WidevinePrivacy => 3_000,
            Self::Playready | Self::Fairplay => 6_000,
        }
    }
}

/// Players that ask for one key.
pub struct Players {
    kid: KeyId,
    speaks: Speaks,
}

enum Speaks {
    ClearKey,
    Widevine { device: Box<ClientDevice>, privacy: Option<Box<ServiceCertificate>> },
    PlayReady { device: Box<playready::client::ClientDevice>, service: playready::client::Service },
    FairPlay { device: Box<fairplay::client::ClientDevice>, certificate: ApplicationCertificate },
}

impl Players {
    /// Players of a self-made root, which the home takes in; its files lie in `work`.
    ///
    /// Errors: the home does not take them.
    pub async fn of(spoken: Spoken, kid: KeyId, home: &Home, work: &Path) -> anyhow::Result<Self> {
        let folder = work.join("root");
        std::fs::create_dir_all(&folder)?;
        let (vault, now) = (&home.vault, home.clock.now());
        let speaks = match spoken {
            Spoken::Clearkey => Speaks::ClearKey,
            Spoken::Widevine | Spoken::WidevinePrivacy => {
                let root = TestRoot::make("bench", &mut SystemEntropy);
                write(&folder, &root.files())?;
                vault.import_widevine(WidevineFiles::read(&folder)?, now).await?;
                let device = root.model(SecurityLevel::L1).make_device(&mut SystemEntropy);
                let wants_privacy = spoken == Spoken::WidevinePrivacy;
                let privacy = wants_privacy.then(|| service_certificate(&root, now)).transpose()?;
                let privacy = privacy.map(Box::new);
                Speaks::Widevine { device: Box::new(device.client()?), privacy }
            }
            Spoken::Playready => {
                let root = playready::test_root::TestRoot::make(&mut SystemEntropy);
                write(&folder, &root.files())?;
                vault.import_playready(PlayReadyFiles::read(&folder)?, now).await?;
                let made = root.device(SecurityLevel::L1, &mut SystemEntropy);
                let (signing, encryption) =
                    (&made.signing_private_pem, &made.encryption_private_pem);
                let device =
                    playready::client::ClientDevice::read(&made.chain, signing, encryption)?;
                let service =
                    playready::client::Service::read(&root.root_public, &root.wmrm_public);
                let service = service.context("the service's keys")?;
                Speaks::PlayReady { device: Box::new(device), service }
            }
            Spoken::Fairplay => {
                let root = fairplay::test_root::TestRoot::make(&mut SystemEntropy);
                write(&folder, &root.files())?;
                vault.import_fairplay(FairPlayFiles::read(&folder)?, now).await?;
                let device = root.make_device(&mut SystemEntropy).client()?;
                let certificate = ApplicationCertificate::parse(&root.certificate)?;
                Speaks::FairPlay { device: Box::new(device), certificate }
            }
        };
        Ok(Self { kid, speaks })
    }

    /// The dialect of the license URL.
    pub const fn dialect(&self) -> Dialect {
        match self.speaks {
            Speaks::ClearKey => Dialect::ClearKey,
            Speaks::Widevine { .. } => Dialect::Widevine,
            Speaks::PlayReady { .. } => Dialect::PlayReady,
            Speaks::FairPlay { .. } => Dialect::FairPlay,
        }
    }

    /// The type of a challenge's body.
    pub const fn media_type(&self) -> &'static str {
        match self.speaks {
            Speaks::ClearKey => "application/json",
            Speaks::PlayReady { .. } => "text/xml; charset=utf-8",
            Speaks::Widevine { .. } | Speaks::FairPlay { .. } => "application/octet-stream",
        }
    }

    /// One challenge; no two are the same where the dialect knows them apart.
    fn challenge(&self, now: Timestamp) -> anyhow::Result<Vec<u8>> {
        let entropy = &mut SystemEntropy;
        Ok(match &self.speaks {
            Speaks::ClearKey => {
                let kid = self.kid.to_base64url();
                format!(r#"{{"kids":["{kid}"],"type":"temporary"}}"#).into_bytes()
            }
            Speaks::Widevine { device, privacy } => {
                let mut request_id = [0; 16];
                entropy.fill(&mut request_id);
                let ask = Ask {
                    content: AskedContent::WebmKeyId(self.kid),
                    license_type: LicenseType::Streaming,
                    request_id: &request_id,
                    privacy: privacy.as_deref(),
                };
                device.ask(&ask, now, entropy).1
            }
            Speaks::PlayReady { device, service } => {
                let header = playready_object(self.kid, Scheme::Cenc, None);
                let headers = [&header[..]];
                let ask = playready::client::Ask { headers: &headers, custom_data: None, service };
                device.ask(&ask, now, entropy)?.1
            }
            Speaks::FairPlay { device, certificate } => {
                let asset_id = format!("skd://bench?kid={}", self.kid);
                let ask = fairplay::client::Ask {
                    certificate,
                    asset_id: asset_id.as_bytes(),
                    framing: fairplay::Framing::Octets,
                    persist: false,
                    playback: Some(fairplay::Playback::start(now, entropy)),
                    streaming: fairplay::Streaming::Device,
                };
                device.ask(&ask, entropy).1
            }
        })
    }

    /// So many challenges.
    ///
    /// Errors: the players cannot make one.
    pub fn challenges(&self, count: usize, now: Timestamp) -> anyhow::Result<Vec<Bytes>> {
        let first = Bytes::from(self.challenge(now)?);
        if matches!(self.speaks, Speaks::ClearKey) {
            return Ok(vec![first; count]);
        }
        let one = || self.challenge(now).map(Bytes::from);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = count.div_ceil(threads);
        let made = thread::scope(|scope| {
            let makers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| (0..share).filter_map(|_| one().ok()).collect::<Vec<_>>()))
                .collect();
            let made = makers.into_iter().flat_map(|maker| maker.join().unwrap_or_default());
            made.take(count).collect()
        });
        Ok(made)
    }
}

fn write(folder: &Path, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
    for (name, contents) in files {
        std::fs::write(folder.join(name), contents)?;
    }
    Ok(())
}

/// The service's certificate, as a player reads it before it encrypts its own for it.
fn service_certificate(root: &TestRoot, now: Timestamp) -> anyhow::Result<ServiceCertificate> {
    let (public, certificate) = (RootFile::PublicKey(&root.root_public), &root.service_certificate);
    let service = Credentials::import(public, certificate, &root.service_private_pem, now)?;
    let answer = service.service_certificate();
    ServiceCertificate::open(&answer, RootFile::PublicKey(&root.root_public), now)
        .context("the service's certificate")
}
