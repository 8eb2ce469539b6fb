//! A token of SoftHSM: the promises of every back end, and what only a token can do wrong.
//!
//! A library of tokens reads its settings once in a process, so each test is a process.

#[path = "../../../../../tests/support/softhsm.rs"]
mod softhsm;

use super::super::conformance::{Bench, context, film, keeps_its_promises, opened};
use super::{Pkcs11Kms, Pkcs11Refused, Pkcs11Settings, TokenPin, TokenPlace};
use crate::SystemEntropy;
use crate::kek::Kek;
use crate::kms::{Kms, KmsError, RootKey};
use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use model::Timestamp;
use softhsm::{MODULE, PIN, SoftHsm};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const TOKEN: &str = "strongroom";
/// The beginning of a day.
const NOW: Timestamp = Timestamp(1_799_971_200_000);
/// Names the folder of the tokens to the process of one test.
const FOLDER: &str = "STRONGROOM_TEST_TOKENS";

/// Runs one test in a process of its own, on a token of its own.
fn alone(name: &str, test: impl AsyncFnOnce(&SoftHsm)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let hsm = SoftHsm::at(Path::new(&folder));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(test(&hsm));
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::find(folder.path()) else { return };
    hsm.make_token(TOKEN);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("kms::pkcs11::tests::{name}"), "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .env("SOFTHSM2_CONF", hsm.settings())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(!said.contains(PIN), "the PIN is said: {said}");
}

fn settings(key_label: &str) -> Pkcs11Settings {
    Pkcs11Settings {
        module: MODULE.into(),
        place: TokenPlace::Label(TOKEN.to_owned()),
        key_label: key_label.to_owned(),
        pin: pin(PIN),
        may_create: true,
        deadline: Duration::from_secs(5),
        now: NOW,
    }
}

fn pin(text: &str) -> TokenPin {
    TokenPin::parse(Zeroizing::new(text.to_owned())).unwrap()
}

struct Tokens;

impl Bench for Tokens {
    async fn open(&self, name: &str) -> Arc<dyn Kms> {
        Arc::new(Pkcs11Kms::open(settings(name)).await.unwrap())
    }
}

#[test]
fn a_token_keeps_its_promises() {
    alone("a_token_keeps_its_promises", async |_| keeps_its_promises(&Tokens).await);
}

/// A session beside those of the back end, which has loaded the library and logged in.
fn beside() -> (Session, Vec<ObjectHandle>) {
    let library = Pkcs11::new(MODULE).unwrap();
    let slots = library.get_slots_with_token().unwrap();
    let is_ours = |slot: &&_| library.get_token_info(**slot).unwrap().label() == TOKEN;
    let slot = slots.iter().find(is_ours).unwrap();
    let session = library.open_rw_session(*slot).unwrap();
    // In the other order, the back end finds the login taken.
    drop(session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))));
    let keys = session.find_objects(&[Attribute::Label(b"root".to_vec())]).unwrap();
    (session, keys)
}

#[test]
fn the_root_key_never_leaves() {
    alone("the_root_key_never_leaves", async |_| {
        let _kms = Pkcs11Kms::open(settings("root")).await.unwrap();
        let (session, keys) = beside();
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        let asked = [
            AttributeType::Sensitive,
            AttributeType::AlwaysSensitive,
            AttributeType::Extractable,
            AttributeType::NeverExtractable,
            AttributeType::Local,
        ];
        let facts = session.get_attributes(*key, &asked).unwrap();
        for fact in [
            Attribute::Sensitive(true),
            Attribute::AlwaysSensitive(true),
            Attribute::Extractable(false),
            Attribute::NeverExtractable(true),
            Attribute::Local(true),
        ] {
            assert!(facts.contains(&fact), "{fact:?} in {facts:?}");
        }
        let value = session.get_attributes(*key, &[AttributeType::Value]);
        assert!(value.is_err() || value.as_ref().unwrap().is_empty(), "the value can be read");
        assert!(session.update_attributes(*key, &[Attribute::Sensitive(false)]).is_err());
        assert!(session.update_attributes(*key, &[Attribute::Extractable(true)]).is_err());
    });
}

#[test]
fn a_token_that_is_taken_away_and_comes_back_works_again() {
    let name = "a_token_that_is_taken_away_and_comes_back_works_again";
    alone(name, async |hsm| {
        let kms = Pkcs11Kms::open(settings("root")).await.unwrap();
        let (film, kek) = (film(), Kek::generate(&mut SystemEntropy));
        let wrapped = kms.wrap(&kek, &context(&film)).await.unwrap();

        let drawer = hsm.tokens().with_extension("drawer");
        std::fs::rename(hsm.tokens(), &drawer).unwrap();
        std::fs::create_dir(hsm.tokens()).unwrap();
        // What the library has in its own memory is no longer asked for.
        assert!(Pkcs11::new(MODULE).unwrap().finalize().is_ok());
        for _ in 0..8 {
            let refused = opened(&kms, &wrapped, &context(&film)).await.unwrap_err();
            assert_eq!(refused, KmsError::Unavailable);
            let refused = kms.wrap(&kek, &context(&film)).await.unwrap_err();
            assert_eq!(refused, KmsError::Unavailable);
        }

        std::fs::remove_dir(hsm.tokens()).unwrap();
        std::fs::rename(&drawer, hsm.tokens()).unwrap();
        let back = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                match opened(&kms, &wrapped, &context(&film)).await {
                    Err(KmsError::Unavailable) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    outcome => break outcome,
                }
            }
        });
        assert_eq!(back.await.unwrap().unwrap().bytes(), kek.bytes());
    });
}

#[test]
fn a_library_that_was_ended_under_the_sessions_is_started_again() {
    let name = "a_library_that_was_ended_under_the_sessions_is_started_again";
    alone(name, async |_| {
        let kms = Pkcs11Kms::open(settings("root")).await.unwrap();
        let (film, kek) = (film(), Kek::generate(&mut SystemEntropy));
        for _ in 0..3 {
            let wrapped = kms.wrap(&kek, &context(&film)).await.unwrap();
            assert!(Pkcs11::new(MODULE).unwrap().finalize().is_ok());
            let again = opened(&kms, &wrapped, &context(&film)).await.unwrap();
            assert_eq!(again.bytes(), kek.bytes());
        }
    });
}

#[test]
fn a_refused_pin_is_not_shown_to_the_token_again() {
    alone("a_refused_pin_is_not_shown_to_the_token_again", async |_| {
        let kms = Pkcs11Kms::open(settings("root")).await.unwrap();
        let (film, kek) = (film(), Kek::generate(&mut SystemEntropy));
        let (own, other) = (AuthPin::from(PIN.to_owned()), AuthPin::from("other".to_owned()));
        let (session, _) = beside();
        session.set_pin(&own, &other).unwrap();
        drop(session);
        assert!(Pkcs11::new(MODULE).unwrap().finalize().is_ok());
        let refused = kms.wrap(&kek, &context(&film)).await.unwrap_err();
        assert_eq!(refused, KmsError::Refused);
        // Were it shown again, it would be taken now.
        let (session, _) = beside();
        session.login(UserType::User, Some(&other)).unwrap();
        session.set_pin(&other, &own).unwrap();
        drop(session);
        let refused = kms.wrap(&kek, &context(&film)).await.unwrap_err();
        assert_eq!(refused, KmsError::Refused);
        assert!(Pkcs11Kms::open(settings("root")).await.is_ok());
    });
}

#[test]
fn a_token_that_hangs_keeps_nobody_waiting() {
    alone("a_token_that_hangs_keeps_nobody_waiting", async |hsm| {
        let deadline = Duration::from_millis(200);
        let kms = Pkcs11Kms::open(Pkcs11Settings { deadline, ..settings("root") }).await.unwrap();
        let kms = Arc::new(kms);
        assert!(Pkcs11::new(MODULE).unwrap().finalize().is_ok());
        // Reading a pipe waits until somebody writes.
        let token = std::fs::read_dir(hsm.tokens()).unwrap().next().unwrap().unwrap().path();
        let (object, kept) = (token.join("token.object"), token.join("kept"));
        std::fs::rename(&object, &kept).unwrap();
        assert!(Command::new("mkfifo").arg(&object).status().unwrap().success());
        let calls: Vec<_> = (0..super::QUEUE + 2 * super::DESKS)
            .map(|_| {
                let kms = Arc::clone(&kms);
                tokio::spawn(async move {
                    let kek = Kek::generate(&mut SystemEntropy);
                    kms.wrap(&kek, &context(&film())).await.unwrap_err()
                })
            })
            .collect();
        let all = tokio::time::timeout(10 * deadline, async {
            for call in calls {
                assert_eq!(call.await.unwrap(), KmsError::Unavailable);
            }
        });
        assert!(all.await.is_ok(), "a call waited longer than its deadline");
    });
}

#[test]
fn settings_that_do_not_fit_the_token_are_refused_with_the_reason() {
    let name = "settings_that_do_not_fit_the_token_are_refused_with_the_reason";
    alone(name, async |hsm| {
        let refused = async |settings| Pkcs11Kms::open(settings).await.unwrap_err().to_string();
        let wrong = Pkcs11Settings { pin: pin("wrong"), ..settings("root") };
        assert!(refused(wrong).await.contains("wrong, expired or locked PIN"));
        let module = hsm.settings().with_extension("so");
        let missing = Pkcs11Settings { module: module.clone(), ..settings("root") };
        let said = refused(missing).await;
        assert!(said.contains(&module.display().to_string()), "{said}");
        let place = TokenPlace::Label("nowhere".to_owned());
        let said = refused(Pkcs11Settings { place, ..settings("root") }).await;
        assert!(said.contains("no token with the label \"nowhere\""), "{said}");
        let place = TokenPlace::Slot(7);
        let said = refused(Pkcs11Settings { place, ..settings("root") }).await;
        assert!(said.contains("no token in slot 7"), "{said}");
        let said = refused(Pkcs11Settings { may_create: false, ..settings("root") }).await;
        assert!(said.contains("no key with the label \"root\""), "{said}");
        assert!(matches!(TokenPin::parse(Zeroizing::default()), Err(Pkcs11Refused::PinShape)));
    });
}

#[test]
fn a_key_that_could_be_read_or_is_not_the_only_one_is_no_root_key() {
    let name = "a_key_that_could_be_read_or_is_not_the_only_one_is_no_root_key";
    alone(name, async |_| {
        let _kms = Pkcs11Kms::open(settings("first")).await.unwrap();
        let (session, _) = beside();
        let make = |label: &str, is_sensitive| {
            let template = [
                Attribute::ValueLen(32.into()),
                Attribute::Label(label.into()),
                Attribute::Token(true),
                Attribute::Sensitive(is_sensitive),
                Attribute::Extractable(false),
            ];
            session.generate_key(&cryptoki::mechanism::Mechanism::AesKeyGen, &template).unwrap();
        };
        make("open", false);
        let refused = Pkcs11Kms::open(settings("open")).await.unwrap_err();
        assert!(matches!(refused, Pkcs11Refused::KeyUnprotected { .. }), "{refused}");
        make("first", true);
        let refused = Pkcs11Kms::open(settings("first")).await.unwrap_err();
        assert!(matches!(refused, Pkcs11Refused::SeveralKeys { .. }), "{refused}");
    });
}

#[test]
fn a_rotated_root_key_wraps_and_the_old_one_opens_in_every_process() {
    let name = "a_rotated_root_key_wraps_and_the_old_one_opens_in_every_process";
    alone(name, async |_| {
        let running = Pkcs11Kms::open(settings("root")).await.unwrap();
        let operator = Pkcs11Kms::open(settings("root")).await.unwrap();
        assert_eq!(running.root_key(), RootKey::Versioned { version: 1, made: Some(NOW) });
        let (film, kek) = (film(), Kek::generate(&mut SystemEntropy));
        let old = running.wrap(&kek, &context(&film)).await.unwrap();
        let later = NOW.plus_s(86_400);
        let rotated = RootKey::Versioned { version: 2, made: Some(later) };
        assert_eq!(operator.rotate(later.plus_s(3600)).await.unwrap(), rotated);
        let new = operator.wrap(&kek, &context(&film)).await.unwrap();
        assert_eq!((&old[..5], &new[..5]), (&[2, 0, 0, 0, 1][..], &[2, 0, 0, 0, 2][..]));
        for kms in [&running, &operator, &Pkcs11Kms::open(settings("root")).await.unwrap()] {
            for wrapped in [&old, &new] {
                let opened = opened(kms, wrapped, &context(&film)).await.unwrap();
                assert_eq!(opened.bytes(), kek.bytes());
            }
            assert_eq!(kms.root_key(), rotated);
        }
        // What was wrapped before there were versions hangs from the first.
        let unversioned = [&[1], &old[5..]].concat();
        assert!(opened(&running, &unversioned, &context(&film)).await.is_ok());
        let wrapped = running.wrap(&kek, &context(&film)).await.unwrap();
        assert_eq!(wrapped[..5], new[..5], "a service that runs wraps under the newest");
    });
}
