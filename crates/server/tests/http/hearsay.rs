//! What players say by CMCD (CTA-5004) at the edge: counted, and of no weight.

use crate::delivery::{packaged, pass_for};
use crate::house::get;
use axum::body::Body;
use axum::http::StatusCode;

#[tokio::test]
async fn hearsay_of_players_changes_nothing() {
    let house = packaged().await;
    let pass = pass_for(&house, |_| {});
    let object = "cbcs/video-360p/1.m4s";
    let ask = async |query: &str, headers: &[(&str, &[u8])]| {
        let mut request = get(&format!("/v/film/~{pass}/{object}{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let figures = async || {
        let request = get("/metrics").body(Body::empty()).unwrap();
        house.send_from("127.0.0.1:1", request).await.text()
    };
    // The first look installs the recorder.
    assert!(!figures().await.contains("strongroom_cmcd"));
    let plain = ask("", &[]).await;
    assert_eq!(plain.status, StatusCode::OK);
    let long = format!("?CMCD={}", "a".repeat(20_000));
    for (query, headers) in [
        ("?CMCD=br%3D3200%2Cbl%3D0%2Cbs%2Cmtp%3D900%2Cot%3Dv%2Csid%3D%22x%22", &[][..]),
        ("?CMCD=%%%", &[]),
        ("?CMCD", &[]),
        ("?CMCD=br%3Dx&CMCD=ot%3Dv", &[]),
        (&long, &[]),
        ("", &[("cmcd-request", &b"mtp=25400,su"[..]), ("cmcd-status", &b"bs"[..])]),
        ("", &[("cmcd-object", &b"\xff\xfe"[..]), ("cmcd-session", &b"sid=\"open"[..])]),
    ] {
        let reply = ask(query, headers).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}");
        assert!(reply.body == plain.body, "{query}");
        for name in ["etag", "cache-control", "content-type", "vary", "content-length"] {
            assert_eq!(reply.header(name), plain.header(name), "{query} {name}");
        }
    }
    let told = figures().await;
    for figure in [
        "strongroom_cmcd_requests_total{object=\"video\"} 1\n",
        "strongroom_cmcd_requests_total{object=\"unknown\"} 1\n",
        "strongroom_cmcd_starved_total{object=\"video\"} 1\n",
        "strongroom_cmcd_throughput_total{at_most_kbps=\"1000\"} 1\n",
        "strongroom_cmcd_throughput_total{at_most_kbps=\"100000\"} 1\n",
    ] {
        assert!(told.contains(figure), "{figure}: {told}");
    }
    // Nor does it open what the pass does not.
    let request = get(&format!("/v/film/~{}/{object}?CMCD=ot%3Dv", "A".repeat(79)));
    let refused = house.send(request.body(Body::empty()).unwrap()).await;
    refused.assert_refused(403, "pass_invalid");
}
