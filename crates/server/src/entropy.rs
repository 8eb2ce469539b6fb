//! Where a process's flows draw their random bytes.

use keys::SystemEntropy;
use model::Entropy;
use std::sync::{Arc, Mutex, PoisonError};

/// A source: the system's in a service, a seeded one in a test.
#[derive(Clone)]
pub struct EntropySource(Source);

#[derive(Clone)]
enum Source {
    /// Any number of flows draw from it at once. A license is signed while it is lent, which
    /// must not make the others wait.
    System,
    Shared(Arc<Mutex<dyn Entropy + Send>>),
}

impl EntropySource {
    /// The system's generator.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Shares a source that has a state of its own.
    #[must_use]
    pub fn new(source: impl Entropy + Send + 'static) -> Self {
        Self(Source::Shared(Arc::new(Mutex::new(source))))
    }

    /// Lends the source for one drawing.
    pub fn with<T>(&self, draw: impl FnOnce(&mut (dyn Entropy + 'static)) -> T) -> T {
        match &self.0 {
            Source::System => draw(&mut SystemEntropy),
            // A drawing that panicked left no half state behind: the source is bytes from
            // outside.
            Source::Shared(source) => {
                draw(&mut *source.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}
