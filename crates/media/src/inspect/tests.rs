//! Reports of sound and broken files.

use super::*;
use crate::bmff::{full_box, plain_box};
use crate::cenc::Tenc;
use crate::manifest::{self, fixture};
use crate::pssh;
use model::{KeyId, Scheme};
use proptest::prelude::*;

const KID: KeyId = KeyId::from_bytes([0x11; 16]);
const ROLLED: KeyId = KeyId::from_bytes([0x22; 16]);

struct Bytes<'a>(&'a [u8]);

impl Input for Bytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let from = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let from = from.get(..out.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }
}

fn look(bytes: &[u8]) -> Report {
    inspect(&mut Bytes(bytes)).unwrap()
}

fn media(bytes: &[u8]) -> MediaReport {
    match look(bytes) {
        Report::Media(media) => media,
        Report::Manifest(_) => panic!("a manifest"),
    }
}

fn manifest(text: &str) -> ManifestReport {
    match look(text.as_bytes()) {
        Report::Manifest(manifest) => manifest,
        Report::Media(_) => panic!("media"),
    }
}

/// An init of one encrypted video track.
fn init(scheme: Scheme) -> Vec<u8> {
    let tenc = match scheme {
        Scheme::Cbcs => {
            Tenc { pattern: Some((1, 9)), kid: KID, iv_size: 0, constant_iv: Some([9; 16]) }
        }
        Scheme::Cenc => Tenc { pattern: None, kid: KID, iv_size: 8, constant_iv: None },
    };
    let mut out = Vec::new();
    plain_box(&mut out, b"ftyp", |out| out.extend(b"mp41\0\0\0\0iso8cmfc"));
    plain_box(&mut out, b"moov", |out| {
        plain_box(out, b"trak", |out| {
            full_box(out, b"tkhd", 0, 7, |out| {
                out.extend([[0; 4], [0; 4], 1_u32.to_be_bytes()].concat());
            });
            plain_box(out, b"mdia", |out| {
                full_box(out, b"hdlr", 0, 0, |out| out.extend(b"\0\0\0\0vide"));
                plain_box(out, b"minf", |out| {
                    plain_box(out, b"stbl", |out| {
                        full_box(out, b"stsd", 0, 0, |out| {
                            out.extend(1_u32.to_be_bytes());
                            sample_entry(out, scheme, &tenc);
                        });
                    });
                });
            });
        });
        plain_box(out, b"mvex", |out| {
            full_box(out, b"trex", 0, 0, |out| {
                out.extend([1_u32, 1, 0, 0, 0].map(u32::to_be_bytes).concat());
            });
        });
        out.extend(pssh::widevine(&[KID], scheme));
        out.extend(pssh::playready(KID, scheme, None));
        out.extend(pssh::common(&[KID]));
    });
    out
}

fn sample_entry(out: &mut Vec<u8>, scheme: Scheme, tenc: &Tenc) {
    plain_box(out, b"encv", |out| {
        out.extend([0; 78]);
        plain_box(out, b"sinf", |out| {
            plain_box(out, b"frma", |out| out.extend(b"avc1"));
            full_box(out, b"schm", 0, 0, |out| {
                out.extend(scheme.name().bytes());
                out.extend(0x10000_u32.to_be_bytes());
            });
            plain_box(out, b"schi", |out| tenc.write(out));
        });
    });
}

/// A fragment of two samples, 100 and 50 bytes; `senc` with these runs of each.
fn fragment(iv_size: usize, runs: [(u16, u32); 2], entry: u32) -> Vec<u8> {
    let mut out = Vec::new();
    plain_box(&mut out, b"moof", |out| {
        plain_box(out, b"traf", |out| {
            full_box(out, b"tfhd", 0, 0x2_0002, |out| {
                out.extend([1, entry].map(u32::to_be_bytes).concat());
            });
            full_box(out, b"trun", 0, 0x200, |out| {
                out.extend([2_u32, 100, 50].map(u32::to_be_bytes).concat());
            });
            full_box(out, b"sgpd", 1, 0, |out| {
                out.extend(b"seig");
                out.extend([20_u32, 1].map(u32::to_be_bytes).concat());
                out.extend([0, 0, 1, 8]);
                out.extend(ROLLED.as_bytes());
            });
            full_box(out, b"senc", 0, 2, |out| {
                out.extend(2_u32.to_be_bytes());
                for (clear, protected) in runs {
                    out.extend(vec![7; iv_size]);
                    out.extend(1_u16.to_be_bytes());
                    out.extend(clear.to_be_bytes());
                    out.extend(protected.to_be_bytes());
                }
            });
        });
    });
    plain_box(&mut out, b"mdat", |out| out.extend([0; 150]));
    out
}

const GOOD: [(u16, u32); 2] = [(4, 96), (50, 0)];

#[test]
fn an_encrypted_file_is_told_whole() {
    let file = [init(Scheme::Cbcs), fragment(0, GOOD, 1)].concat();
    let report = look(&file);
    assert_eq!(report.defects(), []);
    insta::assert_snapshot!("encrypted_file", report.to_string());
    let json = serde_json::to_value(&report).unwrap();
    insta::assert_snapshot!(
        "encrypted_file_tracks",
        serde_json::to_string_pretty(&json["tracks"]).unwrap()
    );
}

#[test]
fn coverage_is_counted_with_and_without_the_init() {
    let check = |bytes: &[u8]| {
        let media = media(bytes);
        assert_eq!(media.defects, []);
        let track = &media.tracks[0];
        assert_eq!((track.samples, track.sample_bytes), (2, 150));
        assert_eq!((track.protected_samples, track.protected_bytes), (1, 96));
        assert_eq!(track.protected_percent.to_string(), "64.00");
    };
    check(&[init(Scheme::Cenc), fragment(8, GOOD, 1)].concat());
    check(&[init(Scheme::Cbcs), fragment(0, GOOD, 1)].concat());
    for iv_size in [0, 8, 16] {
        check(&fragment(iv_size, GOOD, 1));
    }
}

/// A fragment whose `sbgp` puts so many samples under this entry.
fn grouped(iv_size: usize, samples: u32, index: u32) -> Vec<u8> {
    let plain = fragment(iv_size, GOOD, 1);
    let mut run = Vec::new();
    full_box(&mut run, b"sbgp", 0, 0, |out| {
        out.extend(b"seig");
        out.extend([1, samples, index].map(u32::to_be_bytes).concat());
    });
    let len = u32::try_from(run.len()).unwrap();
    let at = plain.windows(4).position(|window| window == b"senc").unwrap() - 4;
    let mut out = [&plain[..at], &run, &plain[at..]].concat();
    // `moof` begins the fragment, and `traf` is the first box in it.
    for size in [0, 8] {
        let grown = u32::from_be_bytes(out[size..size + 4].try_into().unwrap()) + len;
        out[size..size + 4].copy_from_slice(&grown.to_be_bytes());
    }
    out
}

#[test]
fn a_fragment_is_counted_under_the_key_that_its_group_says() {
    // The init has constant IVs; those of the group have eight bytes.
    let rolled = grouped(8, 2, 0x1_0001);
    for head in [init(Scheme::Cbcs), Vec::new()] {
        let file = [&head[..], &rolled, &rolled].concat();
        let media = media(&file);
        assert_eq!(media.defects, []);
        let track = &media.tracks[0];
        assert_eq!((track.samples, track.protected_samples), (4, 2));
        let run = KeyRun { kid: Some(ROLLED), fragments: 2, samples: 4 };
        assert_eq!(track.key_runs, [run]);
        let text = look(&file).to_string();
        let line = format!("  2 fragments, 4 samples under {}", ROLLED.to_uuid());
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    // A run of other samples, or an entry that is not there, says nothing of them all.
    for (samples, index) in [(1, 0x1_0001), (2, 0x1_0002), (2, 0), (2, 0x1_0000)] {
        let other = [init(Scheme::Cenc), grouped(8, samples, index)].concat();
        assert_eq!(media(&other).tracks[0].key_runs, []);
    }
}

#[test]
fn a_wrong_map_is_a_defect_with_its_place() {
    let told = |bytes: &[u8]| {
        let defects = media(bytes).defects;
        assert_eq!(defects.len(), 1, "{defects:?}");
        (defects[0].within.clone(), defects[0].what.clone())
    };
    let wrong_sum = [init(Scheme::Cenc), fragment(8, [(4, 96), (4, 45)], 1)].concat();
    let what = "`senc` covers 49 bytes of sample 2, which has 50";
    assert_eq!(told(&wrong_sum), ("moof/traf".to_owned(), what.to_owned()));
    let wrong_iv = [init(Scheme::Cenc), fragment(16, GOOD, 1)].concat();
    assert_eq!(told(&wrong_iv).1, "`senc` does not fit the length of the IVs");
    let mut short = fragment(8, GOOD, 1);
    let mdat = short.len() - 158;
    short.truncate(short.len() - 10);
    short[mdat..mdat + 4].copy_from_slice(&148_u32.to_be_bytes());
    assert_eq!(told(&short).1, "holds 140 bytes where the fragment's samples have 150");
}

#[test]
fn a_file_that_is_cut_says_where() {
    let file = [init(Scheme::Cbcs), fragment(0, GOOD, 1)].concat();
    let cut = &file[..file.len() - 1];
    let report = look(cut);
    let [defect] = report.defects() else { panic!("{:?}", report.defects()) };
    assert_eq!(defect.at, file.len() as u64 - 158);
    assert_eq!(defect.what, "'mdat' claims 158 bytes where 157 are left");
    // Every cut that is not between top-level boxes is a defect.
    let ends: Vec<u64> =
        media(&file).boxes.iter().map(|node| node.offset + node.size_bytes).collect();
    for len in 8..file.len() {
        let defects = media(&file[..len]).defects;
        assert_eq!(defects.is_empty(), ends.contains(&(len as u64)), "{len}");
    }
}

#[test]
fn an_encrypted_entry_without_settings_is_a_defect() {
    let file = init(Scheme::Cenc);
    let at = file.windows(4).position(|window| window == b"tenc").unwrap();
    let mut renamed = file.clone();
    renamed[at..at + 4].copy_from_slice(b"free");
    let defects = media(&renamed).defects;
    assert_eq!(defects[0].what, "an encrypted sample entry without a `tenc` that protects it");
    assert_eq!(defects[0].within, "moov/trak");
    let mut broken = file;
    let at = broken.windows(4).position(|window| window == b"pssh").unwrap();
    broken[at + 4] = 7;
    assert_eq!(media(&broken).defects[0].what, "version 7 is not supported");
}

#[test]
fn a_clear_lead_is_not_protected() {
    // The fragment names a sample entry that the init does not have, so none is encrypted.
    let mut clear = fragment(8, GOOD, 2);
    let at = clear.windows(4).position(|window| window == b"senc").unwrap();
    clear[at..at + 4].copy_from_slice(b"free");
    let media = media(&[init(Scheme::Cenc), clear].concat());
    assert_eq!(media.defects, []);
    assert_eq!((media.tracks[0].samples, media.tracks[0].protected_samples), (2, 0));
}

#[test]
fn claims_beyond_the_file_cost_nothing() {
    let run = |count: u32| {
        let mut out = Vec::new();
        plain_box(&mut out, b"moof", |out| {
            plain_box(out, b"traf", |out| {
                full_box(out, b"tfhd", 0, 0, |out| out.extend(1_u32.to_be_bytes()));
                full_box(out, b"trun", 0, 0, |out| out.extend(count.to_be_bytes()));
                full_box(out, b"senc", 0, 0, |out| out.extend(count.to_be_bytes()));
            });
        });
        out
    };
    let report = media(&run(u32::MAX));
    assert_eq!(report.tracks[0].samples, 0);
    assert!(!report.defects.is_empty());
    let nested = |depth: usize| {
        let mut inner = Vec::new();
        for _ in 0..depth {
            let mut outer = Vec::new();
            plain_box(&mut outer, b"moov", |out| out.extend(&inner));
            inner = outer;
        }
        inner
    };
    assert_eq!(media(&nested(16)).defects, []);
    assert_eq!(media(&nested(17)).defects[0].what, "deeper than 16 levels");
}

#[test]
fn manifests_are_told() {
    let presentation = fixture::in_segments();
    let dash = manifest(&manifest::mpd(&presentation));
    assert_eq!((dash.kind, dash.renditions.len(), dash.segments), (ManifestKind::Dash, 10, 30));
    assert_eq!((&dash.defects[..], &dash.license_urls[..]), (&[][..], &[][..]));
    let names = |systems: &[SystemReport]| {
        systems.iter().map(|system| system.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&dash.renditions[0].systems), ["Widevine", "PlayReady", "ClearKey"]);
    assert_eq!(dash.renditions[0].systems[1].kids, dash.renditions[0].kids);

    let master = manifest(&manifest::hls_master(&presentation, Scheme::Cbcs));
    // Three pictures, each with its key frames, and two languages.
    assert_eq!((master.kind, master.renditions.len()), (ManifestKind::HlsMultivariant, 8));
    assert_eq!(names(&master.systems), ["FairPlay", "Widevine", "PlayReady", "ClearKey"]);
    assert!(master.systems.iter().all(|system| system.kids.len() == 3));

    let track = manifest(&manifest::hls_media(&presentation, &presentation.tracks[0]));
    assert_eq!((track.kind, track.segments), (ManifestKind::HlsMedia, 3));
    insta::assert_snapshot!("manifest", look(manifest::mpd(&presentation).as_bytes()).to_string());
}

#[test]
fn broken_manifests_are_told_too() {
    let mpd = manifest::mpd(&fixture::in_segments());
    assert_eq!(manifest(&mpd[..mpd.len() / 2]).defects[0].within, "MPD");
    let url = "value=\"ClearKey1.0\"><dashif:Laurl>https://x</dashif:Laurl></ContentProtection>";
    let with_url = mpd.replacen("value=\"ClearKey1.0\"/>", url, 1);
    assert_eq!(manifest(&with_url).license_urls, ["https://x"]);
    let bad_box = mpd.replacen("<cenc:pssh>", "<cenc:pssh>AAAA", 1);
    assert_eq!(manifest(&bad_box).defects[0].within, "cbcs-video-360p");
    let playlist = "#EXTM3U\n#EXT-X-KEY:METHOD\n#EXTINF:4,\na\n";
    let told: Vec<_> =
        manifest(playlist).defects.into_iter().map(|one| (one.at, one.what)).collect();
    assert_eq!(told[0], (2, "malformed attributes".to_owned()));
    assert_eq!(told[1].1, "has no end; it is live or cut off");
}

#[test]
fn other_files_are_not_guessed_at() {
    assert!(matches!(inspect(&mut Bytes(b"")), Err(InspectError::Empty)));
    for other in
        [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], b"<html></html>", b"<", b"plain", b"\0\0\0\0"]
    {
        assert!(
            matches!(inspect(&mut Bytes(other)), Err(InspectError::UnknownFormat)),
            "{other:?}"
        );
    }
}

proptest! {
    #[test]
    fn damage_never_panics(at: usize, byte: u8, has_init: bool) {
        let mut file = if has_init { init(Scheme::Cenc) } else { Vec::new() };
        file.extend(fragment(8, GOOD, 1));
        let at = at % file.len();
        file[at] = byte;
        if let Ok(report) = inspect(&mut Bytes(&file)) {
            let _ = (report.to_string(), serde_json::to_string(&report).unwrap());
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = inspect(&mut Bytes(&bytes));
        let text = [b"#EXTM3U\n", bytes.as_slice()].concat();
        prop_assert!(inspect(&mut Bytes(&text)).is_ok());
    }
}
