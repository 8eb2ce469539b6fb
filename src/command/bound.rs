//! Programs that die with us: what a killed job has started must not work on for nobody.
//!
//! A program asks the system itself to be killed when its parent ends (`PR_SET_PDEATHSIG`).
//! Others do not do so for us, therefore this binary runs once more in between, asks, and
//! becomes the other program.

use super::Failure;
use anyhow::{Context as _, anyhow};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The hidden command's name.
pub const NAME: &str = "run-bound";

/// A command that runs a program so. The thread that starts it must wait for its end: the
/// system takes the thread's end for ours.
pub fn command(program: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(NAME).arg(std::process::id().to_string()).arg(program);
    Ok(command)
}

/// The other side: becomes the program.
pub fn run(parent: u32, line: &[OsString]) -> Result<(), Failure> {
    let Some((program, arguments)) = line.split_first() else {
        return Err(Failure::Environment(anyhow!("no program")));
    };
    set_pdeathsig(Signal::SIGKILL).map_err(Failure::environment)?;
    if u32::try_from(getppid().as_raw()) != Ok(parent) {
        return Err(Failure::Environment(anyhow!("whoever started this has ended")));
    }
    let error = Command::new(program).args(arguments).exec();
    Err::<(), _>(error).with_context(|| program.display().to_string()).map_err(Failure::Environment)
}
