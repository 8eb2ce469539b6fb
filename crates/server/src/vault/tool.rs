//! Other programs at work: waited for as long as they make progress, and ended when they do not.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a program is asked for its end after its last word.
const ASKED_EVERY: Duration = Duration::from_millis(5);

/// How long a program may make no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Duration);

/// A program that made no progress for too long, and was ended.
#[derive(Debug, thiserror::Error)]
#[error(
    "made no progress for {} seconds and was ended (packaging.stalled_seconds sets how long it may)",
    self.0.as_secs()
)]
pub struct Stalled(Duration);

impl Stalled {
    /// Whether this is why a program ended.
    #[must_use]
    pub fn caused(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

impl Patience {
    /// Waits for the end of a program. Whoever reads its pipes tells on `heard` how far it is; a
    /// number that is not higher than all before is no progress. `on_progress` is told of those
    /// that are.
    ///
    /// Errors: [`Stalled`], the program is dead then; of the system.
    pub fn wait(
        self,
        child: &mut Child,
        heard: &Receiver<u64>,
        mut on_progress: impl FnMut(u64),
    ) -> io::Result<ExitStatus> {
        let (mut furthest, mut since) = (None, now());
        loop {
            let left = self.0.saturating_sub(since.elapsed());
            match heard.recv_timeout(left) {
                Ok(far) if Some(far) > furthest => {
                    (furthest, since) = (Some(far), now());
                    on_progress(far);
                }
                // What only repeats itself must not hold the clock.
                Ok(_) if !left.is_zero() => {}
                Err(RecvTimeoutError::Disconnected) => match child.try_wait()? {
                    Some(status) => return Ok(status),
                    None if !left.is_zero() => thread::sleep(ASKED_EVERY),
                    None => return Err(self.end(child)),
                },
                Ok(_) | Err(RecvTimeoutError::Timeout) => return Err(self.end(child)),
            }
        }
    }

    fn end(self, child: &mut Child) -> io::Error {
        // That it ended by itself in this moment is no failure of ours.
        drop(child.kill());
        drop(child.wait());
        io::Error::new(io::ErrorKind::TimedOut, Stalled(self.0))
    }
}

/// How long a program is silent is no time of the service's: no test's clock hurries it.
#[expect(clippy::disallowed_methods, reason = "another program is measured")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::mpsc;

    fn child(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    #[test]
    fn what_says_nothing_is_ended() {
        let (_tell, heard) = mpsc::channel();
        let mut hanging = child("exec sleep 600");
        let patience = Patience(Duration::from_millis(50));
        let error = patience.wait(&mut hanging, &heard, |_| ()).unwrap_err();
        assert!(Stalled::caused(&error), "{error}");
        assert!(hanging.try_wait().unwrap().is_some(), "it is dead and buried");
    }

    #[test]
    fn what_closes_its_pipes_and_stays_is_ended() {
        let (_, heard) = mpsc::channel();
        let mut hanging = child("exec sleep 600");
        let patience = Patience(Duration::from_millis(50));
        assert!(Stalled::caused(&patience.wait(&mut hanging, &heard, |_| ()).unwrap_err()));
    }

    #[test]
    fn repeating_is_no_progress_and_progress_is_told_once() {
        let (tell, heard) = mpsc::channel();
        let mut hanging = child("exec sleep 600");
        let talker = thread::spawn(move || {
            for at in [1, 2, 2] {
                tell.send(at).unwrap();
            }
            while tell.send(1).is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        });
        let mut told = Vec::new();
        let patience = Patience(Duration::from_millis(50));
        let error = patience.wait(&mut hanging, &heard, |at| told.push(at)).unwrap_err();
        drop(heard);
        talker.join().unwrap();
        assert!(Stalled::caused(&error));
        assert_eq!(told, [1, 2]);
    }

    #[test]
    fn an_end_is_an_end() {
        let (_, heard) = mpsc::channel();
        let patience = Patience(Duration::from_secs(600));
        let status = patience.wait(&mut child("exit 3"), &heard, |_| ()).unwrap();
        assert_eq!(status.code(), Some(3));
    }
}
