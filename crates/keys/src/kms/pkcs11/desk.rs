//! Where calls to the token are made: threads of their own, because a call blocks for as long
//! as the token likes. Each holds one session, so the threads bound the sessions too.

use super::module::Module;
use super::token::{Login, NONCE_BYTES, TAG_BYTES, Token, is_refused_use};
use super::{KmsError, Pkcs11Refused, RootKey};
use crate::SystemEntropy;
use crate::kek::KEK_BYTES;
use cryptoki::error::Error;
use model::{Entropy as _, Timestamp};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::{Zeroize as _, Zeroizing};

/// First byte of a KEK that is wrapped under version 1, from before there were versions.
const UNVERSIONED: u8 = 1;
/// First byte of a KEK whose wrapping names the version.
const VERSIONED: u8 = 2;
/// Pause after a failed try to reach the token: one try a second, whatever the callers do.
const REST: Duration = Duration::from_secs(1);

/// Rounds of one call: a void session, a lost token, a new session.
const TRIES: usize = 3;

/// One call, with the sender of its answer inside.
pub(super) type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// The way to the token, as all threads of a back end know it.
pub(super) struct Line {
    token: Token,
    health: Mutex<Health>,
    /// The newest version that any of them has seen.
    root_key: Mutex<RootKey>,
}

#[derive(Default)]
struct Health {
    /// No try before this moment.
    rests_until: Option<Instant>,
    /// The token refused the PIN. It is never shown that PIN again: it would lock itself.
    is_pin_refused: bool,
}

impl Line {
    /// The line to a token.
    pub(super) fn new(token: Token) -> Arc<Self> {
        let root_key = Mutex::new(RootKey::Versioned { version: 0, made: None });
        Arc::new(Self { token, health: Mutex::default(), root_key })
    }

    /// The version that wraps.
    pub(super) fn root_key(&self) -> RootKey {
        *self.root_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, login: &Login) {
        *self.root_key.lock().unwrap_or_else(PoisonError::into_inner) = login.root_key();
    }

    fn module(&self) -> &Module {
        &self.token.module
    }

    /// One session. Threads come one by one: of many whose sessions are lost, the first tries.
    fn connect(&self, lost: Option<u64>) -> Result<Login, KmsError> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.is_pin_refused {
            return Err(KmsError::Refused);
        }
        if health.rests_until.is_some_and(|until| Instant::now() < until) {
            return Err(KmsError::Unavailable);
        }
        if let Some(generation) = lost {
            self.module().restart(generation);
        }
        let login = self.token.log_in().or_else(|refused| match refused {
            Pkcs11Refused::Pin => Err(refused),
            _ => {
                let generation = *self.module().enter();
                self.module().restart(generation);
                self.token.log_in()
            }
        });
        health.rests_until = login.is_err().then(|| Instant::now() + REST);
        if let Ok(login) = &login {
            self.note(login);
        }
        login.map_err(|refused| {
            health.is_pin_refused = matches!(refused, Pkcs11Refused::Pin);
            refused.at_work()
        })
    }
}

/// One thread's place at the token.
pub(super) struct Desk {
    line: Arc<Line>,
    login: Option<Login>,
}

impl Desk {
    /// Works until the back end is dropped.
    pub(super) fn work(line: Arc<Line>, jobs: &Mutex<Receiver<Job>>) {
        let mut desk = Self { line, login: None };
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { break };
            job(&mut desk);
        }
        desk.leave();
    }

    /// Wraps a KEK. Shape: 2, version of the root key (4 bytes, big-endian), nonce (12 bytes,
    /// random), ciphertext (32), tag (16).
    pub(super) fn wrap(&mut self, kek: &[u8; KEK_BYTES], aad: &[u8]) -> Result<Vec<u8>, KmsError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemEntropy.fill(&mut nonce);
        let sealed = self.call(|login, token| {
            // KEKs are made rarely, and under the newest version.
            login.look_for(token, None)?;
            login.seal(&mut nonce.clone(), aad, kek)
        });
        let (version, sealed) = sealed.map_err(|error| match error {
            // There is nothing here that could be bound to something else.
            KmsError::Integrity => KmsError::Unavailable,
            other => other,
        })?;
        Ok([&[VERSIONED], version.to_be_bytes().as_slice(), &nonce, &sealed].concat())
    }

    /// Opens what [`Self::wrap`] made, and what was wrapped under version 1 before there were
    /// others: 1, and the rest alike.
    pub(super) fn unwrap(
        &mut self,
        wrapped: &[u8],
        aad: &[u8],
    ) -> Result<Box<Zeroizing<[u8; KEK_BYTES]>>, KmsError> {
        let (version, rest) = split(wrapped).ok_or(KmsError::Integrity)?;
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_BYTES>() else {
            return Err(KmsError::Integrity);
        };
        if sealed.len() != KEK_BYTES + TAG_BYTES {
            return Err(KmsError::Integrity);
        }
        let mut opened = self.call(|login, token| {
            login.look_for(token, Some(version))?;
            login.open(version, &mut nonce.clone(), aad, sealed)
        })?;
        let mut kek = Box::new(Zeroizing::new([0; KEK_BYTES]));
        let has_fit = opened.len() == KEK_BYTES;
        kek.iter_mut().zip(&opened).for_each(|(to, from)| *to = *from);
        opened.zeroize();
        if has_fit { Ok(kek) } else { Err(KmsError::Integrity) }
    }

    /// Makes a new version of the root key inside the token.
    pub(super) fn rotate(&mut self, now: Timestamp) -> Result<RootKey, KmsError> {
        self.line.token.make_version(now).map_err(|refused| refused.at_work())?;
        self.call(|login, token| login.look_for(token, None))?;
        Ok(self.line.root_key())
    }

    /// Makes a call; where the token turns out to be lost, once more with a new session.
    fn call<T>(
        &mut self,
        call: impl Fn(&mut Login, &Token) -> Result<T, Error>,
    ) -> Result<T, KmsError> {
        let mut lost = None;
        for _ in 0..TRIES {
            let line = Arc::clone(&self.line);
            let mut login = match self.login.take() {
                Some(login) => login,
                None => line.connect(lost)?,
            };
            let generation = line.module().enter();
            if *generation != login.generation {
                // Another thread has restarted the library: this session is void, not the token.
                continue;
            }
            let outcome = match call(&mut login, &line.token) {
                Ok(answer) => Ok(answer),
                Err(error) if is_refused_use(&error) => Err(KmsError::Refused),
                Err(_) if login.probe().is_ok() => Err(KmsError::Integrity),
                Err(_) => {
                    lost = Some(login.generation);
                    drop(generation);
                    login.end(line.module());
                    continue;
                }
            };
            line.note(&login);
            self.login = Some(login);
            return outcome;
        }
        Err(KmsError::Unavailable)
    }

    fn leave(&mut self) {
        if let Some(login) = self.login.take() {
            login.end(self.line.module());
        }
    }

    /// Opens the place for the first time: makes the key where that is wished, and tries it.
    pub(super) fn first(
        line: &Line,
        may_create: bool,
        now: Timestamp,
    ) -> Result<(), Pkcs11Refused> {
        if may_create {
            line.token.make_key(now)?;
        }
        let login = line.token.log_in()?;
        line.note(&login);
        login.end(line.module());
        Ok(())
    }
}

/// The version that a KEK is wrapped under, and the rest.
fn split(wrapped: &[u8]) -> Option<(u32, &[u8])> {
    match wrapped.split_first()? {
        (&UNVERSIONED, rest) => Some((1, rest)),
        (&VERSIONED, rest) => {
            let (version, rest) = rest.split_first_chunk()?;
            Some((u32::from_be_bytes(*version), rest))
        }
        _ => None,
    }
}
