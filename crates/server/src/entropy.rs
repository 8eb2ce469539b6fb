//! The process's one source of random bytes, shared by its flows.

use model::Entropy;
use std::sync::{Arc, Mutex, PoisonError};

/// A shared source: the system's in a service, a seeded one in a test.
#[derive(Clone)]
pub struct EntropySource(Arc<Mutex<dyn Entropy + Send>>);

impl EntropySource {
    /// Shares a source.
    #[must_use]
    pub fn new(source: impl Entropy + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(source)))
    }

    /// Lends the source for one drawing.
    pub fn with<T>(&self, draw: impl FnOnce(&mut (dyn Entropy + 'static)) -> T) -> T {
        // A drawing that panicked left no half state behind: the source is bytes from outside.
        draw(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
