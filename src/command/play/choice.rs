//! Which renditions are played: of one scheme, the best of each medium whose key is usable.

use anyhow::{anyhow, bail};
use cdm::KeyStatus;
use cdm::protocol::KeyState;
use media::manifest::listing::{Listed, Medium};
use model::{KeyId, Scheme};

/// The protected renditions of one scheme: that which is asked for, else the manifest's first.
/// A rendition without protection is none that we play: no failure ends in clear media.
pub fn of_scheme(
    listed: Vec<Listed>,
    wanted: Option<Scheme>,
) -> anyhow::Result<(Scheme, Vec<Listed>)> {
    let schemes = listed.iter().filter_map(|one| one.protection.map(|(scheme, _)| scheme));
    let Some(scheme) = wanted.or_else(|| schemes.clone().next()) else {
        bail!("the manifest lists nothing that is protected");
    };
    let is_of = |one: &Listed| one.protection.is_some_and(|(own, _)| own == scheme);
    let found: Vec<Listed> = listed.into_iter().filter(is_of).collect();
    if found.is_empty() {
        return Err(anyhow!("the manifest lists nothing that is protected under {scheme}"));
    }
    Ok((scheme, found))
}

/// The best picture and the main sound whose keys are usable.
pub fn best<'a>(listed: &'a [Listed], keys: &[KeyState]) -> Vec<&'a Listed> {
    let is_usable = |one: &&Listed| {
        let usable = keys.iter().filter(|key| key.status == KeyStatus::Usable);
        let mut usable = usable.map(|key| key.kid);
        usable.any(|kid| one.keys().any(|(own, _)| own == kid))
    };
    let of = |medium| listed.iter().filter(is_usable).filter(move |one| one.medium == medium);
    let area = |one: &Listed| u64::from(one.width) * u64::from(one.height);
    let video = of(Medium::Video).max_by_key(|one| (area(one), one.bandwidth));
    let languages = of(Medium::Audio).find(|one| one.is_main).or_else(|| of(Medium::Audio).next());
    let audio = of(Medium::Audio)
        .filter(|one| {
            languages
                .is_some_and(|main| (main.is_main, &main.language) == (one.is_main, &one.language))
        })
        .max_by_key(|one| one.bandwidth);
    video.into_iter().chain(audio).collect()
}

/// Every key of these renditions, each once.
pub fn kids(listed: &[Listed]) -> Vec<KeyId> {
    let mut kids: Vec<KeyId> =
        listed.iter().filter_map(|one| one.protection.map(|(_, kid)| kid)).collect();
    kids.sort_unstable();
    kids.dedup();
    kids
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::manifest::listing::{MediaParts, Part};

    fn kid(byte: u8) -> KeyId {
        KeyId::from_bytes([byte; 16])
    }

    fn listed(id: &str, medium: Medium, height: u32, key: Option<(Scheme, u8)>) -> Listed {
        Listed {
            id: id.to_owned(),
            medium,
            codecs: String::new(),
            width: height,
            height,
            bandwidth: 1000,
            language: None,
            is_main: id == "main",
            protection: key.map(|(scheme, byte)| (scheme, kid(byte))),
            key_uri: None,
            init: Part { path: id.to_owned(), span: None },
            media: MediaParts::Segments(vec![]),
            turns: vec![],
            live: None,
        }
    }

    fn title() -> Vec<Listed> {
        let cbcs = |byte| Some((Scheme::Cbcs, byte));
        vec![
            listed("clear", Medium::Video, 4320, None),
            listed("sd", Medium::Video, 360, cbcs(1)),
            listed("hd", Medium::Video, 1080, cbcs(2)),
            listed("hd-cenc", Medium::Video, 1080, Some((Scheme::Cenc, 9))),
            listed("other", Medium::Audio, 0, cbcs(3)),
            listed("main", Medium::Audio, 0, cbcs(3)),
        ]
    }

    #[test]
    fn the_best_of_what_the_license_opens_is_played() {
        let (scheme, found) = of_scheme(title(), None).unwrap();
        assert_eq!((scheme, found.len()), (Scheme::Cbcs, 4));
        assert_eq!(kids(&found), [kid(1), kid(2), kid(3)]);
        let state = |byte, status| KeyState { kid: kid(byte), status };
        let ids = |keys: &[KeyState]| -> Vec<String> {
            best(&found, keys).iter().map(|one| one.id.clone()).collect()
        };
        let usable = [1, 2, 3].map(|byte| state(byte, KeyStatus::Usable));
        assert_eq!(ids(&usable), ["hd", "main"]);
        let restricted = state(2, KeyStatus::OutputRestricted);
        let [sd, _, sound] = usable;
        assert_eq!(ids(&[sd, restricted, sound]), ["sd", "main"]);
        assert_eq!(ids(&[sd]), ["sd"]);
        assert!(ids(&[state(1, KeyStatus::Expired)]).is_empty());
    }

    #[test]
    fn nothing_clear_is_played() {
        let (_, cenc) = of_scheme(title(), Some(Scheme::Cenc)).unwrap();
        assert_eq!(cenc.len(), 1);
        let clear = || vec![listed("clear", Medium::Video, 4320, None)];
        assert!(of_scheme(clear(), None).is_err());
        assert!(of_scheme(clear(), Some(Scheme::Cbcs)).is_err());
        assert!(of_scheme(vec![], None).is_err());
    }
}
