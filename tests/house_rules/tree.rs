//! The files that a rule looks at: those of the repository, or a handful made up by a test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Text files by their path from the repository's root.
pub struct Tree(BTreeMap<String, String>);

/// One place that breaks a rule.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    pub path: String,
    /// Counted from 1; 0 speaks of the whole file.
    pub line: usize,
    pub what: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl Tree {
    /// What git tracks, or would track after `git add`.
    pub fn of_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let answer = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .expect("git lists the files of the repository");
        assert!(answer.status.success(), "git ls-files: {}", answer.status);
        let names = String::from_utf8(answer.stdout).expect("file names are text");
        let files = names.split_terminator('\0').filter_map(|name| {
            // Not text, or removed and not yet committed: nothing a rule could read.
            Some((name.to_owned(), std::fs::read_to_string(root.join(name)).ok()?))
        });
        Self(files.collect())
    }

    /// A tree for a test of a rule.
    pub fn made_of(files: &[(&str, &str)]) -> Self {
        let own = |&(path, text): &(&str, &str)| (path.to_owned(), text.to_owned());
        Self(files.iter().map(own).collect())
    }

    /// Path and text of every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Path and text of every Rust file.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
}

/// Numbered lines of a text, from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}
