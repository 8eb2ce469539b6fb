//! media

pub mod manifest;
pub mod pssh;
