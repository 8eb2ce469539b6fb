//! A PostgreSQL server for one test run: its own cluster, port and owner, gone afterwards.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{machine, place, step};

/// A running server; dropping it stops the server and removes its rows.
pub struct Postgres {
    server: Child,
    folder: PathBuf,
    port: u16,
}

/// Folders are called this and the number of the process they belong to.
const PREFIX: &str = "strongroom-postgres-";

/// Tenths of a second that the server has to come up.
const PATIENCE: u32 = 600;

impl Postgres {
    /// Makes a cluster in a new folder below the system's temporary one and starts it.
    pub fn start() -> Result<Self> {
        let programs = machine::postgres_programs().context("PostgreSQL is not installed")?;
        let port = place::free_port()?;
        remove_leftovers();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        step::run(
            "make a PostgreSQL cluster for the tests",
            owner("sh").args(["-c", MAKE, "sh"]).arg(&folder).arg(programs.join("initdb")),
            "look at the free space in the temporary folder (`df -h /tmp`)",
        )?;
        // Nothing of it must survive a power cut, so it need not wait for the disk.
        let server = owner(programs.join("postgres"))
            .arg("-D")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "max_connections=200", "-c", "log_min_messages=fatal"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start PostgreSQL")?;
        let mut postgres = Self { server, folder, port };
        postgres.wait(&programs)?;
        Ok(postgres)
    }

    /// The address for `STRONGROOM_TEST_POSTGRES`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn wait(&mut self, programs: &Path) -> Result<()> {
        let ready = programs.join("pg_isready");
        let port = self.port.to_string();
        for _ in 0..PATIENCE {
            if step::answers(&ready.to_string_lossy(), &["-q", "-h", "127.0.0.1", "-p", &port]) {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                bail!("PostgreSQL ended at once ({status}); its words are above");
            }
            sleep(Duration::from_millis(100));
        }
        bail!("PostgreSQL did not answer within a minute")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown; SIGKILL only if that is not heard.
        let pid = self.server.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        for _ in 0..100 {
            if matches!(self.server.try_wait(), Ok(Some(_))) {
                break;
            }
            sleep(Duration::from_millis(100));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Removes the rows of runs that were killed.
fn remove_leftovers() {
    for entry in std::env::temp_dir().read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

const MAKE: &str = "rm -rf \"$1\" && \"$2\" --pgdata \"$1\" --username postgres --auth trust \
    --encoding UTF8 --locale C --no-sync --no-instructions > /dev/null";

/// A command as the user who owns the cluster: PostgreSQL refuses to run as root. It is told
/// to stop when this process dies.
fn owner(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if machine::is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    // A folder that this user may enter.
    command.arg("--").arg(program).current_dir("/");
    command
}
