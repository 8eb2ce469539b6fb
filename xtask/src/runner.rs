//! Runs a program that checks or tests, shows and keeps its output, and counts its verdicts.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{place, step};

/// How long output may stay open, and silent, behind a program that has ended.
const LINGERS: Duration = Duration::from_secs(5);

/// Verdicts counted so far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
}

impl Tally {
    /// Adds the verdicts of another runner.
    pub fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

/// What a program's end says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A build, a linter, a formatter: its exit code is its verdict.
    Check,
    /// `cargo test`: counts its tests, and has failed when it counts none.
    Cargo,
    /// `node --test`: likewise.
    Node,
}

/// The folder that keeps each runner's output.
pub fn logs() -> PathBuf {
    place::target().join("test-logs")
}

/// The file that keeps the output of the runner of this name.
pub fn log(name: &str) -> PathBuf {
    logs().join(format!("{}.log", file_name(name)))
}

/// Runs `command` to its end. Whatever happens is in the tally: also that it could not start.
pub fn run(name: &str, kind: Kind, command: &mut Command) -> Tally {
    step::announce(name);
    let tally = follow(name, kind, command).map(|end| verdict(kind, end)).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        Tally { passed: 0, failed: 1 }
    });
    if tally.failed > 0 {
        let remedy = format!("read {}", log(name).display());
        eprintln!("FAILED: {name}\n{}", step::advice(command, &remedy));
    }
    tally
}

/// A program's own count and whether it ended well.
struct End {
    counted: Tally,
    is_success: bool,
}

fn verdict(kind: Kind, end: End) -> Tally {
    let mut tally = end.counted;
    let is_silent = kind != Kind::Check && tally == Tally::default();
    if is_silent {
        eprintln!("error: this runner counted no test");
    }
    // A runner that died, or that disagrees with its own count.
    if tally.failed == 0 && (!end.is_success || is_silent) {
        tally.failed = 1;
    }
    tally
}

fn follow(name: &str, kind: Kind, command: &mut Command) -> Result<End> {
    fs::create_dir_all(logs())?;
    let mut log = File::create(log(name))?;
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("start {}", command.get_program().to_string_lossy()))?;
    // The command holds the pipe's other end as long as it has it as its output.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let lines = read_lines(reader);
    let mut counted = Tally::default();
    loop {
        match lines.recv_timeout(LINGERS) {
            Ok(line) => {
                log.write_all(&line)?;
                let line = String::from_utf8_lossy(&line);
                print!("{line}");
                counted.add(count(kind, &line));
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_some() => {
                bail!("{name} ended, but left a process behind that still holds its output");
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    Ok(End { counted, is_success: child.wait()?.success() })
}

/// Reads whole lines, as they come, until nobody can write any more.
fn read_lines(output: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            let is_over = !output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0);
            if is_over || send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// Reads the verdicts of one line: cargo's `test result:` or a total of node:test.
fn count(kind: Kind, line: &str) -> Tally {
    let words: Vec<&str> = line.split_whitespace().collect();
    match (kind, &words[..]) {
        (Kind::Cargo, ["test", "result:", ..]) => {
            Tally { passed: before(&words, "passed;"), failed: before(&words, "failed;") }
        }
        (Kind::Node, ["#" | "ℹ", "pass", number]) => Tally { passed: whole(number), failed: 0 },
        (Kind::Node, ["#" | "ℹ", "fail" | "cancelled", number]) => {
            Tally { passed: 0, failed: whole(number) }
        }
        _ => Tally::default(),
    }
}

/// The number that stands before a word.
fn before(words: &[&str], word: &str) -> u32 {
    let place =
        words.iter().position(|other| *other == word).and_then(|place| place.checked_sub(1));
    place.and_then(|place| words.get(place)).map_or(0, |number| whole(number))
}

fn whole(number: &str) -> u32 {
    number.parse().unwrap_or(0)
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u32, failed: u32) -> Tally {
        Tally { passed, failed }
    }

    #[test]
    fn reads_the_closing_lines_of_both_runners() {
        let cargo =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(count(Kind::Cargo, cargo), tally(12, 3));
        assert_eq!(count(Kind::Node, "# pass 7\n"), tally(7, 0));
        assert_eq!(count(Kind::Node, "ℹ fail 2"), tally(0, 2));
        assert_eq!(count(Kind::Node, "# cancelled 1"), tally(0, 1));
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(count(Kind::Cargo, "running 12 tests"), tally(0, 0));
        assert_eq!(count(Kind::Cargo, "# pass 7"), tally(0, 0));
        assert_eq!(count(Kind::Node, "    # Subtest: pass 7"), tally(0, 0));
        assert_eq!(count(Kind::Check, "test result: ok. 1 passed; 0 failed"), tally(0, 0));
    }

    #[test]
    fn a_runner_that_dies_has_failed() {
        let end = |passed, failed, is_success| End { counted: tally(passed, failed), is_success };
        assert_eq!(verdict(Kind::Cargo, end(5, 0, false)), tally(5, 1));
        assert_eq!(verdict(Kind::Cargo, end(5, 2, false)), tally(5, 2));
        assert_eq!(verdict(Kind::Check, end(0, 0, false)), tally(0, 1));
        assert_eq!(verdict(Kind::Check, end(0, 0, true)), tally(0, 0));
    }

    #[test]
    fn a_process_left_behind_is_a_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo '# pass 1'; sleep 20 &"]);
        assert_eq!(run("self test: a process left behind", Kind::Node, &mut command).failed, 1);
    }

    #[test]
    fn a_runner_is_followed_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo '# pass 3'; echo '# fail 1' >&2; exit 1"]);
        assert_eq!(run("self test: a runner", Kind::Node, &mut command), tally(3, 1));
    }

    #[test]
    fn a_runner_without_tests_has_failed() {
        let end = End { counted: tally(0, 0), is_success: true };
        assert_eq!(verdict(Kind::Cargo, end), tally(0, 1));
    }
}
