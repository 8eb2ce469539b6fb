//! Media at other places: sources over HTTP (RFC 9110, ranges) and in S3, packages to S3.
//!
//! For the commands that package and inspect, never for a server: nothing that serves opens a
//! [`Client`]. Everything here waits for the network on the thread that calls it, within named
//! deadlines; call it where a thread may block, never on the reactor.

mod address;
mod client;
mod error;
mod object;
mod package;

pub use address::{Address, AddressError};
pub use client::{Client, Settings};
pub use error::RemoteError;
pub use object::{RemoteObject, RemoteReader};
pub use package::{ReadBack, RemotePackage};
