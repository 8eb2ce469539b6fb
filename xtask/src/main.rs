//! The repository's chores: `cargo xtask demo`, `cargo xtask test` and what they are made of.
//!
//! Both work from a clean clone on Debian or Ubuntu with git and the Rust toolchain only, as
//! root or with sudo, again and again. A step that fails says which one and what to do.

mod arguments;
mod audit;
mod content;
mod demo;
mod fuzz;
mod machine;
mod place;
mod postgres;
mod python;
mod region;
mod runner;
mod s3;
mod stage;
mod step;
mod test;
mod web;
mod wheel;

use std::process::ExitCode;

use arguments::Arguments;

const USAGE: &str = "\
usage: cargo xtask <chore>

  demo [--port N] [--no-open]  install what is missing, build, make content, serve, open the page
  test [--long]                install what is missing, build, run every check and every test
  content                      make the demo's clips in target/demo/content
  web                          bundle the viewer's pages into web/dist
  bench ARGS…                  build for release and run `strongroom bench ARGS…`
  fuzz [--seconds N]           run every fuzz target for N seconds (default 60)
  audit [--db DIR]             check licenses, sources and known vulnerabilities";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let chore = words.next().unwrap_or_default();
    let arguments = Arguments::new(words);
    let done = match chore.as_str() {
        // The only chore with an answer besides done or failed.
        "test" => return test::run(arguments),
        "demo" => demo::run(arguments),
        "bench" => demo::bench(arguments.rest()),
        "content" => arguments.finish().and_then(|()| content::bring().map(drop)),
        "web" => arguments.finish().and_then(|()| web::build()),
        "fuzz" => fuzz::run(arguments),
        "audit" => audit::run(arguments),
        _ => {
            eprintln!("{USAGE}");
            let is_asked = matches!(chore.as_str(), "help" | "--help" | "-h");
            return if is_asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
