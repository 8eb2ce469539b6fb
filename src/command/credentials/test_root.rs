//! `credentials make-test-root`: a root, a service and devices of one's own, as files.

use super::Failure;
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use clap::Args;
use dialect::{fairplay, playready, widevine};
use keys::SystemEntropy;
use model::SecurityLevel;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Arguments of `credentials make-test-root`.
#[derive(Args)]
pub struct MakeTestRoot {
    /// Where the files go: a folder that is empty, or not there yet.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Whose service it is, as its certificate says.
    #[arg(long, value_name = "ID", default_value = "strongroom.test")]
    provider: String,
}

/// Longest name of a provider.
const MAX_PROVIDER: usize = 64;

const README: &str = "\
TEST CREDENTIALS, made by `strongroom credentials make-test-root`.

They are of your own making: no vendor's device trusts this root, and this root trusts no
vendor's device. They prove the protocol with Strongroom's own player, and nothing else.

widevine/             what `strongroom credentials import widevine` reads:
  root_public.der     the root's public key; root_cert.bin: the same as a certificate
  service_cert.bin    the license service's certificate; service_private.pem: its private key
  device_list.json    which device model has which level
  provisioning_*      a device model (L3) under which software gets its certificate
  root_private.pem    the root's private key: whoever has it makes devices of any level
  devices/L1, L2, L3  a device of each level, for `strongroom play`: certificate.bin with its
                      chain, and private.pem

playready/            what `strongroom credentials import playready` reads:
  root_public.bin     the root's public key, X and Y
  wmrm_private.pem    the private key of the service; wmrm_public.bin, X and Y: for it clients
                      encrypt who they are
  signing_chain.bin   the certificates of the key that signs answers; signing_private.pem: it
  revocation.json     whose certificates are believed no longer
  root_private.pem    the root's private key: whoever has it makes devices of any level
  devices/L1, L2, L3  a device of SL3000, SL2000 and SL150: chain.bin, signing_private.pem,
                      encryption_private.pem. Production refuses SL150.

fairplay/             what `strongroom credentials import fairplay` reads:
  app_cert.der        the application's certificate; app_private.pem: its private key
  ask.hex             the application's secret, from which its devices' secrets are derived
  d_function          by which function: a stand-in, which production refuses
  devices/L2          a device of the application: device.hex, ask.hex. The protocol proves no
                      level; what it proves counts as L2.

Every *.pem and *.hex is secret: readable by its owner only, and better made anew than copied.
";

/// Makes the files. Nothing of the service is opened.
pub fn run(make: &MakeTestRoot, answer: Answer) -> Result<(), Failure> {
    let provider = &make.provider;
    let is_name = (1..=MAX_PROVIDER).contains(&provider.len())
        && provider.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name {
        let error = anyhow!("--provider has 1 to {MAX_PROVIDER} printable ASCII characters");
        return Err(Failure::Environment(error));
    }
    write(&make.folder, provider).map_err(Failure::Environment)?;
    let [widevine, playready, fairplay] =
        ["widevine", "playready", "fairplay"].map(|system| make.folder.join(system));
    let said = serde_json::json!({
        "widevine": widevine, "playready": playready, "fairplay": fairplay, "provider": provider,
    });
    answer.print(&said, |_| {
        format!(
            "test credentials are in {0}; next, of these what you want to try:\n\
             strongroom credentials import widevine {1}\n\
             strongroom credentials import playready {2}\n\
             strongroom credentials import fairplay {3}\n\
             strongroom serve",
            make.folder.display(),
            widevine.display(),
            playready.display(),
            fairplay.display()
        )
    });
    Ok(())
}

/// Writes the files into a folder that is empty, or not there yet.
pub fn write(folder: &Path, provider: &str) -> anyhow::Result<()> {
    let about = || folder.display().to_string();
    make_folder(folder).with_context(about)?;
    if fs::read_dir(folder).with_context(about)?.next().is_some() {
        anyhow::bail!("{}: the folder is not empty", folder.display());
    }
    write_widevine(&folder.join("widevine"), provider)?;
    write_playready(&folder.join("playready"))?;
    write_fairplay(&folder.join("fairplay"))?;
    put(&folder.join("README.txt"), README.as_bytes())
}

fn write_widevine(folder: &Path, provider: &str) -> anyhow::Result<()> {
    let root = widevine::test_root::TestRoot::make(provider, &mut SystemEntropy);
    put_all(folder, &root.files())?;
    put(&folder.join("root_private.pem"), root.private_pem.as_bytes())?;
    for level in SecurityLevel::ALL {
        let device = root.model(level).make_device(&mut SystemEntropy);
        let own = folder.join("devices").join(level.to_string());
        let private = device.private_pem.as_bytes();
        put_all(&own, &[("certificate.bin", &device.certificate), ("private.pem", private)])?;
    }
    Ok(())
}

fn write_playready(folder: &Path) -> anyhow::Result<()> {
    let root = playready::test_root::TestRoot::make(&mut SystemEntropy);
    put_all(folder, &root.files())?;
    put(&folder.join("wmrm_public.bin"), &root.wmrm_public)?;
    put(&folder.join("root_private.pem"), root.private_pem.as_bytes())?;
    for level in SecurityLevel::ALL {
        let device = root.device(level, &mut SystemEntropy);
        put_all(&folder.join("devices").join(level.to_string()), &device.files())?;
    }
    Ok(())
}

fn write_fairplay(folder: &Path) -> anyhow::Result<()> {
    let root = fairplay::test_root::TestRoot::make(&mut SystemEntropy);
    put_all(folder, &root.files())?;
    let device = root.make_device(&mut SystemEntropy);
    put_all(&folder.join("devices").join(SecurityLevel::L2.to_string()), &device.files())
}

/// A folder of new files.
fn put_all(folder: &Path, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
    make_folder(folder).with_context(|| folder.display().to_string())?;
    files.iter().try_for_each(|(name, bytes)| put(&folder.join(name), bytes))
}

/// Open to its owner only.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A new file; what is secret is readable by its owner only.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let is_private =
        path.extension().is_some_and(|extension| extension == "pem" || extension == "hex");
    let mode = if is_private { 0o600 } else { 0o644 };
    let about = || path.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(about)?;
    file.write_all(bytes).with_context(about)?;
    file.sync_all().with_context(about)
}
