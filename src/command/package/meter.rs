//! How far a job is, and what its verification costs.

use crate::measure::thread_cpu_s;
use crate::screen::byte_bar;
use media::package::Progress;
use server::vault::OnProgress;
use std::sync::{Arc, Mutex, PoisonError};

/// A progress bar, and the CPU time of the verification, which is counted apart.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<Mutex<f64>>);

impl Meter {
    /// What the job tells its progress.
    pub(super) fn on_progress(&self, what: &str) -> OnProgress {
        let (what, verified) = (what.to_owned(), Arc::clone(&self.0));
        let (mut bar, mut began) = (None, 0.0);
        Box::new(move |progress| match progress {
            Progress::Begins { total } => bar = Some(byte_bar(&what, total)),
            Progress::Packaged { bytes } => bar.iter().for_each(|bar| bar.inc(bytes)),
            Progress::VerificationBegins => began = thread_cpu_s(),
            Progress::VerificationEnds => {
                *verified.lock().unwrap_or_else(PoisonError::into_inner) += thread_cpu_s() - began;
            }
        })
    }

    /// CPU seconds of the verification so far.
    pub(super) fn verify_cpu_s(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
