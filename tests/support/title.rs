//! A title in SD, HD and UHD with sound, packaged in both schemes, and the frames of its clear
//! sources.

use crate::binary::{done, strongroom};
use crate::clip::clip;
use crate::frames::decoded;
use keys::ContentKey;
use model::{KeyId, TrackClass};
use std::path::{Path, PathBuf};

/// Each class with the picture's size. Sound is in the SD clip.
const SIZES: [(TrackClass, &str); 3] =
    [(TrackClass::Sd, "320x180"), (TrackClass::Hd, "1280x720"), (TrackClass::Uhd, "1936x1096")];

/// A title on disk.
pub struct Title {
    /// `manifest.mpd` and what it names.
    pub package: PathBuf,
    /// The raw keys (DESIGN §4).
    pub keys: PathBuf,
    sources: Vec<(TrackClass, PathBuf)>,
}

/// The key of a class; of these tests only.
pub fn key(class: TrackClass) -> (KeyId, [u8; 16]) {
    let number = class as u8 + 1;
    let mut key = *b"\x5c\x1f\x93\xe6\x70\xab\x2d\x48\xd7\x04\xbe\x61\x8a\x3f\xc9\x00";
    key[15] = number;
    (KeyId::from_bytes([0x10 * number; 16]), key)
}

/// The same as a key.
pub fn content_key(class: TrackClass) -> ContentKey {
    ContentKey::from_bytes(key(class).1.into())
}

impl Title {
    /// Makes one with two segments; `None`, said loudly, where ffmpeg is missing. `options` go
    /// to `package`.
    pub fn make(folder: &Path, options: &[&str]) -> Option<Self> {
        let mut sources = vec![];
        for (class, size) in SIZES {
            let sound = if class == TrackClass::Sd { "" } else { "-an" };
            sources.push((class, clip(folder, size, 2, &format!("-g 25 -bf 2 {sound}"))?));
        }
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        let rows: Vec<_> = TrackClass::ALL
            .into_iter()
            .map(|class| {
                let (kid, key) = key(class);
                let (kid, key) = (kid.to_string(), hex(&key));
                serde_json::json!({
                    "content_id": "film", "label": class.name(), "kid": kid, "key": key,
                })
            })
            .collect();
        let keys = folder.join("keys.json");
        std::fs::write(&keys, serde_json::to_vec(&rows).unwrap()).unwrap();
        let package = folder.join("package");
        done(
            strongroom(&folder.join("packaging"))
                .args([
                    "package",
                    "--content",
                    "film",
                    "--scheme",
                    "dual",
                    "--segment-seconds",
                    "1",
                ])
                .args(options)
                .arg("--keys")
                .arg(&keys)
                .arg("--out")
                .arg(&package)
                .args(sources.iter().map(|(_, path)| path)),
        );
        Some(Self { package, keys, sources })
    }

    /// The decoded frames of the clear sources, as `play --frames` writes them: the picture of a
    /// class and the sound.
    pub fn frames(&self, class: TrackClass) -> String {
        let source = |wanted| self.sources.iter().find(|(own, _)| *own == wanted).map(|(_, p)| p);
        let video = decoded("video", source(class).unwrap(), "0:v");
        video + &decoded("audio", source(TrackClass::Sd).unwrap(), "0:a")
    }
}
