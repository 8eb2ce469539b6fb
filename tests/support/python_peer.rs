//! Peers in Python: packages of independent origin, asked by scripts of ours.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A script and the folders of the packages that it imports.
pub struct PythonPeer {
    folders: Vec<PathBuf>,
    script: PathBuf,
}

impl PythonPeer {
    /// Looks for a package under `$STRONGROOM_PEERS`, then `target/peers`. Missing: skipped with
    /// a loud word, a failure in CI. `script` lies in `tests/support`.
    pub fn find(package: &str, script: &str) -> Option<Self> {
        Self::find_in(&[("python", package)], script)
    }

    /// The same for packages in several folders.
    pub fn find_in(packages: &[(&str, &str)], script: &str) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let own = root.join("target/peers");
        let peers = std::env::var_os("STRONGROOM_PEERS").map_or(own, PathBuf::from);
        for (folder, package) in packages {
            let folder = peers.join(folder);
            if !folder.join(package).is_dir() {
                let missing = format!("no Python package `{package}` in {}", folder.display());
                assert!(std::env::var_os("CI").is_none(), "{missing}");
                eprintln!("SKIPPED: {missing}");
                return None;
            }
        }
        let folders = packages.iter().map(|(folder, _)| peers.join(folder)).collect();
        Some(Self { folders, script: root.join("tests/support").join(script) })
    }

    /// Runs the script, which must succeed; each line that it prints.
    pub fn run(&self, arguments: &[&OsStr]) -> Vec<String> {
        let output = Command::new("python3")
            // -B: nothing is written beside the scripts, which import each other.
            .args(["-Wignore", "-B"])
            .arg(&self.script)
            .args(arguments)
            .env("PYTHONPATH", std::env::join_paths(&self.folders).expect("no colon in a path"))
            .output()
            .expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("the peer answers in UTF-8");
        text.lines().map(str::to_owned).collect()
    }
}
