//! Any bytes as an initialization segment and a media segment: refused or decrypted, never a
//! panic, never a byte outside the segment.

use cdm::{Sessions, Track};

/// Shape: length of the initialization segment (16 bits), the segment, and all the rest.
pub fn run(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (init, media) = rest.split_at(length);
    let Ok(track) = Track::parse(init) else { return };
    let mut sessions = Sessions::default();
    let Ok((session, request)) = sessions.request(&track.init_data) else { return };
    let asked = dialect::clearkey::Challenge::parse(&request, dialect::clearkey::Offline::Refused);
    let asked = asked.expect("the CDM's own request reads");
    let key = |kid: &model::KeyId| {
        format!(r#"{{"kty":"oct","kid":"{}","k":"AAAAAAAAAAAAAAAAAAAAAA"}}"#, kid.to_base64url())
    };
    let keys: Vec<String> = asked.kids().iter().map(key).collect();
    let license = format!(r#"{{"keys":[{}],"type":"temporary"}}"#, keys.join(","));
    // More keys than a license may have are refused.
    let _ = sessions.update(session, license.as_bytes());
    let mut segment = media.to_vec();
    let _ = sessions.decrypt(&track, &mut segment);
    assert_eq!(segment.len(), media.len());
}
