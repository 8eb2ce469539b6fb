//! One request to a KMS and its answer (RFC 9110), within a deadline and a length.

use super::RemoteRefused;
use crate::kms::KmsError;
use reqwest::{Certificate, Client, Request, Url, redirect};
use serde::de::DeserializeOwned;
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest answer, bytes. What a KMS says about one key is a few hundred.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest reason that is logged, characters.
const MAX_REASON: usize = 64;

/// Whose certificates a KMS may show.
#[derive(Clone, Copy, Debug)]
pub(in crate::kms) enum Trust<'a> {
    /// Those that the system trusts.
    System,
    /// Only those of these authorities, in PEM.
    Only(&'a [u8]),
}

/// A client of one KMS.
pub(in crate::kms) struct Wire {
    client: Client,
    backend: &'static str,
    deadline: Duration,
}

/// What was answered, wiped on drop as far as it is ours.
pub(in crate::kms) struct Answer {
    pub(in crate::kms) status: u16,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Reads the body. Errors: [`KmsError::Unavailable`]: what is not the KMS's language does not
    /// come from it.
    pub(in crate::kms) fn json<T: DeserializeOwned>(&self) -> Result<T, KmsError> {
        serde_json::from_slice(&self.body).map_err(|_| KmsError::Unavailable)
    }

    /// Whether the KMS did what it was asked.
    pub(in crate::kms) fn is_done(&self) -> bool {
        self.status == 200
    }

    /// Whether the same call may succeed later: overload and faults, and what proxies say of a
    /// KMS behind them.
    pub(in crate::kms) fn is_passing(&self) -> bool {
        !matches!(self.status, 400..=499) || matches!(self.status, 408 | 425 | 429)
    }
}

impl Wire {
    /// A client that trusts `trust`, follows no redirect and uses no proxy: a key and a credential
    /// go to the address that the settings name.
    ///
    /// Errors: [`RemoteRefused::Unusable`].
    pub(in crate::kms) fn new(
        backend: &'static str,
        trust: Trust<'_>,
        deadline: Duration,
    ) -> Result<Self, RemoteRefused> {
        let unusable = |cause: reqwest::Error| RemoteRefused::Unusable {
            what: "the file of certificates",
            why: cause.to_string(),
        };
        let mut client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
        if let Trust::Only(pem) = trust {
            let authorities = Certificate::from_pem_bundle(pem).map_err(unusable)?;
            if authorities.is_empty() {
                let why = "no certificate in it".to_owned();
                return Err(RemoteRefused::Unusable { what: "the file of certificates", why });
            }
            client = client.tls_certs_only(authorities);
        }
        let client = client.build().map_err(unusable)?;
        Ok(Self { client, backend, deadline })
    }

    /// Sends a request and reads its answer whole.
    ///
    /// Errors: [`KmsError::Unavailable`] when no whole answer of bearable length came in time.
    pub(in crate::kms) async fn send(&self, request: Request) -> Result<Answer, KmsError> {
        self.within(async {
            let gone = |_: reqwest::Error| KmsError::Unavailable;
            let mut answer = self.client.execute(request).await.map_err(gone)?;
            let status = answer.status().as_u16();
            let mut body = Zeroizing::new(Vec::with_capacity(4096));
            while let Some(part) = answer.chunk().await.map_err(gone)? {
                if body.len() + part.len() > MAX_ANSWER_BYTES {
                    return Err(KmsError::Unavailable);
                }
                body.extend_from_slice(&part);
            }
            Ok(Answer { status, body })
        })
        .await
    }

    /// Waits for `work`, but not beyond the deadline.
    pub(in crate::kms) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, KmsError>>,
    ) -> Result<T, KmsError> {
        tokio::time::timeout(self.deadline, work).await.unwrap_or(Err(KmsError::Unavailable))
    }

    /// Logs why the KMS said no. Its reason is a word, never a text that could carry a secret.
    pub(in crate::kms) fn log_refusal(&self, status: u16, reason: &str) {
        let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let reason: String = reason.chars().filter(is_word).take(MAX_REASON).collect();
        tracing::error!(backend = self.backend, status, reason, "the KMS refuses");
    }
}

/// Reads the address of a KMS.
///
/// Errors: [`RemoteRefused::Address`] unless it is `https://` or `http://` with a host, and
/// without user, password, query and fragment.
pub(in crate::kms) fn parse_address(address: &str) -> Result<Url, RemoteRefused> {
    let refuse = |why| RemoteRefused::Address { address: address.to_owned(), why };
    let url = Url::parse(address).map_err(|_| refuse("no URL"))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(refuse("neither https:// nor http:// with a host"));
    }
    let is_bare = url.username().is_empty() && url.password().is_none();
    if !is_bare || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("more than scheme, host, port and path"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_carries_no_more_than_where() {
        for fine in ["https://kms.example", "http://127.0.0.1:8200/base", "https://[::1]:1/"] {
            assert!(parse_address(fine).is_ok(), "{fine}");
        }
        for bad in [
            "",
            "kms.example",
            "ftp://a",
            "https://",
            "https://u@a",
            "https://u:p@a",
            "https://a?b",
            "https://a#b",
        ] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        for pem in [
            &b""[..],
            b"no certificate",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(Wire::new("test", Trust::Only(pem), Duration::from_secs(1)).is_err());
        }
    }
}
