//! Servers that stand for a KMS in tests, run as processes of their own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How often a server is looked for until it listens, and how long it is waited between.
const LOOKS: u32 = 1200;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A process that ends with the value.
pub(in crate::kms) struct Peer {
    child: Child,
    /// Host and port.
    pub(in crate::kms) address: String,
}

impl Peer {
    /// Starts the server that `command` makes for a free address, and waits until it listens.
    ///
    /// A port that was free a moment ago may be taken by then, but not at a host of one's own.
    pub(in crate::kms) fn start(command: impl FnOnce(SocketAddr) -> Command) -> Self {
        static HOSTS: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let host = HOSTS.fetch_add(1, Ordering::Relaxed);
        Self::start_at(Ipv4Addr::new(127, high.max(1), low, host), command)
    }

    /// The same at a host that others have too, for a server whose certificate names it.
    pub(in crate::kms) fn start_at(
        host: Ipv4Addr,
        command: impl FnOnce(SocketAddr) -> Command,
    ) -> Self {
        let free = TcpListener::bind((host, 0)).unwrap().local_addr().unwrap();
        let address = free.to_string();
        let child = command(free).stdin(Stdio::null()).spawn().unwrap();
        let peer = Self { child, address };
        let listens = (0..LOOKS).any(|_| {
            let is_there = std::net::TcpStream::connect(&peer.address).is_ok();
            if !is_there {
                std::thread::sleep(LOOK_EVERY);
            }
            is_there
        });
        assert!(listens, "no server at {}", peer.address);
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A tool under `$STRONGROOM_PEERS`, then `target/peers`. Missing: skipped with a loud word, a
/// failure in CI.
pub(in crate::kms) fn find(name: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    let tool = std::env::var_os("STRONGROOM_PEERS").map_or(own, PathBuf::from).join(name);
    if tool.exists() {
        return Some(tool);
    }
    let missing = format!("no {}", tool.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}
