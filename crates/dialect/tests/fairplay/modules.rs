//! The two seams: a licensee's derivation, and a licensee's whole module.

use crate::world::*;
use dialect::fairplay::{
    ApplicationFiles, Asked, Challenge, ChallengeError, Credentials, Derivation, Desk, HdcpRule,
    Issue, KeyDuration, KeyRules, KeySecurityModule, LicenseError, OpenedCkc, OpenedRequest,
    SecurityModule,
};
use dialect::terms::LicensedKey;
use keys::SystemEntropy;
use keys::fairplay::{ApplicationSecret, DerivedKey};
use model::Entropy;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

/// A licensee's function: here the secret itself.
#[derive(Debug)]
struct OtherDerivation(&'static str);

impl Derivation for OtherDerivation {
    fn name(&self) -> &str {
        self.0
    }

    fn is_for_tests(&self) -> bool {
        false
    }

    #[expect(clippy::disallowed_methods, reason = "a derivation is made of the secret")]
    fn derive(&self, secret: &ApplicationSecret, _r2: &[u8; 21]) -> Option<DerivedKey> {
        (self.0 != "broken-d").then(|| DerivedKey::from_bytes(&secret.reveal()))
    }
}

#[test]
fn a_linked_derivation_is_chosen_by_its_name() {
    let linked: [Arc<dyn Derivation>; 2] =
        [Arc::new(OtherDerivation("licensed-d")), Arc::new(OtherDerivation("standin-d-v1"))];
    let files = ApplicationFiles { derivation: "licensed-d", ..files(&WORLD.root) };
    let credentials = Credentials::import_with(&files, &linked, NOW).unwrap();
    assert!(!credentials.is_for_tests());
    let module = KeySecurityModule::from(credentials);
    // The client derives by the stand-in: these are other secrets.
    let (_, body) = ask_kid(&WORLD.device, 1);
    let read = Challenge::parse(&body, &Desk { module: &module }, NOW);
    assert_eq!(read.err(), Some(ChallengeError::Integrity));
    // One that derives nothing refuses.
    let broken: [Arc<dyn Derivation>; 1] = [Arc::new(OtherDerivation("broken-d"))];
    let broken_files = ApplicationFiles { derivation: "broken-d", ..files };
    let broken = Credentials::import_with(&broken_files, &broken, NOW).unwrap().into();
    let read = Challenge::parse(&body, &Desk { module: &broken }, NOW);
    assert_eq!(read.err(), Some(ChallengeError::Module));
    // The stand-in's name stays the stand-in's, and one of two makes all of it a test.
    let files = ApplicationFiles { derivation: "standin-d-v1", ..files };
    let standin = Credentials::import_with(&files, &linked, NOW).unwrap();
    assert!(standin.is_for_tests());
    let module = KeySecurityModule::from(standin);
    assert!(Challenge::parse(&body, &Desk { module: &module }, NOW).is_ok());
    let other = ApplicationFiles { derivation: "licensed-d", ..crate::world::files(&WORLD.older) };
    let both = Credentials::import(&files, NOW).unwrap();
    assert!(both.and_application_with(&other, &linked, NOW).unwrap().is_for_tests());
}

/// A module of another make, with containers of its own: a byte, and the asset id.
#[derive(Debug)]
struct OtherModule {
    written: Arc<Mutex<Vec<KeyRules>>>,
}

#[derive(Debug)]
struct OtherRequest {
    asked: Asked,
    written: Arc<Mutex<Vec<KeyRules>>>,
}

impl SecurityModule for OtherModule {
    fn name(&self) -> &str {
        "another"
    }

    fn is_for_tests(&self) -> bool {
        false
    }

    fn certificate(&self) -> Option<&[u8]> {
        None
    }

    fn open(&self, spc: &[u8]) -> Result<Box<dyn OpenedRequest>, ChallengeError> {
        let [0, asset_id @ ..] = spc else { return Err(ChallengeError::Module) };
        if asset_id.starts_with(b"!") {
            return Err(ChallengeError::Module);
        }
        let asked =
            Asked { asset_id: asset_id.to_vec(), playback: Some(playback()), ..Asked::default() };
        Ok(Box::new(OtherRequest { asked, written: self.written.clone() }))
    }
}

impl OpenedRequest for OtherRequest {
    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn write(&self, key: Option<&LicensedKey>, rules: &KeyRules, _: &mut dyn Entropy) -> Vec<u8> {
        self.written.lock().unwrap().push(*rules);
        key.map_or(vec![], |key| key.kid.as_bytes().to_vec())
    }

    fn read(&self, ckc: &[u8]) -> Result<OpenedCkc, LicenseError> {
        let byte = *ckc.first().ok_or(LicenseError::NoKey)?;
        let rules = *self.written.lock().unwrap().last().ok_or(LicenseError::Malformed)?;
        Ok(OpenedCkc { key: content_key(byte), iv: IV, rules })
    }
}

#[test]
fn a_whole_module_can_be_another() {
    let written = Arc::default();
    let module =
        KeySecurityModule::Library(Box::new(OtherModule { written: Arc::clone(&written) }));
    assert!(!module.is_for_tests() && module.certificate().is_none());
    let desk = Desk { module: &module };
    let read = |asset_id: &str| Challenge::parse(&[&[0], asset_id.as_bytes()].concat(), &desk, NOW);
    let challenge = read(&asset(1)).unwrap();
    assert_eq!((challenge.kid(), challenge.content_id()), (kid(1), Some("film")));
    let mut key = licensed(1);
    key.terms.hdcp = dialect::terms::Hdcp::V1;
    let issue = Issue { terms: &lease(60), now: NOW };
    let license = challenge.answer(&issue, key, &mut SystemEntropy).read_back().unwrap();
    assert_eq!(license.keys[0].kid, kid(1));
    assert_eq!(license.terms, lease(60));
    let duration = KeyDuration::Lease(NonZeroU32::new(60).unwrap());
    assert_eq!(*written.lock().unwrap(), [KeyRules { duration, hdcp: HdcpRule::Type0 }]);
    // It can refuse; and it is asked for no key that its client cannot keep.
    assert_eq!(read("!").err(), Some(ChallengeError::Module));
    let challenge = read(&asset(1)).unwrap();
    assert!(!challenge.can_keep(&licensed(1).terms));
    let answer = challenge.answer(&issue, licensed(1), &mut SystemEntropy);
    assert_eq!(answer.read_back().err(), Some(LicenseError::NoKey));
}
