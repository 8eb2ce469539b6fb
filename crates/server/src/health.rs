//! Whether the service lives and can serve, and its figures.

use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;

/// Longest time the readiness check waits.
const READY_TIME: Duration = Duration::from_secs(2);

/// Whether rows and audit answer.
///
/// Errors: what the store says.
pub async fn ready(service: &Service) -> Result<(), Refusal> {
    tokio::time::timeout(READY_TIME, service.store.ping())
        .await
        .map_err(|_| Refusal::Overloaded)?
        .map_err(Refusal::from)
}

/// Figures in Prometheus' text form, for callers on this machine only.
///
/// Errors: [`Refusal::NotFound`] to anyone else.
pub async fn metrics(caller: Caller) -> Result<String, Refusal> {
    if caller.address.is_loopback() {
        Ok(recorder().map_or_else(String::new, PrometheusHandle::render))
    } else {
        Err(Refusal::NotFound)
    }
}

/// The process's recorder, installed at first use. Absent where the process has another one.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).as_ref()
}
