//! The whole HTTP surface in process: every promise and every refusal (DESIGN §4).
//!
//! One binary, so that it is linked once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod alone;
mod authorization;
mod browser;
mod control;
mod delivery;
#[path = "../../../playback/tests/device_key/mod.rs"]
mod device_key;
mod devices;
mod fairplay;
mod faults;
mod hearsay;
mod house;
mod issuer;
mod issuer_keys;
mod issuer_sign_in;
mod jwt_confusion;
mod key_exchange;
mod key_periods;
mod license_path;
mod listener;
mod mmdb;
mod offline;
mod outcomes;
mod playback_token;
mod playing;
mod playready;
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;
mod provisioning;
mod races;
mod rotating;
mod rotation;
mod rotation_drm;
mod scale;
mod sign_in;
mod signed_urls;
#[path = "../../../playback/tests/support/signer.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod signer;
mod streams;
mod surface;
mod suspension;
mod unsigned;
mod widevine;
