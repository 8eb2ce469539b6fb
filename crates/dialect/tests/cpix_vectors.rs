//! Every vector of `vectors/cpix` has the outcome that its head states.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "a broken vector fails its test")]

use dialect::cpix::{Document, SignatureError};
use std::fs;
use std::path::{Path, PathBuf};

fn vectors() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/cpix");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "vector")).collect();
    paths.sort();
    paths
}

/// The head's `outcome` and `counts`, and the document.
fn read(path: &Path) -> (String, String, Vec<u8>) {
    let bytes = fs::read(path).expect("a vector");
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("a head");
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
    let value = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    (value("outcome"), value("counts"), bytes[end + 2..].to_vec())
}

#[test]
fn every_vector_has_its_stated_outcome() {
    let vectors = vectors();
    assert!(vectors.len() >= 70, "{} vectors", vectors.len());
    for path in vectors {
        let name = path.display();
        let (outcome, counts, document) = read(&path);
        match Document::parse(&document) {
            Ok(document) => {
                let parts = document.parts();
                let found = [&parts.keys.len(), &parts.systems.len(), &parts.periods.len()]
                    .map(ToString::to_string);
                let found = format!("{} {}", found.join(" "), parts.rules.len());
                assert_eq!(("ok", found), (outcome.as_str(), counts), "{name}");
                let written = document.write();
                let again = Document::parse(written.as_bytes()).expect("what was written");
                let again = again.write();
                assert_eq!(again.as_bytes(), written.as_bytes(), "{name}");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!outcome.is_empty() && error.starts_with(&outcome), "{name}: {error}");
            }
        }
    }
}

#[test]
fn no_refusal_quotes_a_document() {
    let secret = "c2VjcmV0LXNlY3JldA==";
    for path in vectors() {
        let (_, _, document) = read(&path);
        let text = String::from_utf8(document).expect("text");
        // The same refusals, with something in every value that must not be told.
        let marked = text.replace("AAAA", secret).replace("AAEC", secret).replace("film", secret);
        if let Err(error) = Document::parse(marked.as_bytes()) {
            assert!(!format!("{error} {error:?}").contains(secret), "{}: {error}", path.display());
        }
    }
}

#[test]
fn no_document_is_signed_for_nobody() {
    for path in vectors() {
        let document = read(&path).2;
        if Document::parse(&document).is_err() {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy();
        let expected = match &*name {
            "signature" => SignatureError::Form,
            name if name.starts_with("signed") => SignatureError::Signer,
            _ => SignatureError::Absent,
        };
        assert_eq!(Document::parse_signed(&document, &[]).unwrap_err(), expected);
    }
}
