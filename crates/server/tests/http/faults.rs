//! Refusals to PlayReady clients: SOAP faults with the codes of everyone else's refusals, under the
//! status that the operator's clients read.

use crate::house::*;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use dialect::playready::MAX_BYTES;

const UNKNOWN: &str = "/license/playready?token=unknown";

async fn post(house: &House, path: &str, body: Vec<u8>) -> Reply {
    house.send(Request::post(path).body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_playready_client_reads_faults_and_nobody_else_does() {
    let house = House::furnished().await;
    let refused = post(&house, UNKNOWN, b"<x/>".to_vec()).await;
    refused.assert_fault(401, "token_invalid");
    assert!(refused.text().contains("<faultcode>soap:Client</faultcode>"));
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    for other in ["clearkey", "widevine", "fairplay"] {
        let path = UNKNOWN.replace("playready", other);
        let refused = post(&house, &path, b"<x/>".to_vec()).await;
        assert_eq!(refused.header("content-type"), "application/problem+json", "{other}");
        assert_eq!(refused.header("x-strongroom-code"), "");
        refused.assert_refused(401, "token_invalid");
    }
}

#[tokio::test]
async fn what_is_refused_before_any_handler_is_a_fault_too() {
    let house = House::furnished().await;
    post(&house, UNKNOWN, vec![b' '; MAX_BYTES + 1]).await.assert_fault(413, "body_too_large");
    let longest = post(&house, UNKNOWN, vec![b' '; MAX_BYTES]).await;
    longest.assert_fault(401, "token_invalid");
    for (other, most) in [("clearkey", 65_536), ("widevine", 65_536), ("fairplay", 262_144)] {
        let path = UNKNOWN.replace("playready", other);
        post(&house, &path, vec![b' '; most + 1]).await.assert_refused(413, "body_too_large");
        post(&house, &path, vec![b' '; most]).await.assert_refused(401, "token_invalid");
    }
    let twice = format!("{UNKNOWN}&token=again");
    post(&house, &twice, vec![]).await.assert_fault(400, "malformed_request");
    // A GET asks for no license.
    let get = Request::get("/license/playready").body(Body::empty()).unwrap();
    let refused = house.send(get).await;
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn an_operator_sets_one_status_for_all_faults() {
    let set = |status| {
        move |config: &mut server::Config| {
            config.licenses.playready_fault_status = Some(status);
        }
    };
    let house = House::with(set(500), |_| {}).await;
    post(&house, UNKNOWN, vec![]).await.assert_fault(500, "token_invalid");
    post(&house, UNKNOWN, vec![b' '; MAX_BYTES + 1]).await.assert_fault(500, "body_too_large");
    let other = UNKNOWN.replace("playready", "widevine");
    post(&house, &other, vec![]).await.assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn pages_of_other_origins_may_read_the_code() {
    let own = "https://player.example";
    let house = House::with(|config| config.cors.allowed_origins = vec![own.to_owned()], |_| {});
    let request = Request::post(UNKNOWN).header(header::ORIGIN, own).body(Body::empty()).unwrap();
    let refused = house.await.send(request).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("access-control-allow-origin"), own);
    assert!(refused.header("access-control-expose-headers").contains("X-Strongroom-Code"));
}
