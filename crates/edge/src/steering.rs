//! Which CDN a session is to use, and what a player that asks is told (DASH: ETSI TS 103 998,
//! clause 6; HLS: RFC 8216bis, clause 7).
//!
//! The order is a pure function of the session's id, which is 128 random bits: front and edge
//! agree on it without a word, and it stays the same for as long as the session lives. Taking one
//! CDN out moves its own sessions and no other (rendezvous hashing with weights).

use crate::cdn::SignedPlace;
use aws_lc_rs::digest::{Context, SHA256};
use model::PlaybackSessionId;
use serde::Serialize;
use std::collections::BTreeMap;

/// After so many seconds a player asks again.
pub const TTL_S: u32 = 300;
/// The parameter by which a player's request says which CDN it came through, where the edge must
/// know it: it then signs the URLs of a playlist for that CDN.
pub const PARAMETER: &str = "cdn";
/// The version of both standards' documents.
const VERSION: u32 = 1;

/// A CDN among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its share of the sessions; 0: never the first choice while another one can be.
    pub weight: u32,
    /// Whether the operator has taken it out: then it is last.
    pub is_drained: bool,
}

/// The positions of the CDNs, the recommended one first, then its fallbacks, those that are
/// drained last.
#[must_use]
pub fn order(session: PlaybackSessionId, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut order: Vec<(bool, f64, usize)> = candidates
        .iter()
        .enumerate()
        .map(|(at, candidate)| (candidate.is_drained, arrival(session, candidate), at))
        .collect();
    order.sort_by(|one, other| {
        (one.0.cmp(&other.0)).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
    });
    order.into_iter().map(|(_, _, at)| at).collect()
}

/// When a candidate would arrive in a race of exponential clocks, each with its weight as rate:
/// the share of races that it wins is its share of the weights.
fn arrival(session: PlaybackSessionId, candidate: &Candidate<'_>) -> f64 {
    if candidate.weight == 0 {
        return f64::INFINITY;
    }
    let mut context = Context::new(&SHA256);
    context.update(session.as_bytes());
    context.update(candidate.name.as_bytes());
    let digest = context.finish();
    let first = digest.as_ref().first_chunk::<4>().copied().unwrap_or_default();
    // Strictly between 0 and 1, so that its logarithm is a number.
    let uniform = (f64::from(u32::from_be_bytes(first)) + 0.5) / (f64::from(u32::MAX) + 1.0);
    -uniform.ln() / f64::from(candidate.weight)
}

/// A CDN as a manifest or a steering document names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pathway {
    /// Its name.
    pub id: String,
    /// Where it has the package.
    pub place: SignedPlace,
}

/// What a player is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub struct SteeringDocument {
    version: u32,
    ttl: u32,
    reload_uri: String,
    pathway_priority: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pathway_clones: Vec<PathwayClone>,
}

/// A CDN that the manifest does not name, because its signature is a query.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
struct PathwayClone {
    base_id: String,
    id: String,
    uri_replacement: Replacement,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
struct Replacement {
    host: String,
    params: BTreeMap<String, String>,
}

impl SteeringDocument {
    /// The document for pathways in the order of their priority.
    ///
    /// Those without a query stand in the manifest; the others are copies of `base`, at another
    /// host and with the query's parameters.
    #[must_use]
    pub fn new(priority: &[Pathway], base: &str, reload_uri: String) -> Self {
        let clones = priority.iter().filter_map(|pathway| {
            let query = pathway.place.query.as_deref()?;
            let params = query.split('&').filter_map(|pair| pair.split_once('='));
            let params = params.chain([(PARAMETER, pathway.id.as_str())]);
            Some(PathwayClone {
                base_id: base.to_owned(),
                id: pathway.id.clone(),
                uri_replacement: Replacement {
                    host: host(&pathway.place.base).to_owned(),
                    params: params.map(|(name, value)| (name.into(), value.into())).collect(),
                },
            })
        });
        Self {
            version: VERSION,
            ttl: TTL_S,
            reload_uri,
            pathway_clones: clones.collect(),
            pathway_priority: priority.iter().map(|pathway| pathway.id.clone()).collect(),
        }
    }
}

/// Host and port of a URL.
fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.split('/').next().unwrap_or_default()
}

/// What follows the host of a URL.
#[must_use]
pub fn path(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.find('/').and_then(|at| behind.get(at..)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: [Candidate<'static>; 3] = [
        Candidate { name: "a", weight: 60, is_drained: false },
        Candidate { name: "b", weight: 30, is_drained: false },
        Candidate { name: "c", weight: 10, is_drained: false },
    ];

    /// Ids as the service draws them, from a seeded source (`SplitMix64`).
    fn sessions(count: u64) -> impl Iterator<Item = PlaybackSessionId> {
        let word = |number: u64| {
            let mut word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        };
        (0..count).map(move |number| {
            let halves = [word(2 * number + 1), word(2 * number + 2)];
            let bytes = halves.map(u64::to_be_bytes).concat();
            PlaybackSessionId::from_bytes(bytes.try_into().unwrap())
        })
    }

    fn shares(candidates: &[Candidate<'_>], count: u64) -> Vec<f64> {
        let mut counts = vec![0.0; candidates.len()];
        sessions(count).for_each(|session| counts[order(session, candidates)[0]] += 1.0);
        counts
    }

    #[test]
    fn ten_thousand_sessions_match_the_weights() {
        for weights in [vec![60, 30, 10], vec![1, 1], vec![7, 0, 3], vec![1, 99], vec![5; 6]] {
            let total = f64::from(weights.iter().sum::<u32>());
            let candidates: Vec<_> = ["a", "b", "c", "d", "e", "f"]
                .into_iter()
                .zip(&weights)
                .map(|(name, weight)| Candidate { name, weight: *weight, is_drained: false })
                .collect();
            let counts = shares(&candidates, 10_000);
            let mut chi_square = 0.0;
            for (count, weight) in counts.iter().zip(&weights) {
                let expected = 10_000.0 * f64::from(*weight) / total;
                assert!((count - expected).abs() <= 200.0, "{weights:?} {counts:?}");
                if expected > 0.0 {
                    chi_square += (count - expected).powi(2) / expected;
                }
            }
            // The values beyond which p < 0.01, by degrees of freedom.
            let limits = [6.635, 9.210, 11.345, 13.277, 15.086];
            let freedom = weights.iter().filter(|weight| **weight > 0).count() - 2;
            assert!(chi_square < limits[freedom], "{weights:?} {counts:?} {chi_square}");
        }
    }

    #[test]
    fn a_wrong_share_would_be_seen() {
        let counts = shares(&THREE, 10_000);
        let wrong = [0.58, 0.32, 0.10].map(|share| share * 10_000.0);
        let chi_square: f64 =
            counts.iter().zip(wrong).map(|(count, e)| (count - e).powi(2) / e).sum();
        assert!(chi_square > 9.210, "{counts:?}");
    }

    #[test]
    fn fallbacks_go_by_weight_too() {
        // Of the sessions of `a`, three in four fall back to `b`.
        let of_a = sessions(10_000).map(|s| order(s, &THREE)).filter(|order| order[0] == 0);
        let (mut all, mut to_b) = (0.0, 0.0);
        for order in of_a {
            all += 1.0;
            to_b += f64::from(u8::from(order[1] == 1));
        }
        assert!((to_b / all - 0.75_f64).abs() < 0.02, "{to_b} of {all}");
    }

    #[test]
    fn a_drained_cdn_is_last_and_moves_only_its_own_sessions() {
        let mut drained = THREE;
        drained[1].is_drained = true;
        for session in sessions(2000) {
            let (before, after) = (order(session, &THREE), order(session, &drained));
            assert_eq!(after[2], 1);
            if before[0] != 1 {
                assert_eq!(after[0], before[0]);
            }
            assert_eq!(order(session, &THREE), before, "the same each time");
        }
        let all = THREE.map(|one| Candidate { is_drained: true, ..one });
        for session in sessions(100) {
            assert_eq!(order(session, &all), order(session, &THREE));
        }
        assert!(order(PlaybackSessionId::from_bytes([1; 16]), &[]).is_empty());
    }

    #[test]
    fn the_document_names_what_the_manifest_cannot() {
        let place = |base: &str, query: Option<&str>| SignedPlace {
            base: base.to_owned(),
            query: query.map(str::to_owned),
            cookies: vec![],
        };
        let plain = place("https://a.example/v/film/~P/", None);
        let signed = place("https://b.example:8443/v/film/~P/", Some("Policy=x_&Key-Pair-Id=K="));
        let pathways = [("b", signed), ("a", plain)];
        let pathways = pathways.map(|(id, place)| Pathway { id: id.to_owned(), place });
        let document = SteeringDocument::new(&pathways, "a", "https://tv.example/s".to_owned());
        let clone = serde_json::json!({
            "BASE-ID": "a", "ID": "b",
            "URI-REPLACEMENT": {
                "HOST": "b.example:8443",
                "PARAMS": {"Policy": "x_", "Key-Pair-Id": "K=", "cdn": "b"},
            },
        });
        let expected = serde_json::json!({
            "VERSION": 1, "TTL": 300, "RELOAD-URI": "https://tv.example/s",
            "PATHWAY-PRIORITY": ["b", "a"], "PATHWAY-CLONES": [clone],
        });
        assert_eq!(serde_json::to_value(&document).unwrap(), expected);
        let alone = SteeringDocument::new(&pathways[1..], "a", String::new());
        assert!(serde_json::to_value(&alone).unwrap().get("PATHWAY-CLONES").is_none());
        assert_eq!(path("https://a.example/v/film/"), "/v/film/");
        assert_eq!(path("https://a.example"), "/");
    }
}
