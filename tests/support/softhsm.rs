//! SoftHSM, which stands for a hardware token: Debian's `softhsm2`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's place of the library.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// PIN of the user of every token.
pub const PIN: &str = "2846-tests";

/// Tokens in a folder of their own.
pub struct SoftHsm {
    folder: PathBuf,
}

impl SoftHsm {
    /// Lays out a place for tokens. SoftHSM missing: skipped with a loud word, a failure in CI.
    pub fn find(folder: &Path) -> Option<Self> {
        let has_tool = Command::new("softhsm2-util").arg("--version").output().is_ok();
        if !has_tool || !Path::new(MODULE).exists() {
            let missing = format!("no `softhsm2-util` and {MODULE} (package softhsm2)");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let hsm = Self::at(folder);
        std::fs::create_dir(hsm.tokens()).expect("the folder is new");
        let tokens = hsm.tokens();
        let settings = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        std::fs::write(hsm.settings(), settings).expect("the folder can be written");
        Some(hsm)
    }

    /// A place that was laid out before.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Value of `SOFTHSM2_CONF` for processes that use these tokens.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// The folder with the tokens.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// Makes a token.
    pub fn make_token(&self, label: &str) {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN])
            .env("SOFTHSM2_CONF", self.settings())
            .output()
            .expect("the tool runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
