//! Python packages that tests compare with: pycpix, signxml, and what they need.
//!
//! They lie in their own folder beside the other peers, and only one test looks there. Unlike
//! the wheels of `wheel.rs` they are pinned by version and not by content: several have one
//! wheel for each processor and Python.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{place, step};

/// Everything, dependencies included. pycpix needs `pkg_resources`, which setuptools dropped
/// in version 81.
const PACKAGES: &[&str] = &[
    "certifi==2026.10.19.post1",
    "cffi==2.1.1",
    "charset-normalizer==3.5.3",
    "construct==2.10.70",
    "cpix==1.4.1",
    "cryptography==50.0.2",
    "idna==3.20",
    "isodate==0.7.2",
    "lxml==6.1.3",
    "protobuf==7.36.2",
    "pycparser==3.12",
    "pycryptodome==4.4.0",
    "requests==2.34.2",
    "setuptools==70.3.0",
    "signxml==5.2.0",
    "urllib3==2.8.0",
];

/// Brings the packages into `target/peers/python`.
pub fn bring() -> Result<()> {
    let folder = place::peers().join("python");
    if folder.exists() {
        return Ok(());
    }
    // Installed aside: the folder's presence says that all of them are there.
    let aside = place::peers().join("python.new");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    step::run(
        "fetch the Python packages that CPIX documents are compared with",
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--target"])
            .arg(&aside)
            .args(PACKAGES),
        "look at the network and at pip's settings (`python3 -m pip config list`)",
    )?;
    fs::rename(&aside, &folder).context("keep the Python packages")
}
