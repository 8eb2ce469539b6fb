//! A running demo for the browser tests: its own data folder and port, gone afterwards.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{demo, place, runner, step};

/// How long the demo may take to package its titles and to listen.
const OPENS_WITHIN: Duration = Duration::from_secs(300);
/// Tenths of a second that it may take to end after Ctrl-C.
const CLOSES_WITHIN: u32 = 150;

/// `strongroom demo --json`, serving.
pub struct Stage {
    demo: Child,
    folder: PathBuf,
}

impl Stage {
    /// Starts the demo and waits for the line that describes it.
    pub fn open() -> Result<Self> {
        step::announce("start the demo");
        let folder = place::target().join("test-demo");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(runner::logs())?;
        let log = runner::logs().join("demo.log");
        let mut command = demo_command(&folder)?;
        command.stderr(File::create(&log)?);
        let child = command.spawn().context("start strongroom")?;
        let mut stage = Self { demo: child, folder };
        let line = stage.first_line().with_context(|| format!("read {}", log.display()))?;
        fs::write(stage.description(), line)?;
        Ok(stage)
    }

    /// The file with the demo's JSON line, for `STRONGROOM_DEMO`.
    pub fn description(&self) -> PathBuf {
        self.folder.join("demo.json")
    }

    /// The demo's data folder.
    pub fn data(&self) -> PathBuf {
        data_in(&self.folder)
    }

    /// Ends the demo as Ctrl-C does. Errors: it did not end, or not cleanly.
    pub fn close(mut self) -> Result<()> {
        let pid = self.demo.id().to_string();
        ensure!(step::answers("kill", &["-INT", &pid]), "the demo died during the tests");
        for _ in 0..CLOSES_WITHIN {
            if let Some(status) = self.demo.try_wait()? {
                ensure!(status.success(), "Ctrl-C did not end the demo cleanly ({status})");
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        bail!("Ctrl-C did not end the demo")
    }

    fn first_line(&mut self) -> Result<String> {
        let output = self.demo.stdout.take().context("the demo has no output")?;
        let (send, receive) = mpsc::channel();
        // The thread ends with the demo; it also keeps the pipe from filling up.
        thread::spawn(move || pass_on(output, &send));
        receive.recv_timeout(OPENS_WITHIN).context("the demo did not say that it serves")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.demo.kill();
        let _ = self.demo.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Told to stop when this process dies, so that it never stays behind.
fn demo_command(folder: &Path) -> Result<Command> {
    let port = place::free_port()?.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT", "--"]).arg(place::strongroom());
    demo::direct(&mut command, &data_in(folder));
    command.args(["--json", "--no-open", "--port", &port]);
    command.current_dir(place::root()).stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

fn data_in(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn pass_on(output: ChildStdout, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        // Nobody waits for the second line.
        let _ = lines.send(line);
    }
}
