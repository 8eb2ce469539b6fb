//! Replays the fuzz corpus on the stable compiler, each seed also damaged in many ways: what
//! `cargo xtask fuzz` looks for at length, in a moment.

#![expect(clippy::indexing_slicing, reason = "the mutator keeps within its own buffer")]

use std::path::Path;

#[path = "../fuzz/entries/av1.rs"]
mod av1_entry;
#[path = "../fuzz/entries/cat.rs"]
mod cat_entry;
#[path = "../fuzz/entries/cdm.rs"]
mod cdm_entry;
#[path = "../fuzz/entries/cmcd.rs"]
mod cmcd_entry;
#[path = "../fuzz/entries/cpix.rs"]
mod cpix_entry;
#[path = "../fuzz/entries/devices.rs"]
mod devices_entry;
#[path = "../fuzz/entries/edge.rs"]
mod edge_entry;
#[path = "../fuzz/entries/fairplay_ckc.rs"]
mod fairplay_ckc_entry;
#[path = "../fuzz/entries/fairplay_spc.rs"]
mod fairplay_spc_entry;
#[path = "../fuzz/entries/h264.rs"]
mod h264_entry;
#[path = "../fuzz/entries/hevc.rs"]
mod hevc_entry;
#[path = "../fuzz/entries/images.rs"]
mod images_entry;
#[path = "../fuzz/entries/issuer_tokens.rs"]
mod issuer_tokens_entry;
#[path = "../fuzz/entries/keys.rs"]
mod keys_entry;
#[path = "../fuzz/entries/live_stream.rs"]
mod live_stream_entry;
#[path = "../fuzz/entries/manifests.rs"]
mod manifests_entry;
#[path = "../fuzz/entries/mp4.rs"]
mod mp4_entry;
#[path = "../fuzz/entries/names.rs"]
mod names_entry;
#[path = "../fuzz/entries/playready_chain.rs"]
mod playready_chain_entry;
#[path = "../fuzz/entries/playready.rs"]
mod playready_entry;
#[path = "../fuzz/entries/playready_license.rs"]
mod playready_license_entry;
#[path = "../fuzz/entries/playready_response.rs"]
mod playready_response_entry;
#[path = "../fuzz/entries/policy.rs"]
mod policy_entry;
#[path = "../fuzz/entries/pssh.rs"]
mod pssh_entry;
#[path = "../fuzz/entries/tokens.rs"]
mod tokens_entry;
#[path = "../fuzz/entries/ttml.rs"]
mod ttml_entry;
#[path = "../fuzz/entries/vp9.rs"]
mod vp9_entry;
#[path = "../fuzz/entries/webvtt.rs"]
mod webvtt_entry;
#[path = "../fuzz/entries/widevine.rs"]
mod widevine_entry;

/// Damaged copies of each seed.
const COPIES: u32 = 300;
const COPIES_LONG: u32 = 30_000;

/// A seeded source of numbers (xorshift64), so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    /// Changes, removes, repeats or cuts off bytes, a few times.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let (from, length) = (self.below(bytes.len() + 1), self.below(9));
            let end = (from + length).min(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(from),
                1 => drop(bytes.drain(from..end)),
                2 => {
                    let again = bytes[from..end].to_vec();
                    bytes.splice(from..from, again);
                }
                3 => bytes[from..end].fill([0, 1, 0x7f, 0x80, 0xff][self.below(5)]),
                _ => bytes[from..end].iter_mut().for_each(|byte| *byte ^= 1 << self.below(8)),
            }
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let copies = if std::env::var_os("STRONGROOM_LONG").is_some() { COPIES_LONG } else { COPIES };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    run(&[]);
    for entry in std::fs::read_dir(&folder).expect("the target has seeds") {
        let seed = std::fs::read(entry.expect("a seed").path()).expect("the seed can be read");
        run(&seed);
        for _ in 0..copies {
            let mut copy = seed.clone();
            dice.damage(&mut copy);
            run(&copy);
        }
    }
}

#[test]
fn av1() {
    replay("av1", av1_entry::run);
}

#[test]
fn cat() {
    replay("cat", cat_entry::run);
}

#[test]
fn cdm() {
    replay("cdm", cdm_entry::run);
}

#[test]
fn cmcd() {
    replay("cmcd", cmcd_entry::run);
}

#[test]
fn cpix() {
    replay("cpix", cpix_entry::run);
}

#[test]
fn edge() {
    replay("edge", edge_entry::run);
}

#[test]
fn fairplay_ckc() {
    replay("fairplay_ckc", fairplay_ckc_entry::run);
}

#[test]
fn fairplay_spc() {
    replay("fairplay_spc", fairplay_spc_entry::run);
}

#[test]
fn h264() {
    replay("h264", h264_entry::run);
}

#[test]
fn hevc() {
    replay("hevc", hevc_entry::run);
}

#[test]
fn images() {
    replay("images", images_entry::run);
}

#[test]
fn issuer_tokens() {
    replay("issuer_tokens", issuer_tokens_entry::run);
}

#[test]
fn keys() {
    replay("keys", keys_entry::run);
}

#[test]
fn live_stream() {
    replay("live_stream", live_stream_entry::run);
}

#[test]
fn manifests() {
    replay("manifests", manifests_entry::run);
}

#[test]
fn mp4() {
    replay("mp4", mp4_entry::run);
}

#[test]
fn names() {
    replay("names", names_entry::run);
}

#[test]
fn playready_chain() {
    replay("playready_chain", playready_chain_entry::run);
}

#[test]
fn playready_license() {
    replay("playready_license", playready_license_entry::run);
}

#[test]
fn playready() {
    replay("playready", playready_entry::run);
}

#[test]
fn playready_response() {
    replay("playready_response", playready_response_entry::run);
}

#[test]
fn policy() {
    replay("policy", policy_entry::run);
}

#[test]
fn pssh() {
    replay("pssh", pssh_entry::run);
}

#[test]
fn devices() {
    replay("devices", devices_entry::run);
}

#[test]
fn tokens() {
    replay("tokens", tokens_entry::run);
}

#[test]
fn vp9() {
    replay("vp9", vp9_entry::run);
}

#[test]
fn ttml() {
    replay("ttml", ttml_entry::run);
}

#[test]
fn webvtt() {
    replay("webvtt", webvtt_entry::run);
}

#[test]
fn widevine() {
    replay("widevine", widevine_entry::run);
}
