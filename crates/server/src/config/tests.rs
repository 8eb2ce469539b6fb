//! Settings: what is understood, and what is refused.

use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::parse(text, "strongroom.toml", variables).map_err(|error| error.to_string())
}

#[test]
fn nothing_said_means_the_embedded_stores() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config.database_url(), "sqlite://strongroom-data/strongroom.db");
    assert_eq!(config.mode, Mode::Development);
}

#[test]
fn variables_override_the_file() {
    let text = "[listen]\naddress = \"127.0.0.1:1\"\n[tokens]\nlicense_url_s = 20";
    let variables = [
        ("STRONGROOM_LISTEN_ADDRESS", "127.0.0.1:2"),
        ("STRONGROOM_CORS_ALLOWED_ORIGINS", r#"["https://tv.example"]"#),
        ("STRONGROOM_S3_ENDPOINT", "http://127.0.0.1:9000"),
        ("STRONGROOM_S3_ALLOW_HTTP", "true"),
        ("STRONGROOM_LOG", "debug"),
        ("PATH", "/bin"),
    ];
    let config = parse(text, &variables).unwrap();
    assert_eq!(config.listen.address.port(), 2);
    assert_eq!(config.tokens.license_url_s, 20);
    assert_eq!(config.cors.allowed_origins, ["https://tv.example"]);
    assert_eq!(config.s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert!(config.s3.allow_http);
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (text, says) in [
        ("lisen = 1", "lisen"),
        ("[listen]\nadress = \"x\"", "adress"),
        ("[tokens]\nlicense_url_s = \"x\"", "license_url_s"),
        ("mode = \"prod\"", "prod"),
        ("[", "strongroom.toml"),
        ("[tokens]\nlicense_url_s = 4", "tokens.license_url_s"),
        ("[tokens]\nlicense_url_s = 121", "tokens.license_url_s"),
        ("[listen]\ntls_certificate = \"a.pem\"", "listen.tls_certificate"),
        ("[cors]\nallowed_origins = [\"*\"]", "cors.allowed_origins"),
        ("[cors]\nallowed_origins = [\"https://tv.example/\"]", "cors.allowed_origins"),
        ("[cors]\nallowed_origins = [\"https://TV.example\"]", "cors.allowed_origins"),
        ("[cors]\nallowed_origins = [\"null\"]", "cors.allowed_origins"),
        ("[listen]\npublic_origin = \"tv.example\"", "listen.public_origin"),
        ("[listen]\npublic_origin = \"https://tv.example/x\"", "listen.public_origin"),
    ] {
        let error = parse(text, &[]).expect_err(text);
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(parse("", &[("STRONGROOM_LISTEN_ADRESS", "x")]).is_err());
    assert!(parse("", &[("STRONGROOM_MODE", "prod")]).is_err());
    assert!(parse("", &[("STRONGROOM_TEST_FOLDER", "x"), ("STRONGROOM_LOG", "debug")]).is_ok());
}

#[test]
fn production_refuses_plain_http_and_a_file_as_root_key() {
    let refused = |text: &str| parse(text, &[]).unwrap_err();
    assert!(refused("mode = \"production\"").contains("listen.tls_certificate"));
    let behind = "mode = \"production\"\n[listen]\nbehind_proxy = true\n";
    assert!(refused(behind).contains("allow_file_in_production"));
    assert!(parse(&format!("{behind}[keys]\nallow_file_in_production = true"), &[]).is_ok());
    assert!(parse(&format!("{behind}{TOKEN}"), &[]).is_ok());
}

/// A token that is described well enough.
const TOKEN: &str = "[keys]\nbackend = \"pkcs11\"\n[keys.pkcs11]\nmodule = \"/m.so\"\n\
    token_label = \"t\"\npin_env = \"PIN\"\n";

#[test]
fn a_token_is_described_whole_or_refused() {
    let token = parse(TOKEN, &[]).unwrap().keys.pkcs11.unwrap();
    assert_eq!((token.key_label.as_str(), token.create), ("strongroom", false));
    let without = |line: &str| TOKEN.replace(line, "");
    for (text, says) in [
        (without("backend = \"pkcs11\"\n"), "keys.pkcs11"),
        ("[keys]\nbackend = \"pkcs11\"".to_owned(), "keys.pkcs11"),
        ("[keys]\nbackend = \"hsm\"".to_owned(), "hsm"),
        (without("module = \"/m.so\"\n"), "keys.pkcs11.module"),
        (without("token_label = \"t\"\n"), "keys.pkcs11.token_label"),
        (format!("{TOKEN}slot = 1"), "keys.pkcs11.token_label"),
        (without("pin_env = \"PIN\"\n"), "keys.pkcs11.pin_file"),
        (format!("{TOKEN}pin_file = \"/pin\""), "keys.pkcs11.pin_file"),
        (format!("{TOKEN}pin = \"1234\""), "unknown field `pin`"),
        (format!("{TOKEN}key_label = \"\""), "keys.pkcs11.key_label"),
        (format!("{TOKEN}deadline_ms = 801"), "keys.pkcs11.deadline_ms"),
    ] {
        let error = parse(&text, &[]).expect_err(&text);
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_cache_and_a_break_glass_that_promise_too_much_are_refused() {
    let cache = [("STRONGROOM_KEYS_CACHE_SERVE_DURING_OUTAGE", "true")];
    assert!(parse("", &cache).unwrap().keys.cache.serve_during_outage);
    let glass = "[keys.break_glass]\ncertificate = \"/c.der\"\n";
    let ada = format!("ada:{}", "A".repeat(43));
    for (text, says) in [
        ("[keys.cache]\ncek_s = 301".to_owned(), "keys.cache.cek_s"),
        ("[keys.cache]\nceks = 65537".to_owned(), "keys.cache.ceks"),
        (glass.to_owned(), "keys.break_glass.operators"),
        (format!("{glass}operators = [\"ada\"]"), "keys operator"),
        (format!("{glass}operators = [{ada:?}]"), "fewer operators"),
        (format!("{glass}operators = [{ada:?}, {ada:?}]"), "same name or the same key"),
        (format!("{glass}operators = [{ada:?}]\napprovals = 1"), "keys.break_glass.approvals"),
    ] {
        let error = parse(&text, &[]).expect_err(&text);
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn variables_reach_the_token() {
    let variables = [
        ("STRONGROOM_KEYS_BACKEND", "pkcs11"),
        ("STRONGROOM_KEYS_PKCS11_MODULE", "/m.so"),
        ("STRONGROOM_KEYS_PKCS11_SLOT", "3"),
        ("STRONGROOM_KEYS_PKCS11_PIN_FILE", "/pin"),
        ("STRONGROOM_KEYS_PKCS11_CREATE", "true"),
    ];
    let token = parse("", &variables).unwrap().keys.pkcs11.unwrap();
    assert_eq!((token.slot, token.create), (Some(3), true));
    let unknown = [("STRONGROOM_KEYS_PKCS11_MODUL", "/m.so")];
    assert!(parse(TOKEN, &unknown).is_err());
}

#[test]
fn issuers_are_sections_of_their_own() {
    let two = "[[issuer]]\nurl = 'https://login.example'\naudiences = ['tv']\nprovision = true\n\
               plan = 'standard'\n[[issuer]]\nurl = 'https://other.example'\naudiences = ['tv']";
    let config = parse(two, &[]).unwrap();
    let urls: Vec<&str> = config.issuer.iter().map(|issuer| issuer.url.as_str()).collect();
    assert_eq!(urls, ["https://login.example", "https://other.example"]);
    assert!(config.issuer[0].provision && !config.issuer[1].provision);
    let twice = two.replace("other", "login");
    assert!(parse(&twice, &[]).unwrap_err().contains("stands twice"));
    let none = two.replace("['tv']", "[]");
    assert!(parse(&none, &[]).unwrap_err().contains("issuer.audiences"));
}
