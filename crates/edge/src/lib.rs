//! What may be fetched: a signed pass, a path inside a package, a byte range.
//!
//! The edge knows no account: a pass, a path and the bytes are all it needs, so it serves on
//! while everything else is down. Sans-IO; the shell moves the bytes.

pub mod cdn;
pub mod cmcd;
pub mod path;
pub mod range;
pub mod signed_url;
pub mod steering;

pub use cmcd::Cmcd;
pub use path::DeliveryPath;
pub use range::{ByteRange, RangeRefused};
pub use signed_url::{EdgeKey, EdgePass, PassRefused};
