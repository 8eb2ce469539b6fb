//! The shell: HTTP, the flows of front and vault, configuration, the clock.

pub mod clock;
pub mod config;

pub use config::Config;
