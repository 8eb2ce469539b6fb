//! Signed URLs at the own edge: passes, Common Access Tokens, what refuses them and how (R130,
//! R132, R135, R136).

use crate::delivery::{package_film, pass_for};
use crate::house::{House, Reply, get, path_of};
use crate::mmdb;
use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode, Uri, header};
use edge::cdn::Scope;
use edge::{EdgePass, signed_url};
use model::{ContentId, Country, Dialect, PlaybackSessionId, TrackClass, TrackClasses};
use server::Config;
use server::config::cdn::{Algorithm, Cdn};
use server::config::edge::CatIssuer;
use std::os::unix::fs::PermissionsExt as _;

const SECRET: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const MEDIA: &str = "cbcs/video-360p/1.m4s";
const TOKEN_HEADER: HeaderName = HeaderName::from_static("cta-common-access-token");

async fn house(edit: impl FnOnce(&mut Config)) -> House {
    let house = House::with(edit, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    house.title("other").await;
    package_film(&house);
    house
}

/// The CDN `name`, which signs with tokens, and an edge that takes them.
fn with_tokens(config: &mut Config) {
    let file = config.data.join("cat.hex");
    std::fs::write(&file, SECRET).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let country = config.data.join("country.mmdb");
    std::fs::write(&country, mmdb::country([203, 0, 113], "NL")).unwrap();
    config.region.database = Some(country);
    let cdn = |name: &str, bind_country, renders_manifests| {
        let text = format!(
            "name = \"{name}\"\nbase_url = \"http://tv.example/v/\"\nsigning = \"cat\"\n\
             key_file = {file:?}\nkey_id = \"1\"\nissuer = \"tv\"\nalgorithm = \"HS256\"\n\
             bind_country = {bind_country}\nrenders_manifests = {renders_manifests}\n"
        );
        parsed::<Cdn>(&text)
    };
    config.cdn =
        vec![cdn("renders", false, true), cdn("media", false, false), cdn("country", true, false)];
    config.edge.cat = vec![CatIssuer {
        issuer: "tv".to_owned(),
        key_id: "1".to_owned(),
        algorithm: Algorithm::Hs256,
        key_file: Some(file),
        key_env: None,
    }];
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).unwrap()
}

fn scope(house: &House, edit: impl FnOnce(&mut EdgePass)) -> Scope {
    let mut pass = EdgePass {
        content_id: ContentId::parse("film").unwrap(),
        session: PlaybackSessionId::from_bytes([1; 16]),
        classes: TrackClasses::up_to(TrackClass::Sd),
        dialect: Dialect::ClearKey,
        expires: house.clock.now().plus_s(60),
    };
    edit(&mut pass);
    let country = Country::parse("NL");
    Scope { pass, issued: house.clock.now(), country, address: None }
}

/// The path and query of a signed object.
fn signed(house: &House, cdn: &str, object: &str) -> String {
    let cdn = house.service.delivery.steering.cdns().named(cdn).unwrap();
    let url = cdn.sign(&scope(house, |_| {})).unwrap().url(object);
    path_of(&url).to_owned()
}

async fn with_header(house: &House, path: &str, name: HeaderName, value: &str) -> Reply {
    house.send(get(path).header(name, value).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_token_opens_its_title_like_a_pass() {
    let house = house(with_tokens).await;
    let media = signed(&house, "media", MEDIA);
    let whole = house.get(&media).await;
    whole.assert_granted();
    assert_eq!(whole.body.len(), 200_000);
    let (path, token) = media.split_once("?CAT=").unwrap();
    with_header(&house, path, TOKEN_HEADER, token).await.assert_granted();
    let cookie = format!("a=b; CTA-Common-Access-Token={token}");
    with_header(&house, path, header::COOKIE, &cookie).await.assert_granted();
    let head = Request::head(&media).body(Body::empty()).unwrap();
    assert_eq!(house.send(head).await.header("content-length"), "200000");
    let range = with_header(&house, &media, header::RANGE, "bytes=0-23").await;
    assert_eq!((range.status, range.body.len()), (StatusCode::PARTIAL_CONTENT, 24));
    let by_url = house.get(&format!("{path}/range/0-23?CAT={token}")).await;
    assert_eq!((by_url.status, by_url.body), (StatusCode::OK, range.body));
    // What the manifest shows is what the token says; one that says nothing shows nothing.
    let manifest = house.get(&signed(&house, "renders", "manifest.mpd")).await;
    manifest.assert_granted();
    assert!(manifest.text().contains("video-360p") && !manifest.text().contains("video-720p"));
    let closed = house.get(&signed(&house, "media", "manifest.mpd")).await;
    closed.assert_refused(404, "not_found");
}

#[tokio::test]
async fn a_token_opens_nothing_else() {
    let house = house(with_tokens).await;
    let media = signed(&house, "media", MEDIA);
    let (path, token) = media.split_once("?CAT=").unwrap();
    let other = path.replace("/film/", "/other/");
    let longer = format!("{token}A");
    let cut = &token[..token.len() - 1];
    let flipped = token.replacen('0', "1", 1);
    assert_ne!(flipped, token);
    for refused in [
        format!("{other}?CAT={token}"),
        path.to_owned(),
        format!("{path}?cat={token}"),
        format!("{path}?Cat={token}"),
        format!("{path}?%43AT={token}"),
        format!("{path}?CAT={token}&CAT={token}"),
        format!("{path}?CAT=x&CAT={token}"),
        format!("{path}?CAT={token}&CAT="),
        format!("{path}?CAT="),
        format!("{path}?CAT={token}="),
        format!("{path}?CAT={token}%3D"),
        format!("{path}?CAT=%30{}", &token[1..]),
        format!("{path}?CAT={longer}"),
        format!("{path}?CAT={cut}"),
        format!("{path}?CAT={flipped}"),
        format!("{path}?CAT={}", token.to_lowercase()),
        format!("{path};CAT={token}"),
        format!("{path}?x=1;CAT={token}"),
    ] {
        let reply = house.get(&refused).await;
        assert!([403, 404].contains(&reply.status.as_u16()), "{refused} {}", reply.status);
        assert_eq!(reply.header("cache-control"), "no-store", "{refused}");
    }
    let post = Request::post(&media).body(Body::empty()).unwrap();
    assert_eq!(house.send(post).await.status, StatusCode::METHOD_NOT_ALLOWED);
    // A good pass in the path or the cookie does not cover for a bad token, nor the other way.
    let good = pass_for(&house, |_| {});
    let cookie = format!("__Secure-strongroom-pass={good}");
    with_header(&house, path, header::COOKIE, &cookie).await.assert_granted();
    let reply = with_header(&house, &format!("{path}?CAT={cut}"), header::COOKIE, &cookie).await;
    reply.assert_refused(403, "pass_invalid");
    let bad = format!("/v/film/~{}/{MEDIA}?CAT={token}", &good[1..]);
    house.get(&bad).await.assert_refused(403, "pass_invalid");
    let twice = with_header(&house, &media, TOKEN_HEADER, token).await;
    twice.assert_refused(403, "pass_invalid");
    house.clock.advance_ms(59_499);
    house.get(&media).await.assert_granted();
    house.clock.advance_ms(1);
    house.get(&media).await.assert_refused(403, "pass_expired");
}

#[tokio::test]
async fn a_token_of_one_country_stays_in_it() {
    let house = house(with_tokens).await;
    let media = signed(&house, "country", MEDIA);
    let request = || get(&media).body(Body::empty()).unwrap();
    house.send_from("203.0.113.9:1", request()).await.assert_granted();
    house.send_from("198.51.100.7:1", request()).await.assert_refused(403, "pass_invalid");
    let mut forged = request();
    forged.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    house.send_from("198.51.100.7:1", forged).await.assert_refused(403, "pass_invalid");
}

#[tokio::test]
async fn without_an_issuer_no_token_is_taken() {
    let tokens = house(with_tokens).await;
    let media = signed(&tokens, "media", MEDIA);
    house(|_| {}).await.get(&media).await.assert_refused(403, "pass_invalid");
    let stranger = house(|config| {
        with_tokens(config);
        config.edge.cat[0].issuer = "another".to_owned();
    });
    stranger.await.get(&media).await.assert_refused(403, "pass_invalid");
}

#[tokio::test]
async fn old_players_get_their_status_and_nothing_is_kept() {
    let of_old = house(|config| {
        with_tokens(config);
        config.edge.legacy_expired_status = 400;
    });
    for (house, status) in [(of_old.await, 400), (house(|_| {}).await, 403)] {
        let pass = pass_for(&house, |_| {});
        let path = format!("/v/film/~{pass}/{MEDIA}");
        house.get(&path).await.assert_granted();
        let forged = path.replace(&pass, &pass.replace(&pass[20..24], "AAAA"));
        house.get(&forged).await.assert_refused(status, "pass_invalid");
        house.get(&format!("/v/film/{MEDIA}")).await.assert_refused(status, "pass_invalid");
        house.clock.advance_ms(60_000);
        // `assert_refused` also looks for `no-store`.
        house.get(&path).await.assert_refused(status, "pass_expired");
        let range = with_header(&house, &path, header::RANGE, "bytes=0-23").await;
        range.assert_refused(status, "pass_expired");
        house.get(&format!("{path}/range/0-23")).await.assert_refused(status, "pass_expired");
        let manifest = format!("/v/film/~{pass}/manifest.mpd");
        house.get(&manifest).await.assert_refused(status, "pass_expired");
    }
}

#[tokio::test]
async fn a_pass_is_one_sessions() {
    let house = house(with_tokens).await;
    let of = |byte: u8| pass_for(&house, |p| p.session = PlaybackSessionId::from_bytes([byte; 16]));
    let (a, b) = (of(1), of(2));
    let film = ContentId::parse("film").unwrap();
    let open =
        |pass: &str| signed_url::open(&house.service.delivery.key, pass, &film, house.clock.now());
    assert_eq!(open(&a).unwrap().session, PlaybackSessionId::from_bytes([1; 16]));
    assert_eq!(open(&b).unwrap().session, PlaybackSessionId::from_bytes([2; 16]));
    // Cut together anywhere, the session of one and the signature of the other open nothing.
    let mut spliced = 0;
    for at in 1..a.len() {
        let both = format!("{}{}", &a[..at], &b[at..]);
        if both != a && both != b {
            spliced += 1;
            let reply = house.get(&format!("/v/film/~{both}/{MEDIA}")).await;
            reply.assert_refused(403, "pass_invalid");
        }
    }
    assert!(spliced > 30, "{spliced}");
}

#[tokio::test]
async fn many_and_overlapping_ranges_cost_nothing() {
    let house = house(|_| {}).await;
    let path = format!("/v/film/~{}/{MEDIA}", pass_for(&house, |_| {}));
    let by_header = with_header(&house, &path, header::RANGE, "bytes=0-23").await;
    let by_url = house.get(&format!("{path}/range/0-23")).await;
    assert_eq!((by_header.body.len(), &by_header.body), (24, &by_url.body));
    let overlapping = "bytes=0-199999,0-199999,0-199999";
    let huge = format!("bytes=0-{}", ",0-".repeat(20_000));
    for several in ["bytes=0-5,3-9", "bytes=0-,-1", "bytes=5-,0-", overlapping, &huge] {
        let reply = with_header(&house, &path, header::RANGE, several).await;
        reply.assert_refused(416, "range_not_satisfiable");
        assert!(reply.body.len() < 1000);
    }
    // Two lines of the header are not two answers either.
    let twice = get(&path).header(header::RANGE, "bytes=0-0").header(header::RANGE, "bytes=0-");
    let twice = house.send(twice.body(Body::empty()).unwrap()).await;
    assert!(twice.body.len() <= 200_000, "{}", twice.body.len());
    for suffix in ["range/0-5/range/0-23", "range/0-23/", "range/0-23?x", "Range/0-23", "range/"] {
        let reply = house.get(&format!("{path}/{suffix}")).await;
        let is_same = suffix == "range/0-23?x" && reply.body == by_url.body;
        assert!(is_same || [400, 404].contains(&reply.status.as_u16()), "{suffix}");
    }
}

/// Ways to say "one up".
const UP: [&str; 20] = [
    "..",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%2e.",
    "%252e%252e",
    "%25252e%25252e",
    "..%00",
    "..;",
    "..;x=1",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%uff0e%uff0e",
    "...",
    "....",
    ".",
    "%2e",
    "~",
    "~..",
    "",
];

/// Ways to say "behind it".
const INTO: [&str; 8] = ["/", "//", "%2f", "%2F", "%252f", "%5c", "%255c", "/./"];

#[tokio::test]
async fn two_hundred_ways_out_of_the_package_lead_nowhere() {
    let house = house(with_tokens).await;
    for place in ["", "media", "media/film"] {
        for name in ["secret.mp4", "secret.m4s"] {
            std::fs::write(house.folder().join(place).join(name), b"outside").unwrap();
        }
    }
    let pass = pass_for(&house, |_| {});
    let (_, token) = signed(&house, "media", MEDIA)
        .split_once("?CAT=")
        .map(|(path, token)| (path.to_owned(), token.to_owned()))
        .unwrap();
    let mut vectors: Vec<String> = vec![];
    for up in UP {
        for into in INTO {
            let step = format!("{up}{into}");
            for deep in [1, 2, 3] {
                vectors.push(format!("{}secret.mp4", step.repeat(deep)));
            }
            vectors.push(format!("cbcs/{}secret.mp4", step.repeat(4)));
            vectors.push(format!("cbcs/video-360p{into}{up}{into}{up}{into}secret.m4s/range/0-5"));
        }
    }
    for path in [
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "file:///etc/passwd",
        "C:/x.mp4",
        "package.json",
        "PACKAGE.JSON",
        "Manifest.mpd",
        "manifest.mpd%00.mp4",
        "cbcs/video-360p/1.m4s%20",
        "cbcs/video-360p/1.m4s.",
        "CBCS/video-360p/1.m4s",
        "cbcs/video-360p/1.M4S",
        "range/0-5/package.json",
        "secret.mp4/range/../0-5",
        "cbcs/video-360p/1.m4s/..",
        "cbcs/video-360p/A/../B/1.m4s",
        ".staging/x.mp4",
        "cbcs/video-360p/%31.m4s",
        "cbcs%2fvideo-360p%2f1.m4s",
    ] {
        vectors.push(path.to_owned());
    }
    let mut tried = 0;
    for vector in &vectors {
        let urls = [
            format!("/v/film/~{pass}/{vector}"),
            format!("/v/film/{vector}?CAT={token}"),
            format!("/v/{vector}"),
        ];
        for url in urls.iter().filter(|url| url.parse::<Uri>().is_ok()) {
            tried += 1;
            let reply = house.get(url).await;
            assert!([400, 403, 404].contains(&reply.status.as_u16()), "{url} {}", reply.status);
            assert!(!reply.text().contains("outside"), "{url}");
            assert_eq!(reply.header("cache-control"), "no-store", "{url}");
        }
    }
    assert!(tried >= 3 * 200, "{tried}");
}
