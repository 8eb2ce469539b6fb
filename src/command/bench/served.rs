//! A service under load, in a process of its own, and what a round of load says of it.

use super::load::{Outcome, Target};
use crate::measure::median;
use anyhow::{Context as _, ensure};
use serde::Serialize;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// One measurement.
#[derive(Serialize)]
pub struct Row {
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that were not.
    pub refused: usize,
    /// Answers a second.
    pub per_s: f64,
    /// CPU microseconds of the service an answer.
    pub cpu_us: f64,
    /// Half of the answers came within this time.
    pub p50_ms: f64,
    /// 99 of 100 came within this time.
    pub p99_ms: f64,
}

impl Row {
    /// What came back in `wall_s` seconds for `cpu_s` seconds of the service's CPU.
    ///
    /// Errors: nothing was answered.
    pub fn of(mut outcome: Outcome, cpu_s: f64, wall_s: f64) -> anyhow::Result<Self> {
        ensure!(!outcome.latencies_s.is_empty(), "no answer: {:?}", outcome.refused.first());
        let answered = outcome.latencies_s.len();
        let p99 = percentile(&mut outcome.latencies_s, 0.99);
        Ok(Self {
            answered,
            refused: outcome.refused.len(),
            per_s: answered as f64 / wall_s,
            cpu_us: cpu_s * 1.0e6 / answered as f64,
            p50_ms: median(outcome.latencies_s) * 1000.0,
            p99_ms: p99 * 1000.0,
        })
    }
}

impl Row {
    /// Of each figure the median over several runs; answers are counted together.
    pub fn median_of(runs: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        Self {
            answered: runs.iter().map(|run| run.answered).sum(),
            refused: runs.iter().map(|run| run.refused).sum(),
            per_s: middle(|run| run.per_s),
            cpu_us: middle(|run| run.cpu_us),
            p50_ms: middle(|run| run.p50_ms),
            p99_ms: middle(|run| run.p99_ms),
        }
    }
}

/// A service in a process of its own.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub target: Target,
}

impl Served {
    /// Starts a service with TLS on a data folder; the certificate lies in `work`.
    ///
    /// Errors: it does not come up.
    pub fn start(work: &Path, data: &Path) -> anyhow::Result<Self> {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (chain, private) = (work.join("tls.pem"), work.join("tls.key"));
        std::fs::write(&chain, certified.cert.pem())?;
        std::fs::write(&private, certified.signing_key.serialize_pem())?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("STRONGROOM_LOG", "error")
            .env("STRONGROOM_LISTEN_TLS_CERTIFICATE", &chain)
            .env("STRONGROOM_LISTEN_TLS_PRIVATE_KEY", &private)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on https://").context("not ready")?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certified.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let target = Target { address: address.to_owned(), tls: TlsConnector::from(Arc::new(tls)) };
        Ok(Self { child, target })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
