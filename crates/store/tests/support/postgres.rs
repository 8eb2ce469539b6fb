//! A real PostgreSQL for one test process.
//!
//! [`cluster`] finds the server's programs, makes a cluster in a temporary folder and starts it
//! on a Unix socket, once a process; [`Cluster::fresh_database`] gives each test a database of
//! its own. PostgreSQL refuses to run as root, so root starts it as another user.
//!
//! The cluster ends with the test process, however that ends: a shell holds the other end of a
//! pipe from us, and when the pipe closes it stops the server and removes the folder.
//!
//! Where PostgreSQL is not installed, tests skip loudly; with `CI=true` that is a failure.
//!
//! Other test programs use this file by `#[path = "…/crates/store/tests/support/postgres.rs"]`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A running cluster.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    databases: AtomicU32,
    /// Its open standard input is what keeps the cluster running.
    _keeper: Child,
}

/// The cluster of this process, started by the first call. None: PostgreSQL is not installed.
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| programs().map(Cluster::start)).as_ref();
    if cluster.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!is_ci, "PostgreSQL is not installed (Debian: apt-get install postgresql)");
        eprintln!("SKIPPED: PostgreSQL is not installed (Debian: apt-get install postgresql)");
    }
    cluster
}

/// Makes the cluster, starts it, says so, and waits for the end of its input.
const KEEPER: &str = r#"
"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1 || exit 1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=400 \
    >>"$2/log" 2>&1 &
echo started
read -r _
kill -QUIT $!
wait $!
rm -rf "$2"
"#;

impl Cluster {
    fn start(programs: PathBuf) -> Self {
        // Not below TMPDIR, which may be closed to other users or too long for a socket.
        let folder = PathBuf::from(format!("/tmp/strongroom-store-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder).expect("a new folder in /tmp");
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "keeper"])
            .args([&programs, &folder])
            .current_dir(&folder)
            // Ctrl-C reaches us, not the server.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("root may chown");
            keeper.uid(user).gid(group);
        }
        let mut keeper = keeper.spawn().expect("a shell");
        let mut said = String::new();
        let output = keeper.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut said).expect("the keeper speaks");
        let log_path = folder.join("log");
        let log = || std::fs::read_to_string(&log_path).unwrap_or_default();
        assert_eq!(said.trim(), "started", "PostgreSQL does not start: {}", log());
        let cluster = Self { programs, folder, databases: AtomicU32::new(0), _keeper: keeper };
        let is_up = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            cluster.create("probe")
        });
        assert!(is_up, "PostgreSQL does not answer: {}", log());
        cluster
    }

    /// Makes an empty database and returns its URL.
    pub fn fresh_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        assert!(self.create(&name), "createdb {name}");
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.display())
    }

    fn create(&self, name: &str) -> bool {
        Command::new(self.programs.join("createdb"))
            .args(["-h".as_ref(), self.folder.as_os_str(), "-U".as_ref(), "postgres".as_ref()])
            .arg(name)
            .current_dir("/")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// The folder of the newest server's programs.
fn programs() -> Option<PathBuf> {
    let mut installed: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    installed.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&on_path).collect();
    let is_whole = |folder: &PathBuf| {
        ["initdb", "postgres", "createdb"].iter().all(|name| folder.join(name).exists())
    };
    installed.into_iter().rev().chain(on_path).find(is_whole)
}

/// User and group to run as, where we are root: `postgres`, else `nobody`.
fn other_user() -> Option<(u32, u32)> {
    if std::fs::metadata(Path::new("/proc/self")).ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user that is not root"))
}
