//! The part of `bench keys` that asks a running service as an encoder does: SPEKE 2.0 over TLS,
//! two keys and their Widevine signaling a question.

use super::load::{Headers, Magazine, Pace, Shot, fire};
use super::served::{Row, Served};
use crate::command::{Failure, Place};
use crate::measure::cpu_so_far;
use hyper::Method;
use playback::{ContentLimit, Scope};
use serde::Serialize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Keep-alive connections.
const CONNECTIONS: u32 = 16;
/// Longest time of a round.
const ROUND: Duration = Duration::from_secs(20);
/// Widevine.
const SYSTEM: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";

/// What the key exchange costs.
#[derive(Serialize)]
pub struct Exchange {
    /// The same question again and again: its keys are there.
    pub known: Row,
    /// Questions of new titles: two keys are made, wrapped, audited and stored for each.
    pub new: Row,
}

/// Asks `questions` times for keys that are there, and as often for new ones.
pub async fn measure(questions: u32, work: &Path) -> anyhow::Result<Exchange> {
    let data = work.join("exchange");
    let place = Place { config: None, data: Some(data.clone()) };
    let home = place.home().await.map_err(Failure::into_error)?;
    let scopes = [Scope::Speke].into_iter().collect();
    let (_, token) = home.mint_vault_token(scopes, ContentLimit::Every, 1)?;
    let headers: Headers = Arc::from([
        ("content-type", "application/xml".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("x-speke-version", "2.0".to_owned()),
    ]);
    let served = Served::start(work, &data)?;
    let shots = |count: u32, first: u32, step: u32| -> Magazine {
        let shot = |number: u32| Shot {
            method: Method::POST,
            path: "/speke/v2.0/copyProtection".to_owned(),
            headers: Arc::clone(&headers),
            body: question(first + number * step).into(),
        };
        Arc::new(Mutex::new((0..count).map(shot).collect()))
    };
    // The first one makes the keys.
    round(&served, shots(1, 0, 0)).await?;
    let known = round(&served, shots(questions, 0, 0)).await?;
    let new = round(&served, shots(questions, 1, 1)).await?;
    Ok(Exchange { known, new })
}

async fn round(served: &Served, magazine: Magazine) -> anyhow::Result<Row> {
    let (cpu, start) = (cpu_so_far(served.pid())?, Instant::now());
    let outcome = fire(&served.target, &magazine, CONNECTIONS, Pace::Closed, start + ROUND).await?;
    let (cpu_s, wall_s) = (cpu_so_far(served.pid())? - cpu, start.elapsed().as_secs_f64());
    Row::of(outcome, cpu_s, wall_s)
}

/// The question for the keys of a title's picture and sound.
fn question(title: u32) -> String {
    let kid = |track: u32| format!("00000000-0000-0000-{track:04x}-{title:012x}");
    let each =
        |write: &dyn Fn(&str, &str) -> String| write(&kid(1), "VIDEO") + &write(&kid(2), "AUDIO");
    let keys =
        each(&|kid, _| format!(r#"<cpix:ContentKey kid="{kid}" commonEncryptionScheme="cbcs"/>"#));
    let systems = each(&|kid, _| {
        format!(r#"<cpix:DRMSystem kid="{kid}" systemId="{SYSTEM}"><cpix:PSSH/></cpix:DRMSystem>"#)
    });
    let rules = each(&|kid, kind| {
        let filter = if kind == "VIDEO" { "VideoFilter" } else { "AudioFilter" };
        format!(
            r#"<cpix:ContentKeyUsageRule kid="{kid}" intendedTrackType="{kind}"><cpix:{filter}/></cpix:ContentKeyUsageRule>"#
        )
    });
    format!(
        r#"<cpix:CPIX contentId="bench-{title}" version="2.3" xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc"><cpix:ContentKeyList>{keys}</cpix:ContentKeyList><cpix:DRMSystemList>{systems}</cpix:DRMSystemList><cpix:ContentKeyUsageRuleList>{rules}</cpix:ContentKeyUsageRuleList></cpix:CPIX>"#
    )
}
