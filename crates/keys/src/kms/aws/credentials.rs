//! Credentials of AWS and the signature they make (Signature Version 4), both `object_store`'s,
//! which packages and sources in S3 use too.

use super::RemoteRefused;
use crate::kms::KmsError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use reqwest::{Method, Request, Url};

const SERVICE: &str = "kms";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Who asks, and where.
pub(super) struct Credentials {
    provider: AwsCredentialProvider,
    region: String,
}

impl Credentials {
    /// Takes static credentials from the process's variables, or else a web identity, a
    /// container's role or the instance's, which are fetched when they are needed and renewed.
    ///
    /// Errors: [`RemoteRefused::Unusable`] without a region, or with half a credential.
    pub(super) fn find(region: Option<String>) -> Result<Self, RemoteRefused> {
        Self::of(AmazonS3Builder::from_env(), region)
    }

    /// The credentials of a client of S3, which is the way to have them.
    pub(super) fn of(
        builder: AmazonS3Builder,
        region: Option<String>,
    ) -> Result<Self, RemoteRefused> {
        let unusable =
            |why: String| RemoteRefused::Unusable { what: "the credentials of AWS", why };
        // It wants the name of a bucket, and opens none.
        let mut builder = builder.with_bucket_name("none");
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
        let region = region.filter(|region| is_region(region));
        let region = region.ok_or_else(|| unusable("no region is named".to_owned()))?;
        let store = builder.build().map_err(|error| unusable(error.to_string()))?;
        Ok(Self { provider: store.credentials().clone(), region })
    }

    /// Amazon's address of KMS in this region.
    pub(super) fn endpoint(&self) -> String {
        let domain =
            if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://kms.{}.{domain}", self.region)
    }

    /// A signed call.
    ///
    /// Errors: [`KmsError::Unavailable`] when no credential is to be had now.
    pub(super) async fn sign(
        &self,
        endpoint: &Url,
        operation: &str,
        body: Vec<u8>,
    ) -> Result<Request, KmsError> {
        let credential = self.provider.get_credential().await.map_err(|error| {
            tracing::warn!(%error, "no credentials of AWS");
            KmsError::Unavailable
        })?;
        let mut signed = http::Request::post(endpoint.as_str())
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", format!("TrentService.{operation}"))
            .body(body.clone().into())
            .map_err(|_| KmsError::Unavailable)?;
        AwsAuthorizer::new(&credential, SERVICE, &self.region)
            .try_authorize(&mut signed, None)
            .map_err(|_| KmsError::Unavailable)?;
        let mut request = Request::new(Method::POST, endpoint.clone());
        *request.headers_mut() = std::mem::take(signed.headers_mut());
        *request.body_mut() = Some(body.into());
        Ok(request)
    }
}

/// Letters, digits and hyphens, as regions are named: it becomes part of a host's name.
fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_region() {
        for (region, host) in [
            ("eu-west-1", "https://kms.eu-west-1.amazonaws.com"),
            ("cn-north-1", "https://kms.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(Credentials::find(Some(region.to_owned())).unwrap().endpoint(), host);
        }
        for none in ["", "eu west", "evil.example/", "EU-WEST-1"] {
            assert!(Credentials::find(Some(none.to_owned())).is_err(), "{none}");
        }
    }
}
