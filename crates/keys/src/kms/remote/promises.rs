//! What every KMS over HTTP promises when its network fails, asked of each by the same questions.

use super::fault_proxy::{DEADLY, Fault, FaultProxy};
use crate::SystemEntropy;
use crate::kek::Kek;
use crate::kms::conformance::{context, film, opened};
use crate::kms::{Kms, KmsError};
use std::time::Duration;
use tokio::time::Instant;

/// The deadline of a back end whose faults are tested.
pub(in crate::kms) const SHORT: Duration = Duration::from_millis(400);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(1500);

/// Puts every fault before `kms`, which asks by way of `proxy` and was opened with [`SHORT`].
pub(in crate::kms) async fn survives_every_fault(kms: &dyn Kms, proxy: &FaultProxy) {
    let (film, kek) = (film(), Kek::generate(&mut SystemEntropy));
    let context = context(&film);
    let wrapped = patient(async || kms.wrap(&kek, &context).await).await;
    for fault in DEADLY {
        proxy.set(fault);
        let begun = Instant::now();
        assert_eq!(kms.wrap(&kek, &context).await, Err(KmsError::Unavailable), "{fault:?}");
        let refused = opened(kms, &wrapped, &context).await.unwrap_err();
        assert_eq!(refused, KmsError::Unavailable, "{fault:?}");
        assert!(begun.elapsed() < 2 * SHORT + SLACK, "{fault:?}: {:?}", begun.elapsed());
        proxy.set(Fault::None);
        let back = patient(async || opened(kms, &wrapped, &context).await).await;
        assert_eq!(back.bytes(), kek.bytes(), "back after {fault:?}");
    }
    proxy.set(Fault::OtherPlaintext);
    let refused = opened(kms, &wrapped, &context).await.unwrap_err();
    // Where the KMS sends a checksum, it is damage; else the parcel's own check tells.
    assert!(matches!(refused, KmsError::Integrity | KmsError::Unavailable), "{refused:?}");
    proxy.set(Fault::None);
}

/// A busy machine may miss a short deadline; not ten times.
async fn patient<T>(call: impl AsyncFn() -> Result<T, KmsError>) -> T {
    for _ in 0..9 {
        match call().await {
            Err(KmsError::Unavailable) => {}
            outcome => return outcome.unwrap(),
        }
    }
    call().await.unwrap()
}
