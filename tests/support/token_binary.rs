//! The binary with its root key in a token.

use crate::binary::strongroom;
use crate::softhsm::{MODULE, PIN, SoftHsm};
use std::path::Path;
use std::process::Command;

/// The binary on a data folder, with the settings of the token `strongroom`.
pub fn on_token(data: &Path, hsm: &SoftHsm) -> Command {
    let mut command = strongroom(data);
    command
        .env("SOFTHSM2_CONF", hsm.settings())
        .env("STRONGROOM_KEYS_BACKEND", "pkcs11")
        .env("STRONGROOM_KEYS_PKCS11_MODULE", MODULE)
        .env("STRONGROOM_KEYS_PKCS11_TOKEN_LABEL", "strongroom")
        .env("STRONGROOM_KEYS_PKCS11_PIN_ENV", "TOKEN_PIN")
        .env("TOKEN_PIN", PIN);
    command
}
