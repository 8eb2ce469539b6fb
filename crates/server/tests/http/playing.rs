//! What the tests of the DRM systems share: a playback of `film`, what an operator reads of a
//! refusal, and ten thousand hostile requests.

use crate::alone::Memory;
use crate::house::*;
use crate::outcomes::remembered;
use axum::body::Body;
use axum::http::Request;
use keys::SystemEntropy;
use model::{ContentId, Dialect, Entropy as _, KeyId, PolicyName, Timestamp, TitlePolicy};
use std::time::Duration;

/// The labels of its keys.
pub const ALL: [&str; 3] = ["AUDIO", "SD", "HD"];

/// The KIDs of those of its keys.
pub fn kids(labels: &[&str]) -> Vec<KeyId> {
    labels.iter().map(|label| kid("film", label)).collect()
}

/// A playback of `film`: the license URL and the session.
pub struct Playing {
    pub dialect: Dialect,
    pub url: String,
    pub session: String,
    pub signed_in: String,
}

impl Playing {
    /// Account `ada` begins it.
    pub async fn begin(house: &House, dialect: Dialect) -> Self {
        let signed_in = house.sign_in("ada").await;
        let reply = house.playback(&signed_in, "film").await;
        reply.assert_granted();
        let playback = reply.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let url = text(&playback["license"][dialect.name()]);
        Self { dialect, url, session: text(&playback["session_id"]), signed_in }
    }
}

/// Posts as a player renews: with the viewer's session.
pub async fn send_in_session(house: &House, playing: &Playing, body: &[u8]) -> Reply {
    let path = format!("/license/{}?session={}", playing.dialect, playing.session);
    let request = with_bearer(Request::post(path), &playing.signed_in);
    house.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

/// The inner reason that the operator reads, and no caller.
pub async fn reason_of(house: &House, reply: &Reply) -> String {
    let row = remembered(house, reply).await.expect("every refusal is remembered");
    let store::Ended::Refused { reason, .. } = row.ended else { return String::new() };
    assert!(!reason.is_empty() && !reply.text().contains(&reason), "{}", reply.text());
    reason
}

/// When what the devices of `ada` keep ends.
pub async fn kept_until(house: &House) -> Vec<Timestamp> {
    let rows = house.store.kept_licenses(house.account_id("ada").await).await.unwrap();
    rows.into_iter().filter(|row| row.is_kept(house.clock.now())).map(|row| row.ends).collect()
}

/// Gives `film` a policy of its own.
pub async fn put_policy(house: &House, document: &str) -> TitlePolicy {
    let name = PolicyName::parse("own").unwrap();
    let policy = TitlePolicy::parse(name.clone(), document).unwrap();
    house.store.put_policy(&policy, NOW).await.unwrap();
    house.store.assign_policy(&ContentId::parse("film").unwrap(), &name).await.unwrap();
    policy
}

/// Ten thousand times a request with something changed in it. None takes a second of the processor,
/// all of them together little memory; what each brought is judged by `judge`, which is told what was
/// changed.
pub async fn ten_thousand_mutations(
    house: &House,
    playing: &Playing,
    good: &[u8],
    mut judge: impl FnMut(&Reply, &str),
) {
    let memory = Memory::measured();
    for number in 0..10_000 {
        let (body, how) = mutated(good);
        let what = format!("{number}: {how:?}");
        let began = cpu();
        let reply = send_in_session(house, playing, &body).await;
        let taken = cpu().saturating_sub(began);
        assert!(taken < Duration::from_secs(1), "{what}: {taken:?}");
        judge(&reply, &what);
    }
    memory.assert_bounded();
}

/// One byte changed, or up to 64 removed, doubled or changed, or one inserted.
fn mutated(good: &[u8]) -> (Vec<u8>, [u8; 8]) {
    let (mut body, mut random) = (good.to_vec(), [0; 8]);
    SystemEntropy.fill(&mut random);
    let [what, from @ .., value] = random;
    let from = usize::from(u16::from_be_bytes([from[0], from[1]])) % good.len();
    let to = (from + 1 + usize::from(value) % 64).min(body.len());
    match what % 5 {
        0 => body[from] ^= value.max(1),
        1 => drop(body.drain(from..to)),
        2 => {
            let copied = body[from..to].to_vec();
            body.splice(from..from, copied);
        }
        3 => body.iter_mut().take(to).skip(from).for_each(|byte| *byte ^= value.max(1)),
        _ => body.insert(from, value),
    }
    (body, random)
}
