//! `serve`: the service.

use super::{Failure, Place, block_on};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

/// Arguments of `serve`.
#[derive(Args)]
pub struct Arguments {
    /// Which part of the service this process is.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// Roles of the binary.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything in one process.
    All,
    /// Encrypted bytes and manifests only: neither the rows nor a key.
    Edge,
}

/// Runs until the process is asked to end.
pub fn run(arguments: Arguments, place: &Place) -> Result<(), Failure> {
    let mut config = place.config()?;
    if let Some(address) = arguments.listen {
        config.listen.address = address;
    }
    let ready = |url: &str| println!("listening on {url}");
    block_on(async {
        let ended = match arguments.role {
            Role::All => server::serve(&config, ready).await,
            Role::Edge => server::serve_edge(&config, ready).await,
        };
        ended.map_err(Failure::environment)
    })
}
