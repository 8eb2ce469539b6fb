//! Media at other places: sources over HTTP (RFC 9110, ranges) and in S3, packages to S3; and
//! the key services that the packager asks.
//!
//! For the commands that package and inspect, never for a server: nothing that serves opens a
//! [`Client`] or a [`KeyServiceClient`]. Everything here waits for the network on the thread that calls it, within named
//! deadlines; call it where a thread may block, never on the reactor.

mod address;
mod client;
mod error;
mod key_service;
mod object;
mod package;

pub use address::{Address, AddressError};
pub use client::{Client, Settings};
pub use error::RemoteError;
pub use key_service::{KeyServiceClient, KeyServiceError, KeyServiceSettings, MAX_ANSWER};
pub use object::{RemoteObject, RemoteReader};
pub use package::{ReadBack, RemotePackage};
