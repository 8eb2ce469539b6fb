//! The rules of the house that a machine can check (ARCHITECTURE.md, CONTRIBUTING.md).
//!
//! Each rule is a function from a tree of files to findings. `the_house` holds the repository
//! to all of them; below it, each rule is broken once on a made-up tree and must notice.

#[path = "house_rules/mentions.rs"]
mod mentions;
#[path = "house_rules/parsers.rs"]
mod parsers;
#[path = "house_rules/rooms.rs"]
mod rooms;
#[path = "house_rules/shape.rs"]
mod shape;
#[path = "house_rules/tree.rs"]
mod tree;
#[path = "house_rules/words.rs"]
mod words;

use tree::{Finding, Tree};

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[(&str, Rule)] = &[
    ("who uses whom", rooms::who_uses_whom),
    ("pure rooms", rooms::pure_rooms),
    ("front holds no key", rooms::front_holds_no_key),
    ("only commands reach out", rooms::only_commands_reach_out),
    ("rooms name their errors", rooms::rooms_name_their_errors),
    ("unsafe code is in one module", rooms::unsafe_code_is_in_one_module),
    ("other opinions are for tests", rooms::other_opinions_are_for_tests),
    ("lints are shared", rooms::lints_are_shared),
    ("files are short", shape::files_are_short),
    ("modules say what they are", shape::modules_say_what_they_are),
    ("names mean something", shape::names_mean_something),
    ("documents exist", shape::documents_exist),
    ("nothing is left undone", words::nothing_is_left_undone),
    ("text names no machine", words::text_names_no_machine),
    ("parsers are fuzzed", |tree| parsers::parsers_are_fuzzed(tree, parsers::COVER)),
];

#[test]
fn the_house() {
    let tree = Tree::of_repository();
    let mut report = String::new();
    for (name, rule) in RULES {
        for Finding { path, line, what } in rule(&tree) {
            report += &format!("  {name}: {path}:{line}: {what}\n");
        }
    }
    assert!(report.is_empty(), "the house rules are broken:\n{report}");
}

#[test]
fn the_rules_see_the_repository() {
    let tree = Tree::of_repository();
    assert!(tree.has("crates/model/src/lib.rs"));
    assert!(tree.rust().count() > 50);
}

/// What a rule says about made-up files, as `path:line` in order.
fn broken(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    let mut findings = rule(&Tree::made_of(files));
    findings.sort();
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn a_room_that_uses_a_room_beyond_its_row_is_found() {
    let rule = rooms::who_uses_whom;
    let media = "crates/media/Cargo.toml";
    assert_eq!(broken(rule, &[(media, "[dependencies]\nkeys.workspace = true")]), NONE);
    assert_eq!(
        broken(rule, &[(media, "[dependencies]\nstore.workspace = true")]),
        ["crates/media/Cargo.toml:0"]
    );
    let renamed = "[dependencies]\nrows = { package = \"store\", path = \"../store\" }";
    assert_eq!(broken(rule, &[(media, renamed)]), ["crates/media/Cargo.toml:0"]);
    let in_tests = "[dev-dependencies]\nserver.workspace = true";
    assert_eq!(broken(rule, &[(media, in_tests)]), ["crates/media/Cargo.toml:0"]);
    assert_eq!(broken(rule, &[("crates/cellar/Cargo.toml", "")]), ["crates/cellar/Cargo.toml:0"]);
}

#[test]
fn a_path_into_a_room_beyond_the_row_is_found() {
    let rule = rooms::who_uses_whom;
    let file = "crates/playback/src/lease.rs";
    assert_eq!(
        broken(rule, &[(file, "\nfn f() { store::Store::open() }")]),
        ["crates/playback/src/lease.rs:2"]
    );
    // Its own module may be called as another room is.
    let own = [(file, "mod keys; fn f() { keys::f() }"), ("crates/playback/src/keys.rs", "")];
    assert_eq!(broken(rule, &own), NONE);
}

#[test]
fn io_in_a_pure_room_is_found() {
    let rule = rooms::pure_rooms;
    let file = "crates/edge/src/path.rs";
    for line in [
        "use std::fs;",
        "use std::{io, fs::File};",
        "use std::net::TcpStream;",
        "fn f() { std::env::var(\"A\"); }",
        "fn f() { std::time::SystemTime::now(); }",
        "use std::time::{Duration, Instant};",
        "fn f() { println!(); }",
        "use tokio::sync::Mutex;",
        "use keys::SystemEntropy;",
        "fn f() { tracing::info!(\"x\"); }",
    ] {
        assert_eq!(broken(rule, &[(file, line)]), ["crates/edge/src/path.rs:1"], "{line}");
    }
    let manifest = [("crates/edge/Cargo.toml", "[dependencies]\ntokio.workspace = true")];
    assert_eq!(broken(rule, &manifest), ["crates/edge/Cargo.toml:0"]);
}

#[test]
fn a_pure_room_may_name_addresses_and_its_tests_may_read_files() {
    let rule = rooms::pure_rooms;
    let fine = "use std::net::IpAddr; use std::io::Read; fn f(print: u8) { print != 1 } #[cfg(test)] mod tests { use std::fs; }";
    assert_eq!(broken(rule, &[("crates/edge/src/path.rs", fine)]), NONE);
    assert_eq!(broken(rule, &[("crates/edge/tests/corpus.rs", "use std::fs;")]), NONE);
    assert_eq!(broken(rule, &[("crates/store/src/objects.rs", "use std::fs;")]), NONE);
}

#[test]
fn a_key_within_reach_of_the_viewer_is_found() {
    let rule = rooms::front_holds_no_key;
    let front = "crates/server/src/front/license_proxy.rs";
    for line in [
        "use keys::ContentKey;",
        "use keys as k;",
        "fn f() { dialect::clearkey::parse(b\"\"); }",
        "use crate::vault::license;",
    ] {
        let found = broken(rule, &[(front, line)]);
        assert_eq!(found, ["crates/server/src/front/license_proxy.rs:1"], "{line}");
    }
    let passed_on = [("crates/server/src/lib.rs", "pub(crate) use keys::ContentKey as Opaque;")];
    assert_eq!(broken(rule, &passed_on), ["crates/server/src/lib.rs:1"]);
    assert_eq!(
        broken(rule, &[("crates/server/src/vault/license.rs", "use keys::ContentKey;")]),
        NONE
    );
    assert_eq!(broken(rule, &[(front, "use model::dialect::Dialect; // keys::")]), NONE);
}

#[test]
fn a_server_that_reaches_out_is_found() {
    let rule = rooms::only_commands_reach_out;
    let server = "crates/server/src/vault/license.rs";
    for line in ["fn f() { Client::new(s, h); }", "fn f() { remote::RemoteObject::open(c, a); }"] {
        assert_eq!(broken(rule, &[(server, line)]), ["crates/server/src/vault/license.rs:1"]);
        assert_eq!(broken(rule, &[("src/command/serve.rs", line)]), ["src/command/serve.rs:1"]);
        assert_eq!(broken(rule, &[("src/command/source/mod.rs", line)]), NONE);
    }
    assert_eq!(broken(rule, &[(server, "use store::remote::Client;")]), NONE);
    let line = "fn f() { reqwest::get(url); }";
    assert_eq!(broken(rule, &[(server, line)]), ["crates/server/src/vault/license.rs:1"]);
    assert_eq!(broken(rule, &[("crates/keys/src/kms/vault/mod.rs", line)]), NONE);
    let asks = "fn f() { KeyServiceClient::new(u, s); }";
    assert_eq!(broken(rule, &[(server, asks)]), ["crates/server/src/vault/license.rs:1"]);
    assert_eq!(broken(rule, &[("src/command/package/mod.rs", asks)]).len(), 1);
    assert_eq!(broken(rule, &[("src/command/package/key_service.rs", asks)]), NONE);
    let keys = "fn f() { JwksClient::new(i, m); reqwest::get(url); }";
    assert_eq!(broken(rule, &[(server, keys)]).len(), 2);
    assert_eq!(broken(rule, &[("crates/server/src/front/issuers/mod.rs", keys)]), NONE);
    let plays = "fn f() { ViewerClient::new(s); }";
    assert_eq!(broken(rule, &[(server, plays)]), ["crates/server/src/vault/license.rs:1"]);
    assert_eq!(broken(rule, &[("src/command/play/mod.rs", plays)]).len(), 1);
    assert_eq!(broken(rule, &[("src/command/play/web.rs", plays)]), NONE);
}

#[test]
fn a_room_with_nameless_errors_is_found() {
    let manifest = [("crates/media/Cargo.toml", "[dependencies]\nanyhow = \"1\"")];
    assert_eq!(broken(rooms::rooms_name_their_errors, &manifest), ["crates/media/Cargo.toml:0"]);
}

#[test]
fn a_package_with_lints_of_its_own_is_found() {
    let rule = rooms::lints_are_shared;
    let path = "crates/media/Cargo.toml";
    assert_eq!(broken(rule, &[(path, "[lints]\nworkspace = true")]), NONE);
    assert_eq!(
        broken(rule, &[(path, "[lints.clippy]\nall = \"allow\"")]),
        ["crates/media/Cargo.toml:0"]
    );
}

#[test]
fn a_long_file_is_found_and_a_generated_one_is_not() {
    let rule = shape::files_are_short;
    let (fits, long) = ("//\n".repeat(600), "//\n".repeat(601));
    assert_eq!(broken(rule, &[("src/a.rs", &fits)]), NONE);
    assert_eq!(broken(rule, &[("web/src/a.ts", &long)]), ["web/src/a.ts:0"]);
    assert_eq!(broken(rule, &[("crates/dialect/src/generated/a.rs", &long)]), NONE);
}

#[test]
fn a_module_that_does_not_say_what_it_is_is_found() {
    let rule = shape::modules_say_what_they_are;
    let files = [("src/a.rs", "//! What it is.\n"), ("crates/x/build.rs", "fn main() {}\n")];
    assert_eq!(broken(rule, &files), ["crates/x/build.rs:1"]);
}

#[test]
fn a_name_that_says_nothing_is_found() {
    let rule = shape::names_mean_something;
    let files = [
        ("crates/media/src/utils.rs", ""),
        ("tests/common/mod.rs", ""),
        ("web/src/helpers.test.ts", ""),
        ("crates/media/src/common_system.rs", ""),
    ];
    let expected =
        ["crates/media/src/utils.rs:0", "tests/common/mod.rs:0", "web/src/helpers.test.ts:0"];
    assert_eq!(broken(rule, &files), expected);
}

#[test]
fn a_missing_document_is_found() {
    let found = broken(shape::documents_exist, &[("README.md", "# x"), ("SECURITY.md", " \n")]);
    assert!(!found.contains(&"README.md:0".to_owned()));
    for name in ["ARCHITECTURE.md:0", "CHANGELOG.md:0", "SECURITY.md:0", "LICENSE-MIT:0"] {
        assert!(found.contains(&name.to_owned()), "{name} in {found:?}");
    }
}

#[test]
fn work_left_undone_is_found_unless_it_names_its_issue() {
    let rule = words::nothing_is_left_undone;
    for line in [
        concat!("// TO", "DO later"),
        concat!("// FIX", "ME"),
        concat!("to", "do!()"),
        concat!("unimple", "mented!()"),
        concat!("#[ig", "nore]"),
        concat!("#[ig", "nore = \"slow\"]"),
        concat!("#[al", "low(dead_code)]"),
        concat!("#![al", "low(dead_code)]"),
    ] {
        assert_eq!(broken(rule, &[("src/a.rs", line)]), ["src/a.rs:1"], "{line}");
        assert_eq!(broken(rule, &[("src/a.rs", &format!("{line} // #12"))]), NONE, "{line}");
    }
    assert_eq!(broken(rule, &[("web/a.ts", concat!("// XX", "X"))]), ["web/a.ts:1"]);
    assert_eq!(broken(rule, &[("src/a.rs", concat!("// the code XX", "XX-XX", "XX"))]), NONE);
}

#[test]
fn a_place_of_one_machine_is_found() {
    let rule = words::text_names_no_machine;
    for line in [
        concat!("cd /ho", "me/ada/strongroom"),
        concat!("\"/wo", "rk/main\""),
        concat!("https://registry.", "npmjs.org/x"),
        concat!("index-url = https://pypi", ".org/simple"),
    ] {
        assert_eq!(broken(rule, &[("docs/a.md", line)]), ["docs/a.md:1"], "{line}");
    }
    let fine =
        [("docs/a.md", "media/work/x"), ("Cargo.lock", concat!("https://index.", "crates.io"))];
    assert_eq!(broken(rule, &fine), NONE);
}

#[test]
fn a_parser_without_a_fuzz_target_is_found() {
    let source = "crates/media/src/pssh.rs";
    let parser = "impl Pssh { pub fn parse(bytes: &[u8]) -> Option<Self> { None } }";
    let manifest = "[[bin]]\nname = \"pssh\"";
    let tree = |files: &[(&str, &str)], cover: &[(&str, &str)]| {
        let findings = parsers::parsers_are_fuzzed(&Tree::made_of(files), cover);
        findings.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    let whole =
        [(source, parser), ("fuzz/fuzz_targets/pssh.rs", ""), ("fuzz/Cargo.toml", manifest)];
    assert_eq!(tree(&whole, &[(source, "pssh")]), NONE);
    assert_eq!(tree(&whole, &[]), [source], "a parser in no row");
    assert_eq!(
        tree(&whole[..1], &[(source, "pssh")]),
        ["fuzz/fuzz_targets/pssh.rs"],
        "no such target"
    );
    let gone = tree(&whole[1..], &[("crates/media/src/pssh.rs", "pssh")]);
    assert_eq!(gone, [source], "a row for a file that is gone");
    let private = "fn parse(bytes: &[u8]) {} pub fn parse_kind(kind: Kind) {}";
    assert_eq!(tree(&[(source, private)], &[]), NONE);
}

#[test]
fn unsafe_code_outside_its_module_is_found() {
    let rule = rooms::unsafe_code_is_in_one_module;
    let text = "fn f() {\n    unsafe { g() }\n}";
    assert_eq!(broken(rule, &[("crates/keys/src/aws_lc.rs", text)]), NONE);
    assert_eq!(broken(rule, &[("crates/keys/src/aws_lc/ec.rs", text)]), NONE);
    assert_eq!(broken(rule, &[("crates/keys/src/rsa.rs", text)]), ["crates/keys/src/rsa.rs:2"]);
    let lifted = "#![expect(unsafe_code, reason = \"speed\")]";
    assert_eq!(broken(rule, &[("src/main.rs", lifted)]), ["src/main.rs:1"]);
    assert_eq!(broken(rule, &[("src/main.rs", "// unsafe\nfn f() {}")]), NONE);
}

#[test]
fn another_opinion_outside_tests_is_found() {
    let rule = rooms::other_opinions_are_for_tests;
    let keys = "crates/keys/Cargo.toml";
    assert_eq!(broken(rule, &[(keys, "[dev-dependencies]\nrsa.workspace = true")]), NONE);
    assert_eq!(
        broken(rule, &[(keys, "[dependencies]\nrsa.workspace = true")]),
        ["crates/keys/Cargo.toml:0"]
    );
    assert_eq!(
        broken(rule, &[(keys, "[dependencies]\np256 = \"1\"")]),
        ["crates/keys/Cargo.toml:0"]
    );
}
