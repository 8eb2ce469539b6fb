//! Pictures for scrubbing: tile sheets for web players and televisions, and a Roku BIF of the
//! same pictures.
//!
//! Thumbnails are clear pictures of protected content: small by limit, and behind the same pass
//! as everything else.

pub mod bif;
mod jpeg;
mod set;
mod tiles;

pub use jpeg::{Jpeg, JpegFault};
pub use set::{ImageFault, ImageSet, Pictures};
pub use tiles::{
    MAX_INTERVAL_S, MAX_PICTURES, MAX_SIDE, MIN_SIDE, Tiles, TilesRefused, TilesWanted,
};

/// Folder of all pictures in a package.
pub const FOLDER: &str = "images";

#[cfg(test)]
mod tests;
