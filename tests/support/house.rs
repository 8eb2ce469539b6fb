//! The running service with a root of one's own for each DRM system, and its viewers, who play with
//! the reference player.

use crate::binary::{done, said, strongroom};
use crate::service::Service;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use tempfile::TempDir;

/// The service, and who signs in at it.
pub struct House {
    /// What is kept in it ends with it.
    pub folder: TempDir,
    /// The service.
    pub service: Service,
    passwords: BTreeMap<&'static str, String>,
}

impl House {
    /// Starts the service, with an account for each viewer.
    pub fn open(viewers: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let lab = folder.path().join("lab");
        let run = |arguments: &[&str]| done(strongroom(&data).args(arguments));
        run(&["credentials", "make-test-root", lab.to_str().unwrap()]);
        for system in ["widevine", "playready", "fairplay"] {
            run(&["credentials", "import", system, lab.join(system).to_str().unwrap()]);
        }
        let password = |name: &&'static str| {
            let account: Value =
                serde_json::from_str(&run(&["--json", "account", "add", name])).unwrap();
            (*name, account["password"].as_str().unwrap().to_owned())
        };
        let passwords = viewers.iter().map(password).collect();
        let service = Service::start(&mut strongroom(&data), &folder.path().join("log"));
        Self { folder, service, passwords }
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a command of its operator, that must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        done(strongroom(&self.data()).args(arguments))
    }

    /// The devices of a DRM system.
    pub fn devices_of(&self, system: &str) -> PathBuf {
        self.folder.path().join("lab").join(system)
    }

    /// A viewer begins to play a title.
    pub fn start(&self, viewer: &str, content: &str, options: &[&str]) -> Child {
        self.start_with(&self.passwords[viewer], viewer, content, options)
    }

    /// The same, with a password that need not be right.
    pub fn start_with(
        &self,
        password: &str,
        viewer: &str,
        content: &str,
        options: &[&str],
    ) -> Child {
        let mut command = strongroom(self.folder.path());
        command.env("STRONGROOM_LOG", "strongroom=debug");
        command.args(["--json", "play", "--server", &self.service.url]);
        command.args(["--account", viewer, "--password-stdin", "--content", content]);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that is used wrongly ends before it reads.
        let _unread = child.stdin.take().unwrap().write_all(password.as_bytes());
        child
    }

    /// A viewer plays a title to its end; what was said of it, and its frames.
    pub fn played(&self, viewer: &str, content: &str, options: &[&str]) -> (Value, String) {
        let frames = self.folder.path().join("frames");
        let options = [options, &["--frames", frames.to_str().unwrap()]].concat();
        let output = self.start(viewer, content, &options).wait_with_output().unwrap();
        assert!(output.status.success(), "{options:?}: {}", said(&output));
        (summary(&output), std::fs::read_to_string(frames).unwrap())
    }
}

/// What `play` said of a playback.
pub fn summary(output: &Output) -> Value {
    let played = serde_json::from_slice(&output.stdout);
    played.unwrap_or_else(|_| panic!("{}", said(output)))
}
