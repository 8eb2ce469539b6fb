//! Every vector of `vectors/clearkey` has the outcome that its head states, and no input of
//! the fuzz corpus panics.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "a broken vector fails its test")]

use dialect::clearkey::{Challenge, ChallengeError, Offline, read_license};
use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// One vector: head lines `name: value`, an empty line, then the message byte for byte.
struct Vector {
    reads: String,
    outcome: String,
    kids: Vec<String>,
    message: Vec<u8>,
}

impl Vector {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        Self {
            reads: value("reads"),
            outcome: value("outcome"),
            kids: value("kids").split_whitespace().map(str::to_owned).collect(),
            message: bytes[end + 2..].to_vec(),
        }
    }

    fn check(&self) {
        let (outcome, kids): (&str, Vec<String>) = match self.reads.as_str() {
            "challenge" => match Challenge::parse(&self.message, Offline::Refused) {
                Ok(challenge) => ("ok", challenge.kids().iter().map(ToString::to_string).collect()),
                Err(ChallengeError::Malformed) => ("malformed", vec![]),
                Err(ChallengeError::TooLarge) => ("too-large", vec![]),
                Err(ChallengeError::SessionType) => ("session-type", vec![]),
                Err(ChallengeError::OfflineNotAllowed) => ("offline-not-allowed", vec![]),
            },
            "license" => match read_license(&self.message) {
                Ok(keys) => ("ok", keys.iter().map(|(kid, _)| kid.to_string()).collect()),
                Err(_) => ("malformed", vec![]),
            },
            other => panic!("reads: {other:?}"),
        };
        assert_eq!((outcome, kids), (self.outcome.as_str(), self.kids.clone()));
    }
}

#[test]
fn every_vector_has_its_stated_outcome() {
    let vectors = files("vectors/clearkey");
    let vectors = vectors.iter().filter(|path| path.extension().is_some_and(|end| end == "vector"));
    let mut count = 0;
    for path in vectors {
        println!("{}", path.display());
        Vector::parse(&fs::read(path).unwrap()).check();
        count += 1;
    }
    assert!(count >= 20, "{count} vectors");
}

#[test]
fn the_fuzz_corpus_never_panics() {
    let corpus = files("fuzz/corpus/clearkey");
    assert!(!corpus.is_empty());
    for path in corpus {
        let bytes = fs::read(&path).unwrap();
        let _ = Challenge::parse(&bytes, Offline::Refused);
        let _ = Challenge::parse(&bytes, Offline::Allowed);
        let _ = read_license(&bytes);
    }
}
