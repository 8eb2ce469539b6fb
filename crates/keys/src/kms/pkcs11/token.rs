//! The token and its key: finding both, logging in, and what is computed inside (PKCS#11 2.40).

use super::module::Module;
use super::{Pkcs11Refused, TokenPlace, date};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use model::{Entropy as _, Timestamp};
use std::sync::Arc;

use crate::SystemEntropy;
use crate::kms::RootKey;

pub(super) const NONCE_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;
const TAG_BITS: u64 = 128;
const MEK_BYTES: u64 = 32;
/// Most versions of a root key: as many years.
const MAX_VERSIONS: u32 = 32;
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
    /// Every version, the newest last; one at least.
    keys: Vec<RootVersion>,
    /// Generation of the library; the rest is void in any other.
    pub(super) generation: u64,
}

/// One version of the root key.
struct RootVersion {
    version: u32,
    made: Option<Timestamp>,
    handle: ObjectHandle,
}

impl Token {
    /// Label of a version: that of the settings for the first, with its number for others.
    fn label(&self, version: u32) -> String {
        if version == 1 { self.key_label.clone() } else { format!("{}#{version}", self.key_label) }
    }

    /// Opens a session, logs in, finds the root key and tries it.
    pub(super) fn log_in(&self) -> Result<Login, Pkcs11Refused> {
        let generation = self.module.enter();
        let session = self.session(false)?;
        let keys = match self.find_keys(&session) {
            Ok(keys) => keys,
            Err(refused) => {
                close(session);
                return Err(refused);
            }
        };
        let login = Login { session, keys, generation: *generation };
        match login.probe() {
            Ok(()) => Ok(login),
            Err(error) => {
                close(login.session);
                Err(Pkcs11Refused::Mechanism(error.to_string()))
            }
        }
    }

    /// Makes the root key inside the token, unless it is there.
    pub(super) fn make_key(&self, now: Timestamp) -> Result<(), Pkcs11Refused> {
        self.writing(|session| match self.find_key(session, &self.label(1)) {
            Err(Pkcs11Refused::KeyMissing { .. }) => self.generate(session, 1, now),
            outcome => outcome.map(drop),
        })
    }

    /// Makes the version that follows the newest.
    pub(super) fn make_version(&self, now: Timestamp) -> Result<(), Pkcs11Refused> {
        self.writing(|session| {
            let newest = self.find_keys(session)?.last().map_or(0, |newest| newest.version);
            if newest >= MAX_VERSIONS {
                return Err(Pkcs11Refused::Full);
            }
            self.generate(session, newest + 1, now)
        })
    }

    fn writing(
        &self,
        work: impl FnOnce(&Session) -> Result<(), Pkcs11Refused>,
    ) -> Result<(), Pkcs11Refused> {
        let _initialized = self.module.enter();
        let session = self.session(true)?;
        let done = work(&session);
        close(session);
        done
    }

    /// Shape: AES-256; `CKA_SENSITIVE` and not `CKA_EXTRACTABLE`: it never leaves.
    /// `CKA_ID` tells the day it was made: SoftHSM stores `CKA_START_DATE` of a private key in a way
    /// that it cannot read again.
    fn generate(
        &self,
        session: &Session,
        version: u32,
        now: Timestamp,
    ) -> Result<(), Pkcs11Refused> {
        let label = self.label(version);
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(MEK_BYTES.into()),
            Attribute::Label(label.clone().into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Id(date::of(now).into_bytes()),
        ];
        let made = session.generate_key(&Mechanism::AesKeyGen, &template)?;
        match self.find_key(session, &label) {
            // Another process was at it in the same moment: nothing is wrapped under ours yet.
            Err(Pkcs11Refused::SeveralKeys { .. }) => {
                session.destroy_object(made)?;
                self.find_key(session, &label).map(drop)
            }
            outcome => outcome.map(drop),
        }
    }

    /// Every version, the newest last.
    fn find_keys(&self, session: &Session) -> Result<Vec<RootVersion>, Pkcs11Refused> {
        let mut keys = vec![];
        for version in 1..=MAX_VERSIONS {
            match self.find_key(session, &self.label(version)) {
                Ok((handle, made)) => keys.push(RootVersion { version, made, handle }),
                Err(Pkcs11Refused::KeyMissing { .. }) if version > 1 => break,
                Err(refused) => return Err(refused),
            }
        }
        Ok(keys)
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

    /// One version, and when it was made, where the token knows.
    fn find_key(
        &self,
        session: &Session,
        label: &str,
    ) -> Result<(ObjectHandle, Option<Timestamp>), Pkcs11Refused> {
        let named = || label.to_owned();
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Label(named().into_bytes()),
        ];
        let key = match session.find_objects(&template)?.as_slice() {
            [] => return Err(Pkcs11Refused::KeyMissing { label: named() }),
            [key] => *key,
            _ => return Err(Pkcs11Refused::SeveralKeys { label: named() }),
        };
        let asked = [
            AttributeType::KeyType,
            AttributeType::ValueLen,
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::Id,
        ];
        let facts = session.get_attributes(key, &asked)?;
        let wanted = [
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(MEK_BYTES.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ];
        if !wanted.iter().all(|fact| facts.contains(fact)) {
            return Err(Pkcs11Refused::KeyUnprotected { label: named() });
        }
        let made = facts.iter().find_map(|fact| match fact {
            Attribute::Id(id) => date::begins(id),
            _ => None,
        });
        Ok((key, made))
    }
}

impl Login {
    /// The newest version: what wraps.
    pub(super) fn root_key(&self) -> RootKey {
        let newest = self.keys.last();
        RootKey::Versioned {
            version: newest.map_or(0, |newest| newest.version),
            made: newest.and_then(|newest| newest.made),
        }
    }

    /// Looks for versions that were made since, unless this one is known.
    pub(super) fn look_for(&mut self, token: &Token, version: Option<u32>) -> Result<(), Error> {
        if version.is_none_or(|version| self.handle(version).is_err()) {
            // What is wrong with the keys is found by the next login; here, the session counts.
            self.keys = token.find_keys(&self.session).map_err(|_| Error::InvalidValue)?;
        }
        Ok(())
    }

    fn handle(&self, version: u32) -> Result<ObjectHandle, Error> {
        let key = self.keys.iter().find(|key| key.version == version);
        key.map(|key| key.handle).ok_or(Error::InvalidValue)
    }

    /// AES-256-GCM inside the token, under the newest version; that version, ciphertext and tag.
    pub(super) fn seal(
        &self,
        nonce: &mut [u8; NONCE_BYTES],
        aad: &[u8],
        secret: &[u8],
    ) -> Result<(u32, Vec<u8>), Error> {
        let RootVersion { version, handle, .. } = self.keys.last().ok_or(Error::InvalidValue)?;
        let gcm = Mechanism::AesGcm(GcmParams::new(nonce, aad, TAG_BITS.into())?);
        let sealed = self.session.encrypt(&gcm, *handle, secret)?;
        // Some tokens append the nonce they would rather have used.
        let has_fit = sealed.len() == secret.len() + TAG_BYTES;
        if has_fit { Ok((*version, sealed)) } else { Err(Error::InvalidValue) }
    }

    /// Opens what [`Self::seal`] made.
    pub(super) fn open(
        &self,
        version: u32,
        nonce: &mut [u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let gcm = Mechanism::AesGcm(GcmParams::new(nonce, aad, TAG_BITS.into())?);
        self.session.decrypt(&gcm, self.handle(version)?, sealed)
    }

    /// Whether the token computes with the key at all. Tokens tell a wrong tag from a fault of
    /// their own by codes of their own making; this tells it by trying.
    pub(super) fn probe(&self) -> Result<(), Error> {
        let mut nonce = [0; NONCE_BYTES];
        SystemEntropy.fill(&mut nonce);
        let (version, sealed) = self.seal(&mut nonce, PROBE, PROBE)?;
        let opened = self.open(version, &mut nonce, PROBE, &sealed)?;
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
