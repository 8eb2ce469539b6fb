//! Rules about rooms: who uses whom, who does I/O, what the viewer's side may name.

use proc_macro2::{TokenStream, TokenTree};

use crate::mentions::{Kind, Mention, mentions, tokens};
use crate::tree::{Finding, Tree};

/// A room and what it may use of the others.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    /// No I/O, no clock, no randomness, no logging.
    is_pure: bool,
}

const fn pure(name: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, may_use, is_pure: true }
}

/// The table of ARCHITECTURE.md. The binary may use all.
const ROOMS: &[Room] = &[
    pure("model", &[]),
    Room { name: "keys", may_use: &["model"], is_pure: false },
    pure("playback", &["model"]),
    pure("edge", &["model"]),
    pure("cdm", &["model", "keys", "media", "dialect"]),
    pure("media", &["model", "keys"]),
    pure("dialect", &["model", "keys"]),
    Room { name: "store", may_use: &["model", "playback"], is_pure: false },
    Room {
        name: "server",
        may_use: &["model", "keys", "media", "dialect", "playback", "edge", "store"],
        is_pure: false,
    },
];

/// Crates that a pure room does not depend on.
const IMPURE_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "axum-server",
    "chrono",
    "getrandom",
    "hyper",
    "log",
    "object_store",
    "rand",
    "reqwest",
    "rusqlite",
    "rustls",
    "sqlx",
    "time",
    "tokio",
    "tower-http",
    "tracing",
];

/// Paths that a pure room does not name.
const IMPURE_PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::*",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::Instant",
    "std::time::SystemTime",
    "aws_lc_rs::rand",
    "keys::SystemEntropy",
    "dbg!",
    "eprint!",
    "eprintln!",
    "print!",
    "println!",
];

/// Of `std::net`, the plain values.
const PURE_PATHS: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::AddrParseError",
];

fn room_of(path: &str) -> Option<&'static Room> {
    let name = path.strip_prefix("crates/")?.split('/').next()?;
    ROOMS.iter().find(|room| room.name == name)
}

/// The names of the crates that a manifest asks for, renamed ones by their own name, with the
/// name of the table they stand in.
fn dependencies(path: &str, text: &str) -> Vec<(String, String)> {
    let manifest: toml::Table = text.parse().expect(path);
    let mut found = Vec::new();
    let mut take = |table: &toml::Table| {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in
                table.get(kind).and_then(toml::Value::as_table).into_iter().flatten()
            {
                let name = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
                found.push((name.to_owned(), kind.to_owned()));
            }
        }
    };
    take(&manifest);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    targets.into_iter().flatten().filter_map(|(_, target)| target.as_table()).for_each(take);
    found
}

fn manifests(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.files().filter(|(path, _)| path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
}

/// A room uses only the rooms that its row allows, by its manifest and by what its code names.
pub fn who_uses_whom(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in manifests(tree) {
        let Some(room) = room_of(path) else {
            findings.push(Finding::new(
                path,
                0,
                "a room without a row in tests/house_rules/rooms.rs",
            ));
            continue;
        };
        for (name, _) in dependencies(path, text) {
            if is_foreign(room, &name) {
                findings.push(Finding::new(path, 0, format!("{} may not use {name}", room.name)));
            }
        }
    }
    for (path, text) in tree.rust() {
        let Some(room) = room_of(path) else { continue };
        for mention in mentions(path, text) {
            let Some(root) = mention.root().filter(|root| is_foreign(room, root)) else { continue };
            if !is_own_module(tree, room, root) {
                let what = format!("{} may not use {root}: {}", room.name, mention.path);
                findings.push(Finding::new(path, mention.line, what));
            }
        }
    }
    findings
}

/// A module of the room's own may carry the name of another room or crate.
fn is_own_module(tree: &Tree, room: &Room, name: &str) -> bool {
    let sources = format!("crates/{}/src/", room.name);
    tree.files()
        .filter_map(|(path, _)| path.strip_prefix(&sources))
        .any(|path| path.split('/').any(|part| part.strip_suffix(".rs").unwrap_or(part) == name))
}

fn is_foreign(room: &Room, name: &str) -> bool {
    name != room.name
        && !room.may_use.contains(&name)
        && ROOMS.iter().any(|other| other.name == name)
}

/// The rooms that decide do no I/O and draw neither time nor chance from anywhere.
pub fn pure_rooms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in manifests(tree).filter(|(path, _)| room_of(path).is_some_and(|r| r.is_pure))
    {
        for (name, kind) in dependencies(path, text) {
            if kind == "dependencies" && IMPURE_CRATES.contains(&name.as_str()) {
                findings.push(Finding::new(path, 0, format!("a pure room depends on {name}")));
            }
        }
    }
    for (path, text) in tree.rust() {
        let Some(room) = room_of(path).filter(|room| room.is_pure && is_product(path)) else {
            continue;
        };
        for mention in mentions(path, text) {
            if is_impure(tree, room, &mention) {
                let what = format!("a pure room names {}", mention.path);
                findings.push(Finding::new(path, mention.line, what));
            }
        }
    }
    findings
}

/// Whether a room's file is part of the product: tests may read files.
fn is_product(path: &str) -> bool {
    path.split('/').nth(2) == Some("src")
        && !path.split('/').any(|p| p == "tests" || p == "tests.rs")
}

fn is_impure(tree: &Tree, room: &Room, mention: &Mention) -> bool {
    let is_path = IMPURE_PATHS.iter().any(|banned| mention.is_below(banned));
    let is_crate = mention
        .root()
        .is_some_and(|root| IMPURE_CRATES.contains(&root) && !is_own_module(tree, room, root));
    (is_path || is_crate) && !PURE_PATHS.iter().any(|fine| mention.is_below(fine))
}

/// What faces the viewer can neither read a key nor make a license: `front` names neither
/// `keys` nor `dialect` nor the vault's code, and nothing in the server hands them on.
pub fn front_holds_no_key(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/server/src/")) {
        let is_front = path.starts_with("crates/server/src/front");
        for mention in mentions(path, text) {
            let is_banned = ["keys", "dialect"].iter().any(|room| names(&mention, room));
            let is_vault = ["crate::vault", "crate::keys", "crate::dialect"]
                .iter()
                .any(|module| mention.is_below(module));
            if is_front && (is_banned || is_vault) {
                let what = format!("front names {}", mention.path);
                findings.push(Finding::new(path, mention.line, what));
            } else if is_banned && mention.kind == Kind::PassedOn {
                let what = format!("{} is within reach of front", mention.path);
                findings.push(Finding::new(path, mention.line, what));
            }
        }
    }
    findings
}

/// A lone `keys` in code is a variable; imported, it is the room.
fn names(mention: &Mention, room: &str) -> bool {
    mention.is_below(room) && (mention.root().is_some() || mention.kind != Kind::InCode)
}

/// What makes a request to a place that the caller names.
const REACHING_OUT: &[&str] = &[
    "Client::new",
    "JwksClient::new",
    "KeyServiceClient::new",
    "RemoteObject::open",
    "ViewerClient::new",
];

/// The libraries that make requests.
const REACHING_CRATES: &[&str] = &["reqwest", "object_store"];

/// No server fetches a URL: only what opens the sources of a command makes a client, or finds
/// an object with one; only the packager asks a key service, the one on its command line; and
/// only the player is a viewer's client.
/// What a server asks over HTTP are the root key's KMS, and the identity providers of its settings
/// for their keys.
pub fn only_commands_reach_out(tree: &Tree) -> Vec<Finding> {
    let may = |path: &str| {
        path.starts_with("crates/store/src/remote/")
            || path.starts_with("src/command/source/")
            || path == "src/command/package/key_service.rs"
            || path == "src/command/play/web.rs"
            || path.starts_with("crates/server/src/front/issuers/")
    };
    let of_the_product =
        |path: &str| path.starts_with("src/") || (path.starts_with("crates/") && is_product(path));
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| of_the_product(path) && !may(path)) {
        for mention in mentions(path, text) {
            let is_call =
                |end: &str| mention.path == end || mention.path.ends_with(&format!("::{end}"));
            let is_of_kms = path.starts_with("crates/keys/src/kms/");
            let is_library = REACHING_CRATES.iter().any(|library| mention.is_below(library));
            if is_library && !is_of_kms {
                let what = format!("{} outside the root key's back ends", mention.path);
                findings.push(Finding::new(path, mention.line, what));
            }
            if REACHING_OUT.iter().any(|end| is_call(end)) {
                let what = format!("{} outside the sources of a command", mention.path);
                findings.push(Finding::new(path, mention.line, what));
            }
        }
    }
    findings
}

/// The one module that calls a C library: its file, and the folder beside it.
const UNSAFE: [&str; 2] = ["crates/keys/src/aws_lc.rs", "crates/keys/src/aws_lc/"];

/// Nothing but [`UNSAFE`] lifts the lint on unsafe code, and without lifting it there is none.
pub fn unsafe_code_is_in_one_module(tree: &Tree) -> Vec<Finding> {
    let [file, folder] = UNSAFE;
    tree.rust()
        .filter(|(path, _)| *path != file && !path.starts_with(folder))
        .filter_map(|(path, text)| Some((path, lifts_unsafe(tokens(path, text))?)))
        .map(|(path, line)| Finding::new(path, line, format!("`unsafe` outside {file}")))
        .collect()
}

/// The line of the first `unsafe`, or of the lint's name.
fn lifts_unsafe(tokens: TokenStream) -> Option<usize> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => lifts_unsafe(group.stream()),
        TokenTree::Ident(word) if word == "unsafe" || word == "unsafe_code" => {
            Some(word.span().start().line)
        }
        _ => None,
    })
}

/// `rsa` and `p256` are the tests' other opinions: they never hold a key of the product.
pub fn other_opinions_are_for_tests(tree: &Tree) -> Vec<Finding> {
    let asks = |(path, text): &(&str, &str)| {
        dependencies(path, text).iter().any(|(name, kind)| {
            ["rsa", "p256"].contains(&name.as_str()) && kind != "dev-dependencies"
        })
    };
    let what = "only tests may depend on rsa and p256";
    manifests(tree).filter(asks).map(|(path, _)| Finding::new(path, 0, what)).collect()
}

/// `anyhow` is for the binary and the tests: a room names what can go wrong.
pub fn rooms_name_their_errors(tree: &Tree) -> Vec<Finding> {
    let asks = |(path, text): &(&str, &str)| {
        dependencies(path, text)
            .iter()
            .any(|(name, kind)| name == "anyhow" && kind == "dependencies")
    };
    let what = "a room depends on anyhow";
    manifests(tree).filter(asks).map(|(path, _)| Finding::new(path, 0, what)).collect()
}

/// Every package takes the workspace's lints, so that none is laxer.
pub fn lints_are_shared(tree: &Tree) -> Vec<Finding> {
    let own = |path: &str| {
        path == "Cargo.toml" || path == "xtask/Cargo.toml" || path.starts_with("crates/")
    };
    tree.files()
        .filter(|(path, _)| own(path) && path.ends_with("Cargo.toml"))
        .filter(|(path, text)| {
            let manifest: toml::Table = text.parse().expect(path);
            let shared = manifest.get("lints").and_then(|lints| lints.get("workspace"));
            shared.and_then(toml::Value::as_bool) != Some(true)
        })
        .map(|(path, _)| Finding::new(path, 0, "does not take the workspace's lints"))
        .collect()
}
