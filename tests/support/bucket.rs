//! A real S3 server on loopback, which checks signatures, with one bucket in a folder.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Any text: the server is started with it.
const ACCESS: &str = "AKIATESTTESTTESTTEST";
const SECRET: &str = "a secret of the tests, and no other";
/// Attempts to connect, which are refused at once until it listens.
const OPENS_WITHIN: u32 = 2_000_000;

/// A running server; ends with the value.
pub struct Bucket {
    server: Child,
    port: u16,
    folder: PathBuf,
}

impl Bucket {
    /// Starts the server that `cargo xtask test` builds. Missing: skipped with a loud word, a
    /// failure in CI.
    pub fn start(folder: &Path) -> Option<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/s3s-fs");
        let program = std::env::var_os("STRONGROOM_TEST_S3").map_or(own, PathBuf::from);
        if !program.is_file() {
            let missing = format!("no S3 server at {}", program.display());
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let root = folder.join("s3");
        std::fs::create_dir_all(root.join("films")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--access-key", ACCESS, "--secret-key", SECRET])
            .arg(&root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the S3 server runs");
        let mut tries = 0..OPENS_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            tries.next().expect("the S3 server listens");
            std::thread::yield_now();
        }
        Some(Self { server, port, folder: root.join("films") })
    }

    /// The folder of the bucket `films`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells a command where the server is, and who asks.
    pub fn furnish<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("STRONGROOM_S3_ENDPOINT", format!("http://127.0.0.1:{}", self.port))
            .env("STRONGROOM_S3_REGION", "eu-north-1")
            .env("STRONGROOM_S3_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", ACCESS)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _already_gone = self.server.kill();
        let _reaped = self.server.wait();
    }
}
