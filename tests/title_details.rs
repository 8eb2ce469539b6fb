//! An operator says what a title is and gives it pictures; what is no description and no picture is
//! refused, and changes nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/binary.rs"]
mod binary;

use binary::{done, said, strongroom};
use serde_json::{Value, json};
use std::path::Path;

fn shown(data: &Path) -> Value {
    let said = done(strongroom(data).args(["--json", "title", "describe", "film"]));
    serde_json::from_str(&said).unwrap()
}

fn refused(data: &Path, arguments: &[&str], why: &str) {
    let output = strongroom(data).arg("title").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
}

#[test]
fn a_title_is_described_by_a_file_and_by_flags() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    refused(&data, &["describe", "film", "--year", "1927"], "title add film");
    done(strongroom(&data).args(["title", "add", "film"]));
    assert_eq!(shown(&data), json!({"synopsis": "", "cast": []}));
    let file = folder.path().join("film.json");
    std::fs::write(&file, r#"{"synopsis":"A ship.","cast":["A. B."],"year":1927}"#).unwrap();
    let path = file.to_str().unwrap();
    done(strongroom(&data).args(["title", "describe", "film", "--file", path]));
    let flags = ["title", "describe", "film", "--cast", "C. D.", "--cast", "E. F."];
    done(strongroom(&data).args(flags).args(["--duration-seconds", "61"]));
    let whole = json!({
        "synopsis": "A ship.", "cast": ["C. D.", "E. F."], "year": 1927, "duration_s": 61,
    });
    assert_eq!(shown(&data), whole);
    refused(&data, &["describe", "film", "--year", "1492"], "1870");
    refused(&data, &["describe", "film", "--synopsis", &"x".repeat(4001)], "4000");
    for (text, why) in [("{", "not a description"), (r#"{"plot":"x"}"#, "plot")] {
        std::fs::write(&file, text).unwrap();
        refused(&data, &["describe", "film", "--file", path], why);
    }
    std::fs::write(&file, vec![b' '; (128 << 10) + 1]).unwrap();
    refused(&data, &["describe", "film", "--file", path], "longer than");
    assert_eq!(shown(&data), whole, "what is refused changes nothing");
}

#[test]
fn a_picture_is_kept_until_another_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for title in ["film", "other"] {
        done(strongroom(&data).args(["title", "add", title]));
    }
    let picture = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (first, second) =
        (picture("a", b"\xff\xd8\xff first"), picture("b", b"\x89PNG\r\n\x1a\n second"));
    let give = |title: &str, file: &str| -> Value {
        let said = done(strongroom(&data).args(["--json", "title", "art", title, file]));
        serde_json::from_str(&said).unwrap()
    };
    let kept = || -> Vec<String> {
        let folder = std::fs::read_dir(data.join("media").join(".art")).unwrap();
        folder.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect()
    };
    let told = give("film", &first);
    let path = told["path"].as_str().unwrap();
    assert_eq!((&told["kind"], kept().len()), (&json!("poster"), 1));
    assert!(path.ends_with(".jpg") && path == format!("/art/{}", kept()[0]), "{told}");
    give("other", &first);
    give("film", &second);
    assert_eq!(kept().len(), 2, "the other title has the first one still");
    give("other", &second);
    assert_eq!(kept().len(), 1);
    let svg = picture("c", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    refused(&data, &["art", "film", &svg], "neither JPEG nor PNG nor WebP");
    let huge = picture("d", &[&b"\xff\xd8\xff"[..], &vec![0; 8 << 20]].concat());
    refused(&data, &["art", "film", &huge], "longer than");
    refused(&data, &["art", "nothing", &first], "title add nothing");
    assert_eq!(kept().len(), 1);
}
