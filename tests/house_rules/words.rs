//! Rules about what committed text does not say.
//!
//! The banned words are written in two halves, so that this file can be checked too.

use crate::tree::{Finding, Tree, lines};

/// Marks of work left undone; lawful on a line that names its issue as `#12`.
const UNDONE_WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const UNDONE_RUST: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("#[al", "low("),
    concat!("#![al", "low("),
];

/// Places on one person's machine.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Use", "rs/")];

/// Hosts of package registries: which one a machine asks is its own business.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("registry.", "npmjs"),
    concat!("npmjs", ".com"),
    concat!("static.", "crates"),
    concat!("index.", "crates"),
    concat!("crates", ".io/"),
    concat!("pypi", ".org"),
    concat!("python", "hosted"),
    concat!("deb.", "debian"),
    concat!("security.", "debian"),
    concat!("archive.", "ubuntu"),
];

/// What is left undone names its issue; lints are expected with a reason, not switched off.
pub fn nothing_is_left_undone(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !is_lock(path)) {
        for (number, line) in lines(text) {
            let word = UNDONE_WORDS.iter().find(|word| has_word(line, word));
            let code =
                UNDONE_RUST.iter().find(|code| path.ends_with(".rs") && line.contains(*code));
            if let Some(found) = word.or(code).filter(|_| !names_issue(line)) {
                findings.push(Finding::new(path, number, format!("{found} without an issue")));
            }
        }
    }
    findings
}

/// Text holds on any machine.
pub fn text_names_no_machine(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for (number, line) in lines(text) {
            let place = MACHINE_PATHS.iter().find(|place| starts_path(line, place));
            let host = REGISTRY_HOSTS.iter().find(|host| line.contains(*host));
            if let Some(found) = place.or(host) {
                findings.push(Finding::new(path, number, format!("names {found}")));
            }
        }
    }
    findings
}

fn is_lock(path: &str) -> bool {
    path.ends_with("Cargo.lock") || path.ends_with("package-lock.json")
}

/// `word` stands alone, not inside a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// `place` begins a path here, so that `media/work/x` is none of it.
fn starts_path(line: &str, place: &str) -> bool {
    line.match_indices(place)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.})/".contains(c)))
}

/// `#12` somewhere in the line.
fn names_issue(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| line[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
}
