//! The rule that each parser has a fuzz target.

use proc_macro2::{TokenStream, TokenTree};

use crate::mentions::{tokens, without_tests};
use crate::tree::{Finding, Tree};

/// Rooms whose parsers meet bytes and text from outside.
const ROOMS: &[&str] = &["model", "keys", "media", "dialect", "playback", "edge", "cdm"];

/// Sources (a file, or a folder with all below it) and the fuzz target that enters them.
pub const COVER: &[(&str, &str)] = &[
    ("crates/cdm/src/", "cdm"),
    ("crates/dialect/src/clearkey.rs", "clearkey"),
    ("crates/dialect/src/cpix/", "cpix"),
    ("crates/dialect/src/fairplay/", "fairplay_spc"),
    ("crates/dialect/src/fairplay/ckc.rs", "fairplay_ckc"),
    ("crates/dialect/src/playready/certificate.rs", "playready_chain"),
    ("crates/dialect/src/playready/credentials.rs", "playready_chain"),
    ("crates/dialect/src/playready/license.rs", "playready_license"),
    ("crates/dialect/src/playready/revocation.rs", "playready_chain"),
    ("crates/dialect/src/playready/", "playready"),
    ("crates/dialect/src/playready/client.rs", "playready_response"),
    ("crates/dialect/src/widevine/", "widevine"),
    ("crates/edge/src/", "edge"),
    ("crates/edge/src/cdn/", "cat"),
    ("crates/edge/src/cmcd.rs", "cmcd"),
    ("crates/keys/src/approval.rs", "keys"),
    ("crates/keys/src/fairplay/", "fairplay_spc"),
    ("crates/keys/src/key_file.rs", "keys"),
    ("crates/keys/src/kms/file/mod.rs", "keys"),
    ("crates/keys/src/p256.rs", "keys"),
    ("crates/keys/src/recipient.rs", "cpix"),
    ("crates/keys/src/rsa.rs", "keys"),
    ("crates/keys/src/session_key.rs", "keys"),
    ("crates/keys/src/signer.rs", "cpix"),
    ("crates/media/src/bmff/", "mp4"),
    ("crates/media/src/cenc/", "mp4"),
    ("crates/media/src/codec/", "h264"),
    ("crates/media/src/codec/hevc/", "hevc"),
    ("crates/media/src/codec/av1/", "av1"),
    ("crates/media/src/codec/vp9/", "vp9"),
    ("crates/media/src/images/", "images"),
    ("crates/media/src/input/", "mp4"),
    ("crates/media/src/inspect/", "mp4"),
    ("crates/media/src/live/", "live_stream"),
    ("crates/media/src/manifest/", "manifests"),
    ("crates/media/src/pssh/", "pssh"),
    ("crates/media/src/text/clock.rs", "webvtt"),
    ("crates/media/src/text/ttml/", "ttml"),
    ("crates/media/src/text/webvtt.rs", "webvtt"),
    ("crates/model/src/", "names"),
    ("crates/model/src/policy/", "policy"),
    ("crates/playback/src/grant.rs", "tokens"),
    ("crates/playback/src/issuer/", "issuer_tokens"),
    ("crates/playback/src/log_seal.rs", "tokens"),
    ("crates/playback/src/platform.rs", "names"),
    ("crates/playback/src/report.rs", "tokens"),
    ("crates/playback/src/proof.rs", "devices"),
    ("crates/playback/src/ticket.rs", "devices"),
    ("crates/playback/src/token.rs", "tokens"),
    ("crates/playback/src/vault_token.rs", "tokens"),
];

/// A public function of these names reads input, when it takes bytes or text.
fn reads_input(name: &str) -> bool {
    ["parse", "open", "inspect", "probe"].contains(&name) || name.starts_with("parse_")
}

/// Every parser lies below a row of `cover`, and every row names a target that exists.
pub fn parsers_are_fuzzed(tree: &Tree, cover: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| is_in_room(path)) {
        if cover.iter().any(|(source, _)| is_below(path, source)) {
            continue;
        }
        let mut names = Vec::new();
        public_parsers(without_tests(tokens(path, text)), &mut names);
        for (name, line) in names {
            findings.push(Finding::new(path, line, format!("`{name}` has no fuzz target")));
        }
    }
    let manifest = tree.files().find(|(path, _)| *path == "fuzz/Cargo.toml").map_or("", |(_, t)| t);
    for (source, target) in cover {
        let file = format!("fuzz/fuzz_targets/{target}.rs");
        if !tree.has(&file) || !manifest.contains(&format!("\"{target}\"")) {
            findings.push(Finding::new(
                &file,
                0,
                format!("missing, or not in fuzz/Cargo.toml: covers {source}"),
            ));
        }
        if !tree.files().any(|(path, _)| is_below(path, source)) {
            findings.push(Finding::new(source, 0, format!("{target} covers nothing here")));
        }
    }
    findings
}

fn is_in_room(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates")
        && parts.next().is_some_and(|room| ROOMS.contains(&room))
        && parts.next() == Some("src")
}

fn is_below(path: &str, source: &str) -> bool {
    path == source || source.ends_with('/') && path.starts_with(source)
}

/// Finds `pub fn NAME(… u8 or str …)`, at any depth.
fn public_parsers(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for token in &tokens {
        if let TokenTree::Group(group) = token {
            public_parsers(group.stream(), found);
        }
    }
    for (index, three) in tokens.windows(3).enumerate() {
        let [TokenTree::Ident(first), TokenTree::Ident(second), TokenTree::Ident(name)] = three
        else {
            continue;
        };
        if first == "pub" && second == "fn" && reads_input(&name.to_string()) {
            let arguments = tokens.iter().skip(index).find_map(|token| match token {
                TokenTree::Group(group) => Some(group.stream()),
                _ => None,
            });
            if arguments.is_some_and(takes_input) {
                found.push((name.to_string(), name.span().start().line));
            }
        }
    }
}

fn takes_input(arguments: TokenStream) -> bool {
    arguments.into_iter().any(|token| match token {
        TokenTree::Group(group) => takes_input(group.stream()),
        TokenTree::Ident(word) => word == "u8" || word == "str" || word == "Input",
        _ => false,
    })
}
