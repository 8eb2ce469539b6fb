//! The clock that the CDM's process gives its CDM. Within a run it only goes forward, by the
//! machine's own count of time: setting the system's clock back does nothing until the next run,
//! and then the CDM knows better ([`cdm::Module::with_state`]).

use anyhow::Context as _;
use model::Timestamp;
use server::clock::Clock;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// The device's clock.
pub struct DeviceClock {
    started: Timestamp,
    since: Instant,
    /// For tests: a file that says the time, read anew each time.
    file: Option<PathBuf>,
}

impl DeviceClock {
    /// Starts at the system's time.
    #[expect(clippy::disallowed_methods, reason = "this is the device's own count of time")]
    pub fn start(file: Option<PathBuf>) -> Self {
        Self { started: Clock::System.now(), since: Instant::now(), file }
    }

    /// The time.
    ///
    /// Errors: where a test's file says none.
    pub fn now(&self) -> anyhow::Result<Timestamp> {
        if let Some(file) = &self.file {
            let about = || format!("{}: no time", file.display());
            let text = fs::read_to_string(file).with_context(about)?;
            let seconds: u64 = text.trim().parse().with_context(about)?;
            return Ok(Timestamp(0).plus_s(seconds));
        }
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let counted = Timestamp(self.started.0.saturating_add(passed));
        // The count stands still while the machine sleeps; the system's clock does not.
        Ok(counted.max(Clock::System.now()))
    }
}
