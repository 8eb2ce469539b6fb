//! Media folder.
