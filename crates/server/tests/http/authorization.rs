//! The authorization with its CDNs, and what players are told later (R075, R076).

use crate::delivery::{package_film, pass_for};
use crate::house::{House, NOW, ORIGIN, Reply, get, path_of, post, with_bearer};
use crate::outcomes::remembered;
use axum::body::Body;
use model::{PlaybackSessionId, TitleState, TrackClass, TrackClasses};
use serde_json::{Value, json};
use server::config::cdn::Cdn;
use server::steering::write_drained;
use std::collections::BTreeSet;

const AKAMAI_KEY: &str = "00112233445566778899aabbccddeeff";

fn cdn(entry: Value) -> Cdn {
    serde_json::from_value(entry).unwrap()
}

fn own(name: &str, weight: u32) -> Cdn {
    let base = format!("https://{name}.example/v/");
    cdn(json!({"name": name, "weight": weight, "base_url": base}))
}

/// A house with these CDNs; the title `film` is packaged.
async fn with_cdns(cdns: Vec<Cdn>) -> (House, String) {
    let house = House::with(|config| config.cdn = cdns, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let event = package_film(&house);
    let state = TitleState::Published { package: event.package_id };
    house.store.publish_package(&state, &event, NOW).await.unwrap();
    let token = house.sign_in("ada").await;
    (house, token)
}

/// Two CDNs that are plain, and one that wants its signature in the query.
async fn with_three() -> (House, String) {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), AKAMAI_KEY).unwrap();
    let akamai = cdn(json!({
        "name": "akamai", "weight": 1, "base_url": "https://akamai.example/v/",
        "signing": "akamai", "key_file": key.path(),
    }));
    let house = with_cdns(vec![own("a", 2), own("b", 1), akamai]).await;
    drop(key);
    house
}

async fn authorize(house: &House, token: &str, query: &str) -> Reply {
    let path = format!("/api/v1/playback/film/authorization{query}");
    house.send_as(token, post(&path, &json!({}))).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn an_authorization_is_a_token_call_with_everything_to_download() {
    let (house, token) = with_three().await;
    let reply = authorize(&house, &token, "").await;
    reply.assert_granted();
    assert!(reply.header("set-cookie").contains("; Path=/v/film/; "));
    let answer = reply.json();
    for member in ["session_id", "expires_at", "license", "manifest", "heartbeat"] {
        assert!(!answer[member].is_null(), "{member}");
    }
    let cdns = answer["cdns"].as_array().unwrap();
    assert_eq!(cdns.len(), 3);
    for (at, cdn) in cdns.iter().enumerate() {
        assert_eq!(cdn["rank"], at + 1);
        let prefix = format!("https://{}.example/v/film/~", text(&cdn["name"]));
        assert!(text(&cdn["base_url"]).starts_with(&prefix), "{cdn}");
        assert_eq!(cdn["query"].is_null(), cdn["name"] != "akamai");
        assert_eq!(cdn["expires_at"], NOW.plus_s(6 * 3600).0);
    }
    let weights: u64 = cdns.iter().map(|cdn| cdn["weight"].as_u64().unwrap()).sum();
    assert_eq!(weights, 4);
    let downloadables = answer["downloadables"].as_array().unwrap();
    // A Clear Key client gets SD and audio: in both schemes, and the subtitles.
    let ids: Vec<_> = downloadables.iter().map(|one| text(&one["id"])).collect();
    let all =
        ["cbcs/video-360p", "cbcs/audio-en", "cenc/video-360p", "cenc/audio-en", "text/text-en"];
    assert_eq!(ids.iter().collect::<BTreeSet<_>>(), all.iter().collect::<BTreeSet<_>>());
    for one in downloadables {
        assert_eq!((&one["size_bytes"], &one["duration_ms"]), (&json!(1), &json!(12_000)));
        assert!(!text(&one["codecs"]).is_empty());
        let urls = one["urls"].as_array().unwrap();
        assert_eq!(urls.len(), 3);
        for (url, cdn) in urls.iter().zip(cdns) {
            assert_eq!((&url["cdn"], &url["expires_at"]), (&cdn["name"], &cdn["expires_at"]));
            assert!(text(&url["url"]).starts_with(text(&cdn["base_url"])));
            let signed = text(&url["url"]).contains("?hdnts=st=");
            assert_eq!(signed, cdn["name"] == "akamai", "{url}");
        }
    }
    let video = downloadables.iter().find(|one| one["id"] == "cbcs/video-360p").unwrap();
    assert_eq!((&video["kind"], &video["track_class"]), (&json!("video"), &json!("SD")));
    // What the URL of a plain CDN names is there, and ends with its pass.
    let url =
        &video["urls"].as_array().unwrap().iter().find(|url| url["cdn"] == "a").unwrap()["url"];
    let path = text(url).strip_prefix("https://a.example").unwrap();
    house.get(path).await.assert_granted();
    house.clock.advance_ms(6 * 3_600_000);
    house.get(path).await.assert_refused(403, "pass_expired");
}

#[tokio::test]
async fn an_authorization_decides_as_the_token_call_and_shares_its_slot() {
    let (house, token) = with_three().await;
    let first = authorize(&house, &token, "").await.json();
    let call = house.playback(&token, "film").await.json();
    assert_eq!(first["session_id"], call["session_id"]);
    let again = authorize(&house, &token, "").await.json();
    assert_eq!(first["cdns"][0]["name"], again["cdns"][0]["name"], "the session's CDN stays");
    authorize(&house, &token, "?platform=x").await.assert_refused(400, "malformed_request");
    house.plan("discs", false, 4).await;
    house.account("bob", "discs").await;
    let bob = house.sign_in("bob").await;
    let refused = authorize(&house, &bob, "").await;
    refused.assert_refused(403, "plan_not_entitled");
    let told = remembered(&house, &refused).await.unwrap();
    assert_eq!(told.content_id.unwrap().as_str(), "film");
    let nothing = post("/api/v1/playback/nothing/authorization", &json!({}));
    house.send_as(&token, nothing).await.assert_refused(404, "title_not_found");
}

#[tokio::test]
async fn without_cdns_the_own_edge_is_the_one_and_manifests_are_as_ever() {
    let (house, token) = with_cdns(vec![]).await;
    let answer = authorize(&house, &token, "").await.json();
    let cdns = answer["cdns"].as_array().unwrap();
    assert_eq!((cdns.len(), &cdns[0]["name"]), (1, &json!("own")));
    assert!(text(&cdns[0]["base_url"]).starts_with(&format!("{ORIGIN}/v/film/~")));
    assert!(answer.get("steering_url").is_none());
    let manifest = async |house: &House, name: &str| -> String {
        let pass = pass_for(house, |_| {});
        let reply = house.get(&format!("/v/film/~{pass}/{name}")).await;
        reply.assert_granted();
        reply.text()
    };
    let plain_mpd = manifest(&house, "manifest.mpd").await;
    let plain_hls = manifest(&house, "master.m3u8").await;
    assert!(!plain_mpd.contains("ContentSteering") && !plain_hls.contains("STEERING"));
    let steering = format!("/api/v1/steering/film/{}", pass_for(&house, |_| {}));
    house.get(&steering).await.assert_refused(404, "not_found");
    let (one, _) = with_cdns(vec![own("a", 1)]).await;
    assert_eq!(manifest(&one, "manifest.mpd").await, plain_mpd);
    assert_eq!(manifest(&one, "master.m3u8").await, plain_hls);
}

#[tokio::test]
async fn manifests_name_the_plain_cdns_and_who_to_ask() {
    let (house, token) = with_three().await;
    let answer = authorize(&house, &token, "").await.json();
    let mpd = house.get(path_of(text(&answer["manifest"]["dash"]))).await;
    mpd.assert_granted();
    let mpd = mpd.text();
    for name in ["a", "b"] {
        let base = format!("<BaseURL serviceLocation=\"{name}\">https://{name}.example/v/film/~");
        assert!(mpd.contains(&base), "{mpd}");
    }
    assert!(!mpd.contains("akamai.example"), "a query cannot stand in a base URL");
    let steering_url = text(&answer["steering_url"]);
    assert!(mpd.contains(&format!(">{steering_url}</ContentSteering>")), "{mpd}");
    let hls = house.get(path_of(text(&answer["manifest"]["hls"]))).await.text();
    assert!(hls.contains(&format!("SERVER-URI=\"{steering_url}\"")), "{hls}");
    assert_eq!(hls.matches("PATHWAY-ID=\"a\"\nhttps://a.example/v/film/~").count(), 1, "{hls}");
    assert_eq!(hls.matches("PATHWAY-ID=\"b\"\nhttps://b.example/v/film/~").count(), 1, "{hls}");
    for manifest in ["dash", "hls"] {
        let path = format!("{}?steering=off", path_of(text(&answer["manifest"][manifest])));
        let plain = house.get(&path).await.text();
        assert!(
            !plain.contains(".example") && !plain.to_lowercase().contains("steering"),
            "{plain}"
        );
    }
}

#[tokio::test]
async fn a_player_that_asks_hears_the_order_and_of_cdns_with_a_query() {
    let (house, token) = with_three().await;
    let answer = authorize(&house, &token, "").await.json();
    let url = path_of(text(&answer["steering_url"])).to_owned();
    // Without any credential but the URL, with what players add to it.
    for added in ["", "?_HLS_pathway=a&_HLS_throughput=5140000", "?_DASH_pathway=%22a%22"] {
        let reply = house.get(&format!("{url}{added}")).await;
        reply.assert_granted();
        let said = reply.json();
        assert_eq!((&said["VERSION"], &said["TTL"]), (&json!(1), &json!(300)));
        assert_eq!(said["RELOAD-URI"], answer["steering_url"]);
        let ranked: Vec<_> =
            answer["cdns"].as_array().unwrap().iter().map(|cdn| &cdn["name"]).collect();
        assert_eq!(said["PATHWAY-PRIORITY"], json!(ranked));
        let clone = &said["PATHWAY-CLONES"][0];
        assert_eq!((&clone["BASE-ID"], &clone["ID"]), (&json!("a"), &json!("akamai")));
        let replacement = &clone["URI-REPLACEMENT"];
        assert_eq!(replacement["HOST"], "akamai.example");
        let token = text(&replacement["PARAMS"]["hdnts"]);
        assert!(token.contains("~acl=/v/film/*~") && token.contains("~hmac="), "{token}");
    }
    // A playlist that comes through it hands the signature on to its segments.
    let pass = url.rsplit('/').next().unwrap();
    let playlist = format!("/v/film/~{pass}/cbcs/video-360p/playlist.m3u8");
    let plain = house.get(&playlist).await.text();
    let through = house.get(&format!("{playlist}?hdnts=x&cdn=akamai")).await.text();
    let segments = plain.lines().filter(|line| !line.starts_with('#')).count();
    assert!(segments > 0 && !plain.contains('?'));
    assert_eq!(through.matches(".m4s?hdnts=st=").count(), segments, "{through}");
    for other in ["cdn=a", "cdn=none", "cdn", "x=akamai"] {
        assert_eq!(house.get(&format!("{playlist}?{other}")).await.text(), plain, "{other}");
    }
    for wrong in [
        url.replace("/film/", "/other/"),
        format!("{url}A"),
        url.replace("steering/film/", "steering/film/A"),
    ] {
        house.get(&wrong).await.assert_refused(403, "pass_invalid");
    }
    house.clock.advance_ms(6 * 3_600_000);
    house.get(&url).await.assert_refused(403, "pass_expired");
}

#[tokio::test]
async fn a_drained_cdn_is_last_until_it_is_let_in_again() {
    let (house, _) = with_three().await;
    let of = |number: u8| {
        pass_for(&house, |pass| {
            pass.session = PlaybackSessionId::from_bytes([number; 16]);
            pass.classes = TrackClasses::up_to(TrackClass::Hd);
        })
    };
    let order = async |number| -> Vec<String> {
        let reply = house.get(&format!("/api/v1/steering/film/{}", of(number))).await;
        serde_json::from_value(reply.json()["PATHWAY-PRIORITY"].clone()).unwrap()
    };
    let file = house.service.ground.config.drained_file();
    let mut first_was_a = 0;
    for number in 0..40 {
        write_drained(&file, &BTreeSet::new()).unwrap();
        let before = order(number).await;
        write_drained(&file, &BTreeSet::from(["a".to_owned()])).unwrap();
        let after = order(number).await;
        assert_eq!(after[2], "a");
        let rest =
            |order: &[String]| order.iter().filter(|n| *n != "a").cloned().collect::<Vec<_>>();
        assert_eq!(rest(&before), rest(&after));
        first_was_a += u32::from(before[0] == "a");
        let mpd = house.get(&format!("/v/film/~{}/manifest.mpd", of(number))).await.text();
        assert!(mpd.contains("defaultServiceLocation=\"b\""), "{mpd}");
    }
    assert!((10..=30).contains(&first_was_a), "{first_was_a} of 40 have half the weight");
    // A file that says nothing takes nothing out.
    std::fs::write(&file, "{").unwrap();
    assert_eq!(order(1).await.len(), 3);
}

#[tokio::test]
async fn where_every_cdn_wants_a_query_the_own_edge_is_the_last_resort() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), AKAMAI_KEY).unwrap();
    let akamai = |name: &str, path: &str| {
        cdn(json!({
            "name": name, "base_url": format!("https://{name}.example/{path}/"),
            "signing": "akamai", "key_file": key.path(),
        }))
    };
    // The third has the package under another path than the own edge: no player is led there.
    let cdns = vec![akamai("x", "v"), akamai("y", "v"), akamai("z", "else")];
    let (house, token) = with_cdns(cdns).await;
    let answer = authorize(&house, &token, "").await.json();
    let said = house.get(path_of(text(&answer["steering_url"]))).await.json();
    let order: Vec<String> = serde_json::from_value(said["PATHWAY-PRIORITY"].clone()).unwrap();
    assert_eq!(order[2], "origin");
    assert_eq!(
        order.iter().cloned().collect::<BTreeSet<_>>(),
        ["x", "y", "origin"].map(String::from).into()
    );
    let clones = said["PATHWAY-CLONES"].as_array().unwrap();
    assert!(clones.len() == 2 && clones.iter().all(|clone| clone["BASE-ID"] == "origin"));
    let mpd = house.get(path_of(text(&answer["manifest"]["dash"]))).await.text();
    let base = format!("<BaseURL serviceLocation=\"origin\">{ORIGIN}/v/film/~");
    assert!(mpd.contains(&base), "{mpd}");
    let request = with_bearer(get("/api/v1/me"), &token).body(Body::empty()).unwrap();
    house.send(request).await.assert_granted();
}
