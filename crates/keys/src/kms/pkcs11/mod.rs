//! The root key in an HSM, by PKCS#11 2.40: made in the token, never outside of it. KEKs are
//! wrapped and opened by AES-256-GCM inside the token.

mod date;
mod desk;
mod module;
#[cfg(test)]
mod tests;
mod token;

use super::{Kms, KmsError, KmsFuture, RootKey};
use crate::context::KekContext;
use crate::kek::Kek;
use cryptoki::types::AuthPin;
use desk::{Desk, Job, Line};
use model::Timestamp;
use module::Module;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use token::Token;
use tokio::sync::oneshot;
use zeroize::{Zeroize as _, Zeroizing};

/// Threads, and so sessions, of one back end.
const DESKS: usize = 4;
/// Calls that wait for a thread; more are turned away.
const QUEUE: usize = 256;
/// Longest time for the first look at the token, at start.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// Longest PIN, bytes.
const MAX_PIN_BYTES: usize = 256;

/// Where the token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// The one token with this label.
    Label(String),
    /// The token in the slot with this number.
    Slot(u64),
}

impl std::fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => write!(f, "with the label {label:?}"),
            Self::Slot(id) => write!(f, "in slot {id}"),
        }
    }
}

/// The PIN of a token's user, wiped on drop.
pub struct TokenPin(AuthPin);

impl TokenPin {
    /// Reads a PIN. Errors: [`Pkcs11Refused::PinShape`] unless 1 to 256 bytes.
    pub fn parse(mut text: Zeroizing<String>) -> Result<Self, Pkcs11Refused> {
        if !(1..=MAX_PIN_BYTES).contains(&text.len()) {
            return Err(Pkcs11Refused::PinShape);
        }
        // A boxed copy of its exact length: shrinking the string would leave one behind.
        let pin = AuthPin::from(Box::<str>::from(text.as_str()));
        text.zeroize();
        Ok(Self(pin))
    }
}

impl std::fmt::Debug for TokenPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenPin(..)")
    }
}

/// What a back end needs to know.
#[derive(Debug)]
pub struct Pkcs11Settings {
    /// The maker's library.
    pub module: PathBuf,
    /// The token.
    pub place: TokenPlace,
    /// Label of the root key in it.
    pub key_label: String,
    /// PIN of the token's user.
    pub pin: TokenPin,
    /// Whether to make the root key where there is none.
    pub may_create: bool,
    /// Longest wait for an answer.
    pub deadline: Duration,
    /// The day of a root key that is made.
    pub now: Timestamp,
}

/// Why a token is not used. Group: all are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Refused {
    /// The library does not load or start.
    #[error("the PKCS#11 module {path} cannot be used: {cause}", path = path.display())]
    Module {
        /// The library.
        path: PathBuf,
        /// What the loader or the library says.
        cause: String,
    },
    /// No such token.
    #[error("the PKCS#11 module knows no token {0}")]
    TokenMissing(TokenPlace),
    /// More than one such token.
    #[error("the PKCS#11 module knows several tokens {0}")]
    SeveralTokens(TokenPlace),
    /// The PIN is too short or too long to be one.
    #[error("a PIN has 1 to 256 bytes")]
    PinShape,
    /// The token refuses the login. Trying again may lock it.
    #[error("the token refuses the login: wrong, expired or locked PIN")]
    Pin,
    /// No root key, and none to be made.
    #[error("the token has no key with the label {label:?}; creating one must be allowed once")]
    KeyMissing {
        /// The label.
        label: String,
    },
    /// It is not clear which one is the root key.
    #[error("the token has several keys with the label {label:?}")]
    SeveralKeys {
        /// The label.
        label: String,
    },
    /// The key could be read, or is no AES-256 key.
    #[error("the key {label:?} is not AES-256, sensitive and unextractable: no root key")]
    KeyUnprotected {
        /// The label.
        label: String,
    },
    /// No room for another version.
    #[error("the token holds 32 versions of the root key, and no more are looked for")]
    Full,
    /// The token does not compute what we need.
    #[error("the token does not seal with its key by AES-256-GCM: {0}")]
    Mechanism(String),
    /// The token failed.
    #[error("the token does not answer: {0}")]
    Device(String),
    /// The token said nothing for ten seconds, or there is no thread for it.
    #[error("the token does not answer")]
    Silent,
}

impl Pkcs11Refused {
    /// The same reason, met while working.
    const fn at_work(&self) -> KmsError {
        match self {
            Self::Module { .. }
            | Self::TokenMissing(_)
            | Self::Mechanism(_)
            | Self::Device(_)
            | Self::Silent => KmsError::Unavailable,
            Self::SeveralTokens(_)
            | Self::PinShape
            | Self::Pin
            | Self::KeyMissing { .. }
            | Self::SeveralKeys { .. }
            | Self::KeyUnprotected { .. }
            | Self::Full => KmsError::Refused,
        }
    }
}

impl From<cryptoki::error::Error> for Pkcs11Refused {
    fn from(error: cryptoki::error::Error) -> Self {
        Self::Device(error.to_string())
    }
}

/// A root key in a token.
pub struct Pkcs11Kms {
    line: Arc<Line>,
    jobs: SyncSender<Job>,
    deadline: Duration,
}

impl Pkcs11Kms {
    /// Finds the token and its root key, and tries the key.
    ///
    /// Errors: [`Pkcs11Refused`].
    pub async fn open(settings: Pkcs11Settings) -> Result<Self, Pkcs11Refused> {
        let deadline = settings.deadline;
        let (reply, answer) = oneshot::channel();
        spawn(move || {
            // Nobody waits any longer: then nobody is told.
            drop(reply.send(first_look(settings)));
        })?;
        let line = tokio::time::timeout(FIRST_LOOK, answer).await;
        let line =
            line.map_err(|_| Pkcs11Refused::Silent)?.map_err(|_| Pkcs11Refused::Silent)??;
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..DESKS {
            let (line, queue) = (Arc::clone(&line), Arc::clone(&queue));
            spawn(move || Desk::work(line, &queue))?;
        }
        Ok(Self { line, jobs, deadline })
    }

    /// Hands work to a thread and waits, but not beyond the deadline.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T, KmsError> + Send + 'static,
    ) -> Result<T, KmsError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |desk| {
            // What nobody waits for any more is not done.
            if !reply.is_closed() {
                drop(reply.send(work(desk)));
            }
        });
        self.jobs.try_send(job).map_err(|_| KmsError::Unavailable)?;
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(KmsError::Unavailable),
        }
    }
}

fn first_look(settings: Pkcs11Settings) -> Result<Arc<Line>, Pkcs11Refused> {
    let Pkcs11Settings { module, place, key_label, pin, may_create, now, .. } = settings;
    let module = Module::load(&module)?;
    let line = Line::new(Token { module, place, key_label, pin: pin.0 });
    Desk::first(&line, may_create, now)?;
    Ok(line)
}

/// Threads outside the runtime: one that hangs in the token does not keep the process alive.
fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Pkcs11Refused> {
    let thread = std::thread::Builder::new().name("pkcs11".to_owned()).spawn(work);
    thread.map(drop).map_err(|error| Pkcs11Refused::Device(error.to_string()))
}

impl Kms for Pkcs11Kms {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        let kek = Box::new(Zeroizing::new(*kek.bytes()));
        let aad = context.aad();
        Box::pin(self.ask(move |desk| desk.wrap(&kek, &aad)))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        let (wrapped, aad) = (wrapped.to_vec(), context.aad());
        Box::pin(
            async move { self.ask(move |desk| desk.unwrap(&wrapped, &aad)).await.map(Kek::of) },
        )
    }

    fn root_key(&self) -> RootKey {
        self.line.root_key()
    }

    fn rotate(&self, now: Timestamp) -> KmsFuture<'_, RootKey> {
        Box::pin(self.ask(move |desk| desk.rotate(now)))
    }

    fn name(&self) -> &'static str {
        "pkcs11"
    }
}

impl std::fmt::Debug for Pkcs11Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pkcs11Kms(..)")
    }
}
