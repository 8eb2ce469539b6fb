//! The token and its key: finding both, logging in, and what is computed inside (PKCS#11 2.40).

use super::module::Module;
use super::{Pkcs11Refused, TokenPlace};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use model::Entropy as _;
use std::sync::Arc;

use crate::SystemEntropy;

pub(super) const NONCE_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;
const TAG_BITS: u64 = 128;
const MEK_BYTES: u64 = 32;
/// What a token seals to show that it works.
const PROBE: &[u8] = b"strongroom probe 1";

/// Which key of which token, and how to get in.
pub(super) struct Token {
    pub(super) module: Arc<Module>,
    pub(super) place: TokenPlace,
    pub(super) key_label: String,
    pub(super) pin: AuthPin,
}

/// A session that is logged in, and the root key as this session knows it.
pub(super) struct Login {
    session: Session,
    key: ObjectHandle,
    /// Generation of the library; the rest is void in any other.
    pub(super) generation: u64,
}

impl Token {
    /// Opens a session, logs in, finds the root key and tries it.
    pub(super) fn log_in(&self) -> Result<Login, Pkcs11Refused> {
        let generation = self.module.enter();
        let session = self.session(false)?;
        let key = match self.find_key(&session) {
            Ok(key) => key,
            Err(refused) => {
                close(session);
                return Err(refused);
            }
        };
        let login = Login { session, key, generation: *generation };
        match login.probe() {
            Ok(()) => Ok(login),
            Err(error) => {
                close(login.session);
                Err(Pkcs11Refused::Mechanism(error.to_string()))
            }
        }
    }

    /// Makes the root key inside the token, unless it is there.
    ///
    /// Shape: AES-256; `CKA_SENSITIVE` and not `CKA_EXTRACTABLE`: it never leaves.
    pub(super) fn make_key(&self) -> Result<(), Pkcs11Refused> {
        let _initialized = self.module.enter();
        let session = self.session(true)?;
        let made = self.make_key_in(&session);
        close(session);
        made
    }

    fn make_key_in(&self, session: &Session) -> Result<(), Pkcs11Refused> {
        match self.find_key(session) {
            Err(Pkcs11Refused::KeyMissing { .. }) => {}
            outcome => return outcome.map(drop),
        }
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(MEK_BYTES.into()),
            Attribute::Label(self.key_label.clone().into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let made = session.generate_key(&Mechanism::AesKeyGen, &template)?;
        match self.find_key(session) {
            // Another process was at it in the same moment: nothing is wrapped under ours yet.
            Err(Pkcs11Refused::SeveralKeys { .. }) => {
                session.destroy_object(made)?;
                self.find_key(session).map(drop)
            }
            outcome => outcome.map(drop),
        }
    }

    fn session(&self, is_writing: bool) -> Result<Session, Pkcs11Refused> {
        let (slot, library) = (self.slot()?, self.module.library());
        // Closed by hand: after a restart of the library the same number is another session.
        let session = if is_writing {
            library.open_rw_session_no_drop(slot)?
        } else {
            library.open_ro_session_no_drop(slot)?
        };
        match session.login(UserType::User, Some(&self.pin)) {
            // A login counts for all sessions of the process.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => {
                close(session);
                Err(if is_refused_login(&error) { Pkcs11Refused::Pin } else { error.into() })
            }
        }
    }

    fn slot(&self) -> Result<Slot, Pkcs11Refused> {
        let library = self.module.library();
        let mut found = None;
        for slot in library.get_slots_with_token()? {
            let is_it = match &self.place {
                TokenPlace::Slot(id) => slot.id() == *id,
                TokenPlace::Label(label) => library
                    .get_token_info(slot)
                    .is_ok_and(|token| token.label().trim_end() == label.trim_end()),
            };
            if is_it && found.replace(slot).is_some() {
                return Err(Pkcs11Refused::SeveralTokens(self.place.clone()));
            }
        }
        found.ok_or_else(|| Pkcs11Refused::TokenMissing(self.place.clone()))
    }

    fn find_key(&self, session: &Session) -> Result<ObjectHandle, Pkcs11Refused> {
        let label = || self.key_label.clone();
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Label(label().into_bytes()),
        ];
        let key = match session.find_objects(&template)?.as_slice() {
            [] => return Err(Pkcs11Refused::KeyMissing { label: label() }),
            [key] => *key,
            _ => return Err(Pkcs11Refused::SeveralKeys { label: label() }),
        };
        let asked = [
            AttributeType::KeyType,
            AttributeType::ValueLen,
            AttributeType::Sensitive,
            AttributeType::Extractable,
        ];
        let facts = session.get_attributes(key, &asked)?;
        let wanted = [
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(MEK_BYTES.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        if wanted.iter().all(|fact| facts.contains(fact)) {
            Ok(key)
        } else {
            Err(Pkcs11Refused::KeyUnprotected { label: label() })
        }
    }
}

impl Login {
    /// AES-256-GCM inside the token; ciphertext and tag.
    pub(super) fn seal(
        &self,
        nonce: &mut [u8; NONCE_BYTES],
        aad: &[u8],
        secret: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let gcm = Mechanism::AesGcm(GcmParams::new(nonce, aad, TAG_BITS.into())?);
        let sealed = self.session.encrypt(&gcm, self.key, secret)?;
        // Some tokens append the nonce they would rather have used.
        if sealed.len() == secret.len() + TAG_BYTES { Ok(sealed) } else { Err(Error::InvalidValue) }
    }

    /// Opens what [`Self::seal`] made.
    pub(super) fn open(
        &self,
        nonce: &mut [u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let gcm = Mechanism::AesGcm(GcmParams::new(nonce, aad, TAG_BITS.into())?);
        self.session.decrypt(&gcm, self.key, sealed)
    }

    /// Whether the token computes with the key at all. Tokens tell a wrong tag from a fault of
    /// their own by codes of their own making; this tells it by trying.
    pub(super) fn probe(&self) -> Result<(), Error> {
        let mut nonce = [0; NONCE_BYTES];
        SystemEntropy.fill(&mut nonce);
        let sealed = self.seal(&mut nonce, PROBE, PROBE)?;
        let opened = self.open(&mut nonce, PROBE, &sealed)?;
        if opened == PROBE { Ok(()) } else { Err(Error::InvalidValue) }
    }

    /// Ends the session, if it is still one of the library's.
    pub(super) fn end(self, module: &Module) {
        let generation = module.enter();
        if *generation == self.generation {
            close(self.session);
        }
    }
}

fn close(session: Session) {
    // A session that cannot be closed is gone already.
    drop(session.close());
}

/// The token knows us and says no: trying again locks it.
const fn is_refused_login(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized
                | RvError::UserTypeInvalid
                | RvError::UserAnotherAlreadyLoggedIn,
            _
        )
    )
}

/// The key may not be used so: a matter for the operator, not for another try.
pub(super) const fn is_refused_use(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::KeyFunctionNotPermitted
                | RvError::ActionProhibited
                | RvError::FunctionRejected
                | RvError::PinExpired,
            _
        )
    )
}
