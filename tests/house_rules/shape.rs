//! Rules about files: how long, how they begin, what they are called, which must be there.

use crate::tree::{Finding, Tree};

/// Lines of a source file, its tests included.
const LONGEST: usize = 600;

const SOURCE: &[&str] = &["rs", "ts", "mjs", "js", "css", "html", "sql", "sh"];

/// Names of things that nobody has understood yet.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "manager", "service_impl"];

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

fn is_generated(path: &str) -> bool {
    path.split('/').any(|part| part == "generated")
}

/// A file that grows hides a noun.
pub fn files_are_short(tree: &Tree) -> Vec<Finding> {
    let is_source =
        |path: &str| path.rsplit_once('.').is_some_and(|(_, kind)| SOURCE.contains(&kind));
    tree.files()
        .filter(|(path, _)| is_source(path) && !is_generated(path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, count)| *count > LONGEST)
        .map(|(path, count)| Finding::new(path, 0, format!("{count} lines, more than {LONGEST}")))
        .collect()
}

/// A module begins with what it is.
pub fn modules_say_what_they_are(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(path, text)| !is_generated(path) && !text.starts_with("//! "))
        .map(|(path, _)| Finding::new(path, 1, "does not begin with `//!` and what it is"))
        .collect()
}

/// A file or folder is named after what it holds.
pub fn names_mean_something(tree: &Tree) -> Vec<Finding> {
    let is_empty = |part: &str| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part));
    tree.files()
        .filter(|(path, _)| path.split('/').any(is_empty))
        .map(|(path, _)| Finding::new(path, 0, "a name that says nothing"))
        .collect()
}

/// The documents that a newcomer looks for are there and not empty.
pub fn documents_exist(tree: &Tree) -> Vec<Finding> {
    let is_there =
        |name: &str| tree.files().any(|(path, text)| path == name && !text.trim().is_empty());
    DOCUMENTS
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| Finding::new(name, 0, "is missing or empty"))
        .collect()
}
