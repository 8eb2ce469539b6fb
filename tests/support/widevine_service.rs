//! A Widevine license server with a root of its own, and its devices' folders.

use crate::title::{content_key, key};
use dialect::terms::{
    AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, RenewalTerms, Robustness,
};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{
    Answer, Credentials, Desk, DeviceList, Issue, Request, RootFile, VerifiedModels,
};
use keys::{SessionSeal, SystemEntropy};
use model::{KeyId, Scheme, SecurityLevel, Timestamp, TrackClass};
use std::fs;
use std::path::{Path, PathBuf};

const NOW: Timestamp = Timestamp(1_811_808_000_000);

/// Which keys a license gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Those of the device's level (R110).
    ByLevel,
    /// All that were asked for, whatever the device is; renewed when it first plays.
    All,
}

/// The server.
pub struct WidevineService {
    root: TestRoot,
    credentials: Credentials,
    devices: DeviceList,
    models: VerifiedModels,
    seal: SessionSeal,
    keys: Keys,
}

impl WidevineService {
    /// Makes one.
    pub fn new(keys: Keys) -> Self {
        let root = TestRoot::make("strongroom.test", &mut SystemEntropy);
        let file = RootFile::PublicKey(&root.root_public);
        let (certificate, pem) = (&root.service_certificate, &root.service_private_pem);
        Self {
            credentials: Credentials::import(file, certificate, pem, NOW).unwrap(),
            devices: DeviceList::parse(&root.device_list).unwrap(),
            models: VerifiedModels::default(),
            seal: SessionSeal::from_bytes(&[7; 32].into()),
            root,
            keys,
        }
    }

    /// Writes a device of each level below `folder`: `root_public.der`, `devices/LEVEL/`.
    pub fn write_devices(&self, folder: &Path) -> PathBuf {
        let write = |file: PathBuf, bytes: &[u8]| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        };
        write(folder.join("root_public.der"), &self.root.root_public);
        for level in [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3] {
            let device = self.root.model(level).make_device(&mut SystemEntropy);
            let place = folder.join("devices").join(level.name());
            write(place.join("certificate.bin"), &device.certificate);
            write(place.join("private.pem"), device.private_pem.as_bytes());
        }
        folder.to_owned()
    }

    /// Answers a message.
    pub fn answer(&self, body: &[u8]) -> Vec<u8> {
        let renewal = RenewalTerms { on_first_use: true, ..RenewalTerms::default() };
        let can_renew = self.keys == Keys::All;
        let terms = LicenseTerms { can_play: true, can_renew, renewal, ..LicenseTerms::default() };
        self.license(body, &terms, |_, level| {
            let classes = level.track_classes();
            let all = TrackClass::ALL.into_iter();
            let given = all.filter(|class| self.keys == Keys::All || classes.contains(*class));
            given.map(licensed).collect()
        })
    }

    /// Answers a message under these terms; a new license has the keys that `given` makes of the
    /// asked ones and the device's level.
    pub fn license(
        &self,
        body: &[u8],
        terms: &LicenseTerms,
        given: impl Fn(&[KeyId], SecurityLevel) -> Vec<LicensedKey>,
    ) -> Vec<u8> {
        let desk = Desk {
            credentials: &self.credentials,
            models: &self.models,
            devices: &self.devices,
            sessions: &self.seal,
        };
        let (scheme, sessions) = (Scheme::Cbcs, &self.seal);
        let issue = Issue { terms, scheme, memo: b"", sessions, now: NOW };
        let answer: Answer = match Request::parse(body, &desk, NOW).unwrap() {
            Request::ServiceCertificate => return self.credentials.service_certificate(),
            Request::Existing(renewal) => renewal.answer(&issue, &mut SystemEntropy),
            Request::New(challenge) => {
                let keys = given(challenge.kids(), challenge.device().level);
                challenge.answer(&issue, keys, &mut SystemEntropy)
            }
        };
        answer.as_bytes().to_vec()
    }
}

/// The key of a class, as a license has it.
pub fn licensed(class: TrackClass) -> LicensedKey {
    let terms = KeyTerms {
        robustness: match class {
            TrackClass::Audio | TrackClass::Sd => Robustness::SoftwareKeys,
            TrackClass::Hd => Robustness::HardwareKeys,
            TrackClass::Uhd => Robustness::HardwareAll,
        },
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: Some(class),
    };
    LicensedKey { kid: key(class).0, key: content_key(class), terms, iv: None }
}
