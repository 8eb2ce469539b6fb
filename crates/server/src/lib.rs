//! The shell: HTTP, the flows of front and vault, configuration, the clock.

pub mod cdns;
pub mod clock;
pub mod config;
pub mod edge_art;
pub mod edge_role;
pub mod edge_routes;
pub mod entropy;
pub mod front;
pub mod ground;
pub mod health;
pub mod home;
pub mod http;
pub mod operator;
pub mod outcome_log;
pub mod regions;
pub mod secrets;
pub mod serve;
pub mod service;
pub mod steering;
pub mod tls;
pub mod trail;
pub mod vault;
pub mod vault_link;

pub use config::Config;
pub use home::Home;
pub use serve::{serve, serve_edge};
pub use service::Service;
pub use vault::{AuditReport, Checkpoint};

/// The OpenAPI 3.1 document of the HTTP surface.
#[must_use]
pub const fn openapi() -> &'static str {
    include_str!("openapi.json")
}
