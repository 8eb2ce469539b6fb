//! Python packages that tests compare with (pycpix, signxml, protobuf, PyJWT, joserfc,
//! python-cwt) or ask (moto), and what they need.
//!
//! Each set lies in a folder of its own beside the other peers, where few tests look. Unlike
//! the wheels of `wheel.rs` they are pinned by version and not by content: several have one
//! wheel for each processor and Python.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{place, step};

/// For CPIX, dependencies included. pycpix needs `pkg_resources`, which setuptools dropped
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

/// moto, which stands for AWS KMS, as a server: what that service needs of it, and no more.
const MOTO: &[&str] = &[
    "Flask==3.1.3",
    "Jinja2==3.1.6",
    "MarkupSafe==3.0.4",
    "PyYAML==6.0.4",
    "Werkzeug==3.1.9",
    "blinker==1.9.0",
    "boto3==1.44.8",
    "botocore==1.44.8",
    "certifi==2026.10.19.post1",
    "cffi==2.1.1",
    "charset-normalizer==3.5.3",
    "click==8.5.1",
    "cryptography==50.0.2",
    "flask-cors==6.0.5",
    "idna==3.20",
    "itsdangerous==2.2.0",
    "jmespath==1.1.0",
    "moto==5.2.5",
    "pycparser==3.12",
    "python-dateutil==2.9.0.post0",
    "requests==2.34.2",
    "responses==0.26.3",
    "s3transfer==0.19.3",
    "six==1.17.0",
    "urllib3==2.8.0",
    "xmltodict==1.0.4",
];

/// Makers of an identity provider's tokens.
const TOKENS: &[&str] =
    &["PyJWT==2.15.1", "cffi==2.1.1", "cryptography==50.0.2", "joserfc==1.8.0", "pycparser==3.12"];

/// For signed URLs, beside what moto has: Akamai's own package, which has no wheel, and python-cwt.
const CDN: &[&str] = &[
    "akamai-edgeauth==0.3.2",
    "cbor2==5.9.0",
    "cffi==2.1.1",
    "cryptography==50.0.2",
    "cwt==3.3.0",
    "pycparser==3.12",
    "pyhpke==0.6.5",
];

/// Brings the packages into `python`, `jwt`, `moto` and `cdn` of `target/peers`.
pub fn bring() -> Result<()> {
    bring_into("python", PACKAGES, "that CPIX and Widevine messages are compared with")?;
    bring_into("jwt", TOKENS, "that make the tokens of identity providers")?;
    bring_into("moto", MOTO, "of the server that stands for AWS KMS")?;
    bring_into("cdn", CDN, "that signed URLs are compared with")
}

fn bring_into(name: &str, packages: &[&str], purpose: &str) -> Result<()> {
    let folder = place::peers().join(name);
    if folder.exists() {
        return Ok(());
    }
    // Installed aside: the folder's presence says that all of them are there.
    let aside = place::peers().join(format!("{name}.new"));
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    step::run(
        &format!("fetch the Python packages {purpose}"),
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--no-binary=akamai-edgeauth", "--target"])
            .arg(&aside)
            .args(packages),
        "look at the network and at pip's settings (`python3 -m pip config list`)",
    )?;
    fs::rename(&aside, &folder).context("keep the Python packages")
}
