//! The keys of every clip, and how the other tools are told them.

use keys::{ContentKey, PackagingKey, PackagingKeys};
use model::{KeyId, Scheme, TrackClass};
use zeroize::Zeroizing;

/// KID and key of a class: any bytes, different for each.
pub fn kid_and_key(class: TrackClass) -> ([u8; 16], [u8; 16]) {
    let seed = class as u8 + 1;
    ([seed; 16], [seed.wrapping_mul(17); 16])
}

pub const CBCS_IV: [u8; 16] = *b"constant iv of t";
/// An IV of 8 bytes, close to its wrap.
pub const CENC_IV: [u8; 16] = *b"\xff\xff\xff\xff\xff\xff\xff\xf0\0\0\0\0\0\0\0\0";

pub fn keys(with_cenc_iv: bool) -> PackagingKeys {
    let both =
        TrackClass::ALL.into_iter().flat_map(|class| Scheme::ALL.map(|scheme| (class, scheme)));
    let key = |(class, scheme)| {
        let (kid, key) = kid_and_key(class);
        let iv = match scheme {
            Scheme::Cbcs => Some(CBCS_IV),
            Scheme::Cenc => with_cenc_iv.then_some(CENC_IV),
        };
        PackagingKey {
            kid: KeyId::from_bytes(kid),
            key: ContentKey::from_bytes(Zeroizing::new(key)),
            iv,
            track_class: Some(class),
            scheme: Some(scheme),
            period: None,
        }
    };
    PackagingKeys::new(both.map(key).collect())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn raw_keys(class: TrackClass) -> String {
    let (kid, key) = kid_and_key(class);
    format!("label=:key_id={}:key={}", hex(&kid), hex(&key))
}
