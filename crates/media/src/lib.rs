//! media

pub mod manifest;
