//! Media at other places: sources over HTTP (RFC 9110, ranges) and in S3, packages to S3; the
//! key services that the packager asks; and the services that a player plays from.
//!
//! For the commands that package, inspect and play, never for a server: nothing that serves opens
//! a [`Client`], a [`KeyServiceClient`] or a [`ViewerClient`]. Everything here waits for the network on the thread that calls it, within named
//! deadlines; call it where a thread may block, never on the reactor.

mod address;
mod client;
mod error;
mod key_service;
mod object;
mod package;
mod viewer;

pub use address::{Address, AddressError};
pub use client::{Client, Settings};
pub use error::RemoteError;
pub use key_service::{KeyServiceClient, KeyServiceError, KeyServiceSettings, MAX_ANSWER};
pub use object::{RemoteObject, RemoteReader};
pub use package::{ReadBack, RemotePackage};
pub use viewer::{
    Answered, Asked, Fault, Question, UNAVAILABLE, ViewerClient, ViewerError, ViewerSettings,
};
