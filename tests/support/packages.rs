//! Packages that can be compared: made under keys and IVs that do not change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::strongroom;

/// The key of every track, in hex; of these tests only.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f";
/// Its id.
pub const KID: &str = "6b1d4f2c8e0a4d3f9b7c5a1e2d3c4b5a";

/// `package` of the title `film` under the fixed key, with no place and no input yet. The IV
/// is fixed as well, so that two packages of the same media are the same.
pub fn package(folder: &Path) -> Command {
    let keys = folder.join("keys.json");
    let iv = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    let key = serde_json::json!([{"content_id": "film", "kid": KID, "key": KEY, "iv": iv}]);
    std::fs::write(&keys, key.to_string()).unwrap();
    let mut command = strongroom(&folder.join("data"));
    command.args(["package", "--content", "film", "--segment-seconds", "2", "--keys"]).arg(keys);
    command
}

/// Every file below a folder by its relative path; the document without its id and time.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, PathBuf::new(), &mut found);
    if let Some(document) = found.get_mut("package.json") {
        let mut json: serde_json::Value = serde_json::from_slice(document).unwrap();
        for changing in ["package_id", "packaged_at"] {
            assert!(json.as_object_mut().unwrap().remove(changing).is_some());
        }
        *document = json.to_string().into_bytes();
    }
    found
}

fn collect(folder: &Path, below: PathBuf, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(folder.join(&below)) else { return };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            collect(folder, path, found);
        } else {
            found.insert(path.display().to_string(), std::fs::read(entry.path()).unwrap());
        }
    }
}
