//! What a person or a program sees: one answer on standard output, progress on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::Write as _;
use std::time::Duration;

/// How a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Sentences and tables.
    Text,
    /// One JSON document (`--json`).
    Json,
}

impl Answer {
    /// Prints `value` as JSON, or what `text` makes of it.
    ///
    /// A reader that went away (`| head`) is not a failure of the command.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) {
        let answer = match self {
            Self::Text => text(value),
            Self::Json => serde_json::to_string(value)
                .expect("answers are plain structures of text and numbers"),
        };
        let mut out = std::io::stdout().lock();
        let _reader_left = writeln!(out, "{}", answer.trim_end_matches('\n'));
    }
}

/// A bar over a known number of bytes; silent when standard error is not a terminal.
pub fn byte_bar(what: &str, total_bytes: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template(
            "{prefix:>10} [{bar:32}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        )
        .expect("the template is a constant")
        .progress_chars("=> "),
    );
    bar.set_prefix(what.to_owned());
    bar
}

/// A bar over a number of things; silent when standard error is not a terminal.
pub fn count_bar(what: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{prefix:>10} [{bar:32}] {pos}/{len}  {per_sec}  {eta}")
            .expect("the template is a constant")
            .progress_chars("=> "),
    );
    bar.set_prefix(what.to_owned());
    bar
}

/// A bar over a length of media, in milliseconds; 0 is a length that is not known.
pub fn time_bar(what: &str, total_ms: u64) -> ProgressBar {
    let total_ms = Some(total_ms).filter(|total| *total > 0);
    let bar = ProgressBar::with_draw_target(total_ms, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{prefix:>10} [{bar:32}] {percent}%  {eta}")
            .expect("the template is a constant")
            .progress_chars("=> "),
    );
    bar.set_prefix(what.to_owned());
    bar
}

/// A spinner for a step whose length is not known.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
