//! The client of web servers and S3 (Signature Version 4), with its deadlines and retries.

use super::{Address, RemoteError};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// One request with its answer.
const REQUEST_S: u64 = 60;
/// A connection.
const CONNECT_S: u64 = 5;
/// A request that failed for want of an answer, or with a 5xx, is made again so often.
const RETRIES: usize = 5;
/// No retry is begun later than this.
const RETRY_WITHIN: Duration = Duration::from_secs(60);
/// One operation with all its retries.
const OPERATION_S: u64 = 180;

/// Where S3 is, if not at Amazon's. Credentials are no setting: they come from the process's
/// `AWS_*` variables, from a web identity, or from the instance.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// URL of the server; absent: `AWS_ENDPOINT_URL`, then Amazon's for the region.
    pub endpoint: Option<String>,
    /// Region; absent: `AWS_REGION`.
    pub region: Option<String>,
    /// Whether the endpoint may be asked without TLS.
    pub allow_http: bool,
}

/// A client of object stores and web servers. Clones share nothing but the runtime.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Settings,
    runtime: Handle,
}

impl Client {
    /// A client whose network traffic runs on `runtime`.
    #[must_use]
    pub const fn new(settings: Settings, runtime: Handle) -> Self {
        Self { settings, runtime }
    }

    /// What serves an address, and the path of it there.
    pub(super) fn serve(&self, address: &Address) -> Result<Served, RemoteError> {
        let failed = |error: object_store::Error| RemoteError::new(&error, address);
        let (store, path): (Arc<dyn ObjectStore>, _) = match address {
            Address::Http(url) => {
                let options = ClientOptions::new()
                    .with_timeout(Duration::from_secs(REQUEST_S))
                    .with_connect_timeout(Duration::from_secs(CONNECT_S))
                    // No way down from https to http by a redirect.
                    .with_allow_http(url.scheme() == "http");
                // The whole URL is the base: its query may sign it.
                let builder = HttpBuilder::new().with_url(url.as_str()).with_retry(retry());
                let store = builder.with_client_options(options).build().map_err(failed)?;
                (Arc::new(store), Path::default())
            }
            Address::S3 { bucket, key } => {
                let store = self.bucket(bucket).build().map_err(failed)?;
                (Arc::new(store), key.clone())
            }
        };
        Ok(Served { store, path, address: address.clone(), runtime: self.runtime.clone() })
    }

    fn bucket(&self, name: &str) -> AmazonS3Builder {
        let client = AmazonS3ConfigKey::Client;
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(name)
            .with_retry(retry())
            .with_config(client(ClientConfigKey::Timeout), format!("{REQUEST_S} seconds"))
            .with_config(client(ClientConfigKey::ConnectTimeout), format!("{CONNECT_S} seconds"));
        if let Some(endpoint) = &self.settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.settings.region {
            builder = builder.with_region(region);
        }
        if self.settings.allow_http {
            builder = builder.with_allow_http(true);
        }
        builder
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_WITHIN,
    }
}

/// An address with what serves it.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    pub address: Address,
    pub runtime: Handle,
}

impl Served {
    /// Waits for one operation on the network.
    pub fn wait<T>(
        &self,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RemoteError> {
        let within = Duration::from_secs(OPERATION_S);
        match self.runtime.block_on(async { tokio::time::timeout(within, work).await }) {
            Ok(done) => done.map_err(|error| RemoteError::new(&error, &self.address)),
            Err(_elapsed) => Err(RemoteError::Deadline(OPERATION_S)),
        }
    }
}
