//! Where calls to the token are made: threads of their own, because a call blocks for as long
//! as the token likes. Each holds one session, so the threads bound the sessions too.

use super::module::Module;
use super::token::{Login, NONCE_BYTES, TAG_BYTES, Token, is_refused_use};
use super::{KmsError, Pkcs11Refused};
use crate::SystemEntropy;
use crate::kek::KEK_BYTES;
use cryptoki::error::Error;
use model::Entropy as _;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::{Zeroize as _, Zeroizing};

const VERSION: u8 = 1;
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
        Arc::new(Self { token, health: Mutex::default() })
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

    /// Wraps a KEK. Shape: version 1, nonce (12 bytes, random), ciphertext (32), tag (16).
    pub(super) fn wrap(&mut self, kek: &[u8; KEK_BYTES], aad: &[u8]) -> Result<Vec<u8>, KmsError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemEntropy.fill(&mut nonce);
        let sealed = self.call(|login| login.seal(&mut nonce.clone(), aad, kek));
        let sealed = sealed.map_err(|error| match error {
            // There is nothing here that could be bound to something else.
            KmsError::Integrity => KmsError::Unavailable,
            other => other,
        })?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::wrap`] made.
    pub(super) fn unwrap(
        &mut self,
        wrapped: &[u8],
        aad: &[u8],
    ) -> Result<Box<Zeroizing<[u8; KEK_BYTES]>>, KmsError> {
        let Some(([VERSION], rest)) = wrapped.split_first_chunk() else {
            return Err(KmsError::Integrity);
        };
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_BYTES>() else {
            return Err(KmsError::Integrity);
        };
        if sealed.len() != KEK_BYTES + TAG_BYTES {
            return Err(KmsError::Integrity);
        }
        let mut opened = self.call(|login| login.open(&mut nonce.clone(), aad, sealed))?;
        let mut kek = Box::new(Zeroizing::new([0; KEK_BYTES]));
        let has_fit = opened.len() == KEK_BYTES;
        kek.iter_mut().zip(&opened).for_each(|(to, from)| *to = *from);
        opened.zeroize();
        if has_fit { Ok(kek) } else { Err(KmsError::Integrity) }
    }

    /// Makes a call; where the token turns out to be lost, once more with a new session.
    fn call<T>(&mut self, call: impl Fn(&Login) -> Result<T, Error>) -> Result<T, KmsError> {
        let mut lost = None;
        for _ in 0..TRIES {
            let line = Arc::clone(&self.line);
            let login = match self.login.take() {
                Some(login) => login,
                None => line.connect(lost)?,
            };
            let generation = line.module().enter();
            if *generation != login.generation {
                // Another thread has restarted the library: this session is void, not the token.
                continue;
            }
            let outcome = match call(&login) {
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
    pub(super) fn first(line: &Line, may_create: bool) -> Result<(), Pkcs11Refused> {
        if may_create {
            line.token.make_key()?;
        }
        line.token.log_in()?.end(line.module());
        Ok(())
    }
}
