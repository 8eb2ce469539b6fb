//! The token's library (PKCS#11 2.40, 5.4: `C_Initialize`, `C_Finalize`).
//!
//! The library's state belongs to the whole process, so one value stands for it however many
//! back ends use it. It is never unloaded.

use super::Pkcs11Refused;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::Duration;

/// How often a restart looks whether the calls in progress have ended, and how long it pauses.
const RESTART_TRIES: u32 = 20;
const RESTART_PAUSE: Duration = Duration::from_millis(5);

/// Libraries that were loaded, one for each path that settings name.
static LOADED: Mutex<Vec<Arc<Module>>> = Mutex::new(vec![]);

/// A loaded and initialized library.
pub(super) struct Module {
    path: PathBuf,
    library: Pkcs11,
    /// Counts the initializations: sessions and handles of an earlier one mean nothing, or,
    /// worse, something else. Held for reading through each call.
    generation: RwLock<u64>,
}

impl Module {
    /// Loads the library, once in a process.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, Pkcs11Refused> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.iter().find(|module| module.path == path) {
            return Ok(Arc::clone(module));
        }
        let refuse = |cause: Error| Pkcs11Refused::Module {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        let library = Pkcs11::new(path).map_err(refuse)?;
        initialize(&library).map_err(refuse)?;
        let module = Arc::new(Self { path: path.to_owned(), library, generation: RwLock::new(0) });
        loaded.push(Arc::clone(&module));
        Ok(module)
    }

    /// The library.
    pub(super) const fn library(&self) -> &Pkcs11 {
        &self.library
    }

    /// Keeps the library initialized while the guard lives; the guard is its generation.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, u64> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Initializes the library anew, unless somebody has done so since `seen`: what a token
    /// that came back needs, because libraries look for tokens when they start.
    ///
    /// Nothing happens while a call hangs in the library: ending it under a call is undefined.
    pub(super) fn restart(&self, seen: u64) {
        for _ in 0..RESTART_TRIES {
            let mut generation = match self.generation.try_write() {
                Ok(generation) => generation,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(RESTART_PAUSE);
                    continue;
                }
            };
            if *generation == seen {
                // A library that cannot end or start says so again at the next call.
                drop(self.library.clone().finalize());
                drop(initialize(&self.library));
                *generation = generation.wrapping_add(1);
            }
            return;
        }
    }
}

fn initialize(library: &Pkcs11) -> Result<(), Error> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        outcome => outcome,
    }
}
