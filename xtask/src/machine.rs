//! What the machine must have, and how it gets there: Debian's and Ubuntu's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::step;

/// Something a chore uses that neither git nor the Rust toolchain brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Certificates,
    CCompiler,
    Make,
    PkgConfig,
    Python,
    Node,
    Voice,
    Ffmpeg,
    Chromium,
    Fonts,
    Postgres,
    SoftHsm,
}

/// What `cargo xtask demo` needs.
pub const DEMO: &[Need] =
    &[Need::Certificates, Need::CCompiler, Need::Python, Need::Node, Need::Voice, Need::Ffmpeg];

/// What `cargo xtask test` needs on top.
pub const TEST: &[Need] =
    &[Need::Make, Need::PkgConfig, Need::Chromium, Need::Fonts, Need::Postgres, Need::SoftHsm];

impl Need {
    /// The need in words, and a way to meet it by hand.
    fn words(self) -> &'static str {
        match self {
            Self::Certificates => "the certificates of public authorities (ca-certificates)",
            Self::CCompiler => "a C compiler (`cc`), for the cryptography and SQLite libraries",
            Self::Make => "make",
            Self::PkgConfig => "pkg-config",
            Self::Python => "Python 3 with pip, which fetches clips and comparison tools",
            Self::Node => {
                "Node.js 18 or newer with npm (an older system: install it from nodejs.org)"
            }
            Self::Voice => "espeak-ng, which speaks the demo's sound tracks",
            Self::Ffmpeg => "ffmpeg",
            Self::Chromium => "Chromium (Ubuntu: `snap install chromium`)",
            Self::Fonts => "fonts for Chromium",
            Self::Postgres => "PostgreSQL 15 or newer, a server",
            Self::SoftHsm => "SoftHSM 2, which stands for a hardware token",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Certificates => &["ca-certificates"],
            Self::CCompiler => &["gcc", "libc6-dev"],
            Self::Make => &["make"],
            Self::PkgConfig => &["pkg-config"],
            Self::Python => &["python3", "python3-pip"],
            Self::Node => &["nodejs", "npm"],
            Self::Voice => &["espeak-ng"],
            Self::Ffmpeg => &["ffmpeg"],
            Self::Chromium => &["chromium"],
            Self::Fonts => &["fonts-dejavu-core"],
            Self::Postgres => &["postgresql"],
            Self::SoftHsm => &["softhsm2"],
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::Certificates => Path::new("/etc/ssl/certs/ca-certificates.crt").exists(),
            Self::CCompiler => step::answers("cc", &["--version"]),
            Self::Make => step::answers("make", &["--version"]),
            Self::PkgConfig => step::answers("pkg-config", &["--version"]),
            Self::Python => step::answers("python3", &["-m", "pip", "--version"]),
            Self::Node => {
                const IS_NEW: &str = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";
                step::answers("node", &["-e", IS_NEW]) && step::answers("npm", &["--version"])
            }
            Self::Voice => step::answers("espeak-ng", &["--version"]),
            Self::Ffmpeg => step::answers("ffmpeg", &["-version"]),
            Self::Chromium => chromium().is_some(),
            Self::Fonts => {
                Path::new("/usr/share/fonts").read_dir().is_ok_and(|mut d| d.next().is_some())
            }
            Self::Postgres => postgres_programs().is_some(),
            Self::SoftHsm => {
                step::answers("softhsm2-util", &["--version"])
                    && Path::new("/usr/lib/softhsm/libsofthsm2.so").exists()
            }
        }
    }
}

/// Installs what is missing of `needs`; does nothing on a machine that has it all.
pub fn bring(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !step::answers("apt-get", &["--version"]) {
        bail!("this machine lacks:\n{}and has no apt-get to install it with", list(&missing));
    }
    if missing.contains(&Need::Postgres) {
        keep_postgres_quiet();
    }
    let packages: Vec<_> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    step::run(
        "read the list of packages",
        as_root("apt-get").args(["-q", "update"]),
        "look at the network and at the files below /etc/apt",
    )?;
    step::run(
        &format!("install {}", packages.join(" ")),
        as_root("env")
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "install", "-y"])
            .arg("--no-install-recommends")
            .args(&packages),
        "run that command by hand, as root, and read what it says",
    )?;
    let missing: Vec<Need> = missing.into_iter().filter(|need| !need.is_met()).collect();
    if !missing.is_empty() {
        bail!("still missing after the installation:\n{}install it and run again", list(&missing));
    }
    Ok(())
}

fn list(needs: &[Need]) -> String {
    needs.iter().map(|need| format!("  - {}\n", need.words())).collect()
}

/// Installing PostgreSQL shall not leave a server running on the person's machine: the tests
/// start their own. Where this fails, Debian's default cluster is started, which harms nothing.
fn keep_postgres_quiet() {
    const RULE: &str = "mkdir -p /etc/postgresql-common/createcluster.d && \
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/strongroom.conf";
    if !as_root("sh").args(["-c", RULE]).status().is_ok_and(|status| status.success()) {
        eprintln!("note: PostgreSQL may start its default cluster when it is installed");
    }
}

/// A command with the rights to change the machine.
fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// Whether this process is root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The browser for the tests of the pages.
pub fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find_map(|name| in_path(name))
        // Ubuntu's `chromium-browser` package is a script that only names the snap.
        .filter(|path| step::answers(&path.to_string_lossy(), &["--version"]))
}

/// The folder of `initdb` and `postgres`: Debian keeps them out of the search path.
pub fn postgres_programs() -> Option<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir().ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .max()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_met_need_installs_nothing() {
        bring(&[]).unwrap();
    }

    #[test]
    fn finds_programs_by_the_search_path() {
        assert!(in_path("sh").is_some());
        assert!(in_path("strongroom-no-such-program").is_none());
    }
}
