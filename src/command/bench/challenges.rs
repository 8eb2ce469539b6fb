//! What the players of `bench licenses` ask: for each license a challenge of its own, made
//! before the clock runs.

use anyhow::Context as _;
use clap::ValueEnum;
use dialect::widevine::client::{Ask, AskedContent, ClientDevice, ServiceCertificate};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{Credentials, LicenseType, RootFile};
use hyper::body::Bytes;
use keys::SystemEntropy;
use model::{Dialect, Entropy as _, KeyId, SecurityLevel, Timestamp};
use serde::Serialize;
use server::Home;
use server::vault::WidevineFiles;
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
}

impl Spoken {
    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Clearkey => "Clear Key",
            Self::Widevine => "Widevine",
            Self::WidevinePrivacy => "Widevine in privacy mode",
        }
    }

    /// More licenses than a service of a few cores makes in a second: so many challenges are
    /// made for one. A challenge of Widevine costs the player an RSA signature.
    pub const fn most_per_s(self) -> u32 {
        match self {
            Self::Clearkey => 40_000,
            Self::Widevine => 8_000,
            Self::WidevinePrivacy => 3_000,
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
}

impl Players {
    /// Players of a self-made root, which the home takes in; its files lie in `work`.
    ///
    /// Errors: the home does not take them.
    pub async fn of(spoken: Spoken, kid: KeyId, home: &Home, work: &Path) -> anyhow::Result<Self> {
        if spoken == Spoken::Clearkey {
            return Ok(Self { kid, speaks: Speaks::ClearKey });
        }
        let root = TestRoot::make("bench", &mut SystemEntropy);
        let folder = work.join("widevine");
        std::fs::create_dir_all(&folder)?;
        for (name, contents) in root.files() {
            std::fs::write(folder.join(name), contents)?;
        }
        let now = home.clock.now();
        home.vault.import_widevine(WidevineFiles::read(&folder)?, now).await?;
        let device = root.model(SecurityLevel::L1).make_device(&mut SystemEntropy).client()?;
        let wants_privacy = spoken == Spoken::WidevinePrivacy;
        let privacy = wants_privacy.then(|| service_certificate(&root, now)).transpose()?;
        let privacy = privacy.map(Box::new);
        Ok(Self { kid, speaks: Speaks::Widevine { device: Box::new(device), privacy } })
    }

    /// The dialect of the license URL.
    pub const fn dialect(&self) -> Dialect {
        match self.speaks {
            Speaks::ClearKey => Dialect::ClearKey,
            Speaks::Widevine { .. } => Dialect::Widevine,
        }
    }

    /// The type of a challenge's body.
    pub const fn media_type(&self) -> &'static str {
        match self.speaks {
            Speaks::ClearKey => "application/json",
            Speaks::Widevine { .. } => "application/octet-stream",
        }
    }

    /// So many challenges, no two the same where the dialect knows them apart.
    pub fn challenges(&self, count: usize, now: Timestamp) -> Vec<Bytes> {
        let Speaks::Widevine { device, privacy } = &self.speaks else {
            let kid = self.kid.to_base64url();
            let body = Bytes::from(format!(r#"{{"kids":["{kid}"],"type":"temporary"}}"#));
            return vec![body; count];
        };
        let one = || {
            let mut request_id = [0; 16];
            SystemEntropy.fill(&mut request_id);
            let ask = Ask {
                content: AskedContent::WebmKeyId(self.kid),
                license_type: LicenseType::Streaming,
                request_id: &request_id,
                privacy: privacy.as_deref(),
            };
            Bytes::from(device.ask(&ask, now, &mut SystemEntropy).1)
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = count.div_ceil(threads);
        thread::scope(|scope| {
            let makers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| (0..share).map(|_| one()).collect::<Vec<_>>()))
                .collect();
            let made = makers.into_iter().flat_map(|maker| maker.join().unwrap_or_default());
            made.take(count).collect()
        })
    }
}

/// The service's certificate, as a player reads it before it encrypts its own for it.
fn service_certificate(root: &TestRoot, now: Timestamp) -> anyhow::Result<ServiceCertificate> {
    let (public, certificate) = (RootFile::PublicKey(&root.root_public), &root.service_certificate);
    let service = Credentials::import(public, certificate, &root.service_private_pem, now)?;
    let answer = service.service_certificate();
    ServiceCertificate::open(&answer, RootFile::PublicKey(&root.root_public), now)
        .context("the service's certificate")
}
