//! The folders of devices that come with all that they need: PlayReady's and FairPlay's. Widevine's
//! may have to ask for a certificate first ([`super::registration`]).

use anyhow::Context as _;
use cdm::{fairplay, playready};
use model::SecurityLevel;
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

/// Longest file of a profile, bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// For whom PlayReady's requests are encrypted; it lies beside the root.
const WMRM: &str = "wmrm_public.bin";

/// A PlayReady device: its chain and keys, the root and what lies beside it.
pub fn playready(
    folder: &Path,
    root: &Path,
    level: SecurityLevel,
) -> anyhow::Result<playready::Device> {
    let device = playready::Device::parse(&playready::Profile {
        chain: &read(&folder.join("chain.bin"))?,
        signing_private_pem: &text(&folder.join("signing_private.pem"))?,
        encryption_private_pem: &text(&folder.join("encryption_private.pem"))?,
        root: &read(root)?,
        wmrm: &read(&root.with_file_name(WMRM))?,
        level,
    });
    device.with_context(|| folder.display().to_string())
}

/// A FairPlay device: its hash, and the secret of its application.
pub fn fairplay(folder: &Path) -> anyhow::Result<fairplay::Device> {
    let device = fairplay::Device::parse(&fairplay::Profile {
        hardware_hex: &text(&folder.join("device.hex"))?,
        secret_hex: &text(&folder.join("ask.hex"))?,
    });
    device.with_context(|| folder.display().to_string())
}

/// A file of a profile, wiped on drop.
pub fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let about = || path.display().to_string();
    let size = fs::metadata(path).with_context(about)?.len();
    anyhow::ensure!(size <= MAX_FILE_BYTES, "{}: too large", path.display());
    Ok(Zeroizing::new(fs::read(path).with_context(about)?))
}

fn text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).with_context(|| path.display().to_string())?;
    Ok(Zeroizing::new(text.to_owned()))
}
