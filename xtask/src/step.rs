//! One step of a chore: said before it runs, named with its remedy when it fails.

use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Time since the chore began.
pub fn elapsed() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "shows a person how long a step takes")]
    let now = Instant::now();
    now.duration_since(*BEGIN.get_or_init(|| now))
}

/// Tells the person in front of the screen what happens next.
pub fn announce(name: &str) {
    let seconds = elapsed().as_secs();
    eprintln!("==> [{:02}:{:02}] {name}", seconds / 60, seconds % 60);
}

/// Runs a program to its end; it reads nothing and writes to the terminal.
///
/// Errors: the step's name, the command and the remedy, when it cannot start or fails.
pub fn run(name: &str, command: &mut Command, remedy: &str) -> Result<()> {
    announce(name);
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("step \"{name}\" failed ({status})\n{}", advice(command, remedy)),
        Err(error) => {
            bail!("step \"{name}\" could not start ({error})\n{}", advice(command, remedy))
        }
    }
}

/// Whether a quiet probe such as `cc --version` succeeds.
pub fn answers(program: &str, arguments: &[&str]) -> bool {
    let silent = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    silent.is_ok_and(|status| status.success())
}

/// The lines below an error: what ran, and what a person can do.
pub fn advice(command: &Command, remedy: &str) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("  command: {}\n  try: {remedy}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_names_itself_its_command_and_its_remedy() {
        let error = run("break", &mut Command::new("false"), "do not").unwrap_err().to_string();
        for part in ["\"break\"", "command: false", "try: do not"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_missing_program_is_a_failed_step() {
        let mut command = Command::new("strongroom-no-such-program");
        assert!(run("missing", &mut command, "install it").is_err());
        assert!(!answers("strongroom-no-such-program", &[]));
    }
}
