//! `explain`: why a request was allowed or denied, rule by rule, as it was decided then.

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use clap::Args;
use model::{CorrelationId, Timestamp};
use playback::{Rule, Said, Trace};
use serde::Serialize;
use server::vault::ToldLicense;
use store::{AskedRoute, AuditEntry, Ended, RequestOutcome, Store};
use time::OffsetDateTime;

/// Arguments of `explain`.
#[derive(Args)]
pub struct Arguments {
    /// The request: `correlation_id` of its problem document, or the header `x-correlation-id` of
    /// any answer.
    #[arg(value_name = "CORRELATION_ID")]
    correlation: String,
}

/// What is known of a request.
#[derive(Serialize)]
struct Explained {
    correlation_id: CorrelationId,
    arrived_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    /// Audit rows of the key exchange.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audit: Vec<AuditRow>,
}

/// A token call or a license request.
#[derive(Serialize)]
struct Request {
    route: &'static str,
    outcome: &'static str,
    code: Option<String>,
    reason: Option<String>,
    decided_by: Option<Rule>,
    at: Timestamp,
    content_id: Option<String>,
    dialect: Option<&'static str>,
    account: Option<String>,
    session: Option<String>,
    device: Option<String>,
    decision: Option<String>,
    /// What the audit calls it: `license.issued`.
    action: Option<String>,
    level: Option<String>,
    policy: Option<String>,
    keys_given: Option<Vec<String>>,
    keys_withheld: Option<Vec<String>>,
    /// Keys of periods: class, scheme, and from which period to which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    periods_given: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    periods_withheld: Vec<String>,
    /// Those that were asked for too early.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    periods_beyond: Vec<String>,
    rules: Vec<Line>,
}

/// One rule.
#[derive(Serialize)]
struct Line {
    rule: Rule,
    result: &'static str,
    input: Option<String>,
    is_deciding: bool,
}

#[derive(Serialize)]
struct AuditRow {
    at: Timestamp,
    actor: String,
    action: String,
    content_id: Option<String>,
    kid: Option<String>,
    detail: String,
}

/// How the actions of licenses in the audit begin: issued, renewed, released.
const LICENSE: &str = "license.";

/// The rules of each route; those that only ever refuse show where they did.
const OF_TOKEN_CALL: &[Rule] = &[
    Rule::Token,
    Rule::Title,
    Rule::Subscription,
    Rule::Plan,
    Rule::Access,
    Rule::Region,
    Rule::Streams,
];
const OF_LICENSE: &[Rule] = &[
    Rule::Token,
    Rule::Session,
    Rule::Title,
    Rule::Subscription,
    Rule::Plan,
    Rule::Access,
    Rule::Region,
    Rule::Streams,
    Rule::ContentKeys,
    Rule::SecurityLevel,
    Rule::Resolution,
    Rule::Offline,
    Rule::Policy,
];

/// Looks the request up in the store, beside a running service or without one, and prints it.
/// Neither secrets nor root key are opened.
pub fn run(arguments: &Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let correlation = CorrelationId::parse(&arguments.correlation)
        .context("a correlation id is 32 hex digits")
        .map_err(Failure::Environment)?;
    let config = place.config()?;
    let is_there = config.store.database.is_some() || config.data.exists();
    let explained = block_on(async {
        let none = Explained::new(correlation);
        if !is_there {
            return Ok(none);
        }
        let store = Store::open(&config.database_url()).await.map_err(Failure::environment)?;
        explain(&store, correlation).await.map_err(Failure::environment)
    })?;
    if explained.request.is_none() && explained.audit.is_empty() {
        return Err(Failure::Refused(anyhow!(
            "nothing is known of request {correlation}: it was not made of this service, it is \
             older than the newest {} refusals or allowed token calls (limits.outcomes_kept), it \
             repeated one that was turned away already, or its route is not one that is remembered \
             (token calls, licenses, heartbeats, key exchange)",
            config.limits.outcomes_kept
        )));
    }
    answer.print(&explained, text);
    Ok(())
}

async fn explain(
    store: &Store,
    correlation: CorrelationId,
) -> Result<Explained, store::StoreError> {
    let mut explained = Explained::new(correlation);
    if let Some(outcome) = store.outcome(correlation).await? {
        explained.request = Some(Request::of_outcome(outcome));
        return Ok(explained);
    }
    for entry in store.audit_of_request(correlation).await? {
        let told = ToldLicense::read(&entry.detail).filter(|_| entry.action.starts_with(LICENSE));
        match told {
            Some(told) => explained.request = Some(Request::of_license(entry, told)),
            None => explained.audit.push(AuditRow::of(entry)),
        }
    }
    Ok(explained)
}

impl Explained {
    const fn new(correlation: CorrelationId) -> Self {
        let arrived_at = correlation.arrived();
        Self { correlation_id: correlation, arrived_at, request: None, audit: vec![] }
    }
}

impl Request {
    fn of_outcome(outcome: RequestOutcome) -> Self {
        let rules = match outcome.route {
            AskedRoute::Token | AskedRoute::Heartbeat => OF_TOKEN_CALL,
            AskedRoute::License => OF_LICENSE,
        };
        let (said, code, reason) = match outcome.ended {
            Ended::Allowed => ("allowed", None, None),
            Ended::Refused { code, reason } => ("refused", Some(code), Some(reason)),
        };
        Self {
            route: outcome.route.name(),
            outcome: said,
            code,
            reason,
            decided_by: outcome.trace.decided_by(),
            at: outcome.at,
            content_id: outcome.content_id.map(|id| id.to_string()),
            dialect: outcome.dialect.map(model::Dialect::name),
            account: outcome.account.map(|id| id.to_string()),
            session: outcome.session.map(|id| id.to_string()),
            device: None,
            decision: outcome.decision.map(|id| id.to_string()),
            action: None,
            level: None,
            policy: None,
            keys_given: None,
            keys_withheld: None,
            periods_given: vec![],
            periods_withheld: vec![],
            periods_beyond: vec![],
            rules: lines(&outcome.trace, rules),
        }
    }

    fn of_license(entry: AuditEntry, issued: ToldLicense) -> Self {
        let kids = |kids: &[model::KeyId]| Some(kids.iter().map(ToString::to_string).collect());
        Self {
            route: AskedRoute::License.name(),
            outcome: "allowed",
            code: None,
            reason: None,
            decided_by: None,
            at: entry.at,
            content_id: entry.content_id.map(|id| id.to_string()),
            dialect: Some(issued.dialect.name()),
            account: entry.actor.strip_prefix("account:").map(str::to_owned),
            session: entry.session.map(|id| id.to_string()),
            device: issued.device.map(|id| id.to_string()),
            decision: entry.decision.map(|id| id.to_string()),
            action: Some(entry.action),
            level: Some(issued.level),
            policy: issued.policy,
            keys_given: kids(&issued.given),
            keys_withheld: kids(&issued.withheld),
            periods_given: issued.periods_given,
            periods_withheld: issued.periods_withheld,
            periods_beyond: issued.periods_beyond,
            rules: lines(&issued.trace, OF_LICENSE),
        }
    }
}

/// Every rule of the route and what it said. Of one without a step nothing is known: the request
/// ended before it, or ended in the vault, which keeps no word of what it refuses but the last.
fn lines(trace: &Trace, rules: &[Rule]) -> Vec<Line> {
    let deciding = trace.decided_by();
    let mut lines = vec![];
    for rule in Rule::ALL {
        let step = trace.step(rule);
        if step.is_none() && !rules.contains(&rule) {
            continue;
        }
        lines.push(Line {
            rule,
            result: step.map_or("not_told", |step| step.result.name()),
            input: step.map(|step| step.input.clone()),
            is_deciding: deciding == Some(rule)
                && step.is_some_and(|step| step.result == Said::Refused),
        });
    }
    lines
}

impl AuditRow {
    fn of(entry: AuditEntry) -> Self {
        Self {
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            content_id: entry.content_id.map(|id| id.to_string()),
            kid: entry.kid.map(|id| id.to_string()),
            detail: entry.detail,
        }
    }
}

fn text(explained: &Explained) -> String {
    let mut text = explained.request.as_ref().map(request_text).unwrap_or_default();
    for row in &explained.audit {
        text += &format!("{}  {} {}", moment(row.at), row.action, row.actor);
        for part in [&row.content_id, &row.kid].into_iter().flatten() {
            text += &format!(" {part}");
        }
        text += &format!(": {}\n", row.detail);
    }
    text
}

fn request_text(request: &Request) -> String {
    let what = match (request.route, request.dialect) {
        ("token", _) => "token call".to_owned(),
        ("heartbeat", _) => "heartbeat".to_owned(),
        (_, Some(dialect)) => format!("{dialect} license"),
        _ => "license".to_owned(),
    };
    let title = request.content_id.as_deref().unwrap_or("a title that is not known");
    let mut text = format!("{}: {what} for {title}, {}\n", request.outcome, moment(request.at));
    if let (Some(code), Some(reason)) = (&request.code, &request.reason) {
        let rule = request.decided_by.map_or("", Rule::name);
        text += &format!(
            "  {:<9} {rule}\n  {:<9} {code}\n  {:<9} {reason}\n",
            "decided", "code", "reason"
        );
    }
    let keys = |keys: &Option<Vec<String>>| keys.as_ref().map(|keys| keys.join(" "));
    for (name, value) in [
        ("account", request.account.clone()),
        ("device", request.device.clone()),
        ("session", request.session.clone()),
        ("decision", request.decision.clone()),
        ("action", request.action.clone()),
        ("level", request.level.clone()),
        ("policy", request.policy.clone()),
        ("given", keys(&request.keys_given)),
        ("withheld", keys(&request.keys_withheld)),
        ("periods", Some(request.periods_given.join(" "))),
        ("  kept", Some(request.periods_withheld.join(" "))),
        ("  later", Some(request.periods_beyond.join(" "))),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text += &format!("  {name:<9} {value}\n");
        }
    }
    for line in &request.rules {
        let input = line.input.as_deref().unwrap_or("");
        let mark = if line.is_deciding { "  <- decided" } else { "" };
        let result = line.result.replace('_', " ");
        text += format!("  {:<15} {result:<10} {input}{mark}", line.rule).trim_end();
        text.push('\n');
    }
    text
}

/// A moment in UTC, to the millisecond.
fn moment(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_s()).unwrap_or(i64::MAX);
    let Ok(moment) = OffsetDateTime::from_unix_timestamp(seconds) else {
        return format!("{} ms", at.0);
    };
    let (hour, minute, second) = moment.to_hms();
    format!(
        "{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}.{:03} UTC",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        at.0 % 1000
    )
}
