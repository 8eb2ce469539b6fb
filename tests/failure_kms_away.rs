//! The token with the root key is taken away under load and comes back: licenses that need it
//! are refused at once and with a wait, and issued again without a restart (R173).

#![cfg(feature = "hsm")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
mod service;
#[path = "support/softhsm.rs"]
mod softhsm;
#[path = "support/token_binary.rs"]
mod token_binary;
#[path = "support/viewer.rs"]
mod viewer;

use binary::said;
use service::Service;
use softhsm::{PIN, SoftHsm};
use std::sync::atomic::{AtomicUsize, Ordering};
use token_binary::on_token;
use viewer::{Viewer, add_titles, assert_issued, assert_put_off};

/// Titles, each of a category of its own: each needs the token once.
const TITLES: u32 = 17;
/// Viewers who ask at the same time.
const VIEWERS: u32 = 4;

#[test]
fn a_token_taken_away_under_load_puts_licenses_off_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::find(folder.path()) else { return };
    hsm.make_token("strongroom");
    let (data, log) = (folder.path().join("data"), folder.path().join("serve.log"));
    let binary = || {
        let mut command = on_token(&data, &hsm);
        command.env("STRONGROOM_KEYS_PKCS11_CREATE", "true");
        command
    };
    add_titles(TITLES, &binary, folder.path());
    let service = Service::start(&mut binary(), &log);
    let viewers: Vec<_> =
        (0..VIEWERS).map(|number| Viewer::new(&binary, &service, number)).collect();
    assert_issued(&viewers[0].license(0).0);

    let drawer = hsm.tokens().with_extension("drawer");
    std::fs::rename(hsm.tokens(), &drawer).unwrap();
    let put_off = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (viewer, first) in viewers.iter().zip(1..) {
            let put_off = &put_off;
            scope.spawn(move || {
                for title in (first..TITLES).step_by(VIEWERS as usize) {
                    let (answer, took) = viewer.license(title);
                    assert_put_off(&answer, took);
                    put_off.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(put_off.into_inner() + 1, TITLES as usize);
    let missing = binary().args(["keys", "list"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(said(&missing).contains("cannot be used"), "{}", said(&missing));

    std::fs::rename(&drawer, hsm.tokens()).unwrap();
    std::thread::scope(|scope| {
        for (viewer, title) in viewers.iter().zip(1..) {
            scope.spawn(move || viewer.license_soon(title));
        }
    });
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(!log.contains(PIN), "the PIN is logged");
}
