//! Servers that hold a root key: OpenBao, and moto, which stands for AWS KMS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// The token of OpenBao's root.
pub const TOKEN: &str = "root-of-tests";
/// How often a server is looked for until it listens, and how long it is waited between.
const LOOKS: u32 = 1200;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A process that listens, and ends with the value.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(command: impl FnOnce(SocketAddr) -> Command) -> Self {
        let address = free_address();
        let child = command(address).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self { child: child.expect("the server runs"), address };
        let listens = (0..LOOKS).any(|_| {
            let is_there = std::net::TcpStream::connect(address).is_ok();
            if !is_there {
                std::thread::sleep(LOOK_EVERY);
            }
            is_there
        });
        assert!(listens, "no server at {address}");
        server
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A loopback address that nobody else has: a port that was free a moment ago may be taken by
/// then, but not at a host of one's own.
fn free_address() -> SocketAddr {
    static HOSTS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, high.max(1), low, HOSTS.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((IpAddr::V4(host), 0)).expect("a free port");
    listener.local_addr().expect("bound")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A tool under `$STRONGROOM_PEERS`, then `target/peers`. Missing: skipped with a loud word, a
/// failure in CI.
fn find(name: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    let tool = std::env::var_os("STRONGROOM_PEERS").map_or(own, PathBuf::from).join(name);
    if tool.exists() {
        return Some(tool);
    }
    let missing = format!("no {}", tool.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

/// OpenBao in its development mode, unsealed.
pub struct OpenBao {
    server: Server,
    tool: PathBuf,
    folder: PathBuf,
}

impl OpenBao {
    /// Starts the server, whose files are in `folder`.
    pub fn start(folder: &Path) -> Option<Self> {
        let tool = find("bao")?;
        let said = std::fs::File::create(folder.join("bao.said")).expect("a folder of the test");
        let server = Server::start(|address| {
            let mut command = Command::new(&tool);
            command
                .args(["server", "-dev", "-dev-no-store-token"])
                .arg(format!("-dev-root-token-id={TOKEN}"))
                .arg(format!("-dev-listen-address={address}"))
                .env("HOME", folder)
                .stdout(said);
            command
        });
        let bao = Self { server, tool, folder: folder.to_owned() };
        let is_open = || bao.client(&["status"]).status().expect("the client runs").success();
        assert!((0..LOOKS).any(|_| is_open()), "OpenBao stays sealed");
        Some(bao)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Has its own client tell it something, which must succeed.
    pub fn tell(&self, arguments: &[&str]) {
        let output = self.client(arguments).stderr(Stdio::piped()).output();
        let output = output.expect("the client runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }

    /// The key that unseals it, which it prints some time after it answers.
    pub fn unseal_key(&self) -> String {
        let printed = || {
            std::thread::sleep(LOOK_EVERY);
            let said = std::fs::read_to_string(self.folder.join("bao.said")).unwrap_or_default();
            let (whole, _) = said.rsplit_once('\n')?;
            let key = whole.lines().find_map(|line| line.strip_prefix("Unseal Key: "))?;
            Some(key.trim().to_owned())
        };
        (0..LOOKS).find_map(|_| printed()).expect("an unseal key is printed")
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.tool);
        command
            .args(arguments)
            .env("BAO_ADDR", self.url())
            .env("BAO_TOKEN", TOKEN)
            .env("HOME", &self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// moto as a server.
pub struct Moto {
    server: Server,
    packages: PathBuf,
}

impl Moto {
    /// Starts the server.
    pub fn start() -> Option<Self> {
        let packages = find("moto")?;
        let server = Server::start(|address| {
            let mut command = Command::new("python3");
            let (host, port) = (address.ip().to_string(), address.port().to_string());
            command.args(["-m", "moto.server", "-H", &host, "-p", &port]);
            command.env("PYTHONPATH", &packages).stdout(Stdio::null());
            command
        });
        Some(Self { server, packages })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Has Amazon's own client make a key; its id.
    pub fn make_key(&self) -> String {
        const MAKE: &str = "import boto3, sys; \
            kms = boto3.client('kms', region_name='eu-west-1', endpoint_url=sys.argv[1], \
                aws_access_key_id='a', aws_secret_access_key='b'); \
            print(kms.create_key()['KeyMetadata']['KeyId'])";
        let output = Command::new("python3")
            .args(["-c", MAKE, &self.url()])
            .env("PYTHONPATH", &self.packages)
            .output()
            .expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
