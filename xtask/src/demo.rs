//! `cargo xtask demo`: from a clean clone to a protected film in the browser; and the bench,
//! which is the same binary built for speed.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::arguments::Arguments;
use crate::{content, machine, place, region, step, web};

const BUILD_REMEDY: &str =
    "read the compiler's error above; `rustc --version` must be 1.95 or newer";

/// Prepares everything and then becomes `strongroom demo`.
pub fn run(mut arguments: Arguments) -> Result<()> {
    let port = arguments.number("--port")?;
    let opens = !arguments.flag("--no-open") && has_desktop();
    arguments.finish()?;
    prepare()?;
    step::run(
        "build Strongroom",
        place::cargo().args(["build", "--package", "strongroom"]),
        BUILD_REMEDY,
    )?;
    let mut demo = Command::new(place::strongroom());
    direct(&mut demo, &place::target().join("demo/data"));
    if let Some(port) = port {
        demo.args(["--port", &port.to_string()]);
    }
    if !opens {
        demo.arg("--no-open");
    }
    become_it(demo.current_dir(place::root()))
}

/// Tells a command that begins with the binary to show what [`prepare`] brought.
pub fn direct(command: &mut Command, data: &Path) {
    command.arg("demo").arg("--data").arg(data);
    command.arg("--content").arg(place::target().join("demo/content"));
    command.env("STRONGROOM_REGION_DATABASE", region::database());
}

/// Everything besides the binary: tools, clips, regions, pages.
pub fn prepare() -> Result<()> {
    machine::bring(machine::DEMO)?;
    content::bring()?;
    region::bring()?;
    web::build()
}

/// Builds for release and becomes `strongroom bench …`.
pub fn bench(words: Vec<String>) -> Result<()> {
    machine::bring(machine::DEMO)?;
    web::build()?;
    step::run(
        "build Strongroom for release",
        place::cargo().args(["build", "--release", "--package", "strongroom"]),
        BUILD_REMEDY,
    )?;
    let binary = place::target().join("release/strongroom");
    become_it(
        Command::new(binary)
            .arg("bench")
            .args(words)
            .env("STRONGROOM_PEERS", place::peers())
            .current_dir(place::root()),
    )
}

/// Lets the program take this process's place, so that Ctrl-C and the exit code are its own.
fn become_it(command: &mut Command) -> Result<()> {
    let error = command.exec();
    bail!("could not start ({error})\n{}", step::advice(command, "build it with `cargo build`"))
}

/// A browser opened by root, or without a screen, helps nobody.
fn has_desktop() -> bool {
    let has_screen =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    has_screen && !machine::is_root()
}
