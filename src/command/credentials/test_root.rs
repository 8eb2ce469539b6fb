//! `credentials make-test-root`: a root, a service and devices of one's own, as files.

use super::Failure;
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use clap::Args;
use dialect::widevine::test_root::TestRoot;
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

Every *.pem is a private key: readable by its owner only, and better made anew than copied.
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
    let widevine = make.folder.join("widevine");
    let said = serde_json::json!({ "widevine": widevine, "provider": provider });
    answer.print(&said, |_| {
        format!(
            "test credentials are in {0}; next:\n\
             strongroom credentials import widevine {0}\n\
             strongroom serve",
            widevine.display()
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
    let root = TestRoot::make(provider, &mut SystemEntropy);
    let widevine = folder.join("widevine");
    make_folder(&widevine).with_context(about)?;
    for (name, bytes) in root.files() {
        put(&widevine.join(name), bytes)?;
    }
    put(&widevine.join("root_private.pem"), root.private_pem.as_bytes())?;
    for level in [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3] {
        let device = root.model(level).make_device(&mut SystemEntropy);
        let own = widevine.join("devices").join(level.to_string());
        make_folder(&own).with_context(about)?;
        put(&own.join("certificate.bin"), &device.certificate)?;
        put(&own.join("private.pem"), device.private_pem.as_bytes())?;
    }
    put(&folder.join("README.txt"), README.as_bytes())
}

/// Open to its owner only.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A new file; a private key is readable by its owner only.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let is_private = path.extension().is_some_and(|extension| extension == "pem");
    let mode = if is_private { 0o600 } else { 0o644 };
    let about = || path.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(about)?;
    file.write_all(bytes).with_context(about)?;
    file.sync_all().with_context(about)
}
