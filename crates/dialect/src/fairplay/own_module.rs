//! Strongroom's own key security module, for containers of version 1 on imported credentials.

use super::ckc::{Exchange, OpenedCkc};
use super::module::{Asked, OpenedRequest, SecurityModule};
use super::policy::KeyRules;
use super::returned::Returned;
use super::spc::{Container, Payload};
use super::{ChallengeError, Credentials, LicenseError};
use crate::terms::LicensedKey;
use model::Entropy;

/// A request that was opened here.
#[derive(Debug)]
struct OwnRequest {
    exchange: Exchange,
    asked: Asked,
}

impl SecurityModule for Credentials {
    fn name(&self) -> &str {
        "strongroom"
    }

    fn is_for_tests(&self) -> bool {
        self.applications().any(|application| application.derivation.is_for_tests())
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.applications().next().map(|application| application.certificate.as_der())
    }

    /// The cheap refusals come first; the private key is used last but for the payload, which
    /// cannot be read without it.
    fn open(&self, spc: &[u8]) -> Result<Box<dyn OpenedRequest>, ChallengeError> {
        let container = Container::parse(spc)?;
        let application = self
            .applications()
            .find(|application| application.certificate.digest() == container.digest)
            .ok_or(ChallengeError::UnknownCertificate)?;
        let payload = application
            .key
            .unwrap(container.wrapped)
            .ok_or(ChallengeError::PayloadKey)?
            .decrypt(container.iv, container.payload)
            .ok_or(ChallengeError::Malformed)?;
        let payload = Payload::read(&payload)?;
        let derived = application.derivation.derive(&application.secret, payload.r2);
        let session = derived.ok_or(ChallengeError::Module)?.open(payload.sealed);
        if !session.has_integrity(payload.integrity) {
            return Err(ChallengeError::Integrity);
        }
        let returned = Returned::of(&payload.to_return()?);
        let asked = Asked { hardware: session.hardware(), ..payload.asked };
        let exchange = Exchange { session, seed: *payload.seed, returned };
        Ok(Box::new(OwnRequest { exchange, asked }))
    }
}

impl OpenedRequest for OwnRequest {
    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn write(
        &self,
        key: Option<&LicensedKey>,
        rules: &KeyRules,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        self.exchange.write(key, rules, entropy)
    }

    fn read(&self, ckc: &[u8]) -> Result<OpenedCkc, LicenseError> {
        self.exchange.read(ckc)
    }
}
