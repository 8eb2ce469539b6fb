//! Remembers how the requests ended that `explain` can be asked about: every refusal of a token
//! call or a license request, those of a viewer's heartbeat, and every token call that was allowed.
//! A license that was issued is in the audit already.

use crate::http::problem::{Problem, Refusal};
use crate::service::Service;
use crate::trail::{Told, Trail};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use model::{CorrelationId, Timestamp};
use playback::{Rule, Said, Trace};
use std::sync::Arc;
use store::{AskedRoute, Ended, RequestOutcome};

/// Begins the request's trail, and notes its outcome. Nobody waits for the note to be written.
pub async fn outcome(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let trail = Trail::begin(request.uri().path());
    let correlation = request.extensions().get::<CorrelationId>().copied();
    request.extensions_mut().insert(trail.clone());
    let response = next.run(request).await;
    if let (Some(correlation), Some(told)) = (correlation, trail.told()) {
        let now = service.ground.clock.now();
        if let Some(row) = row_of(&response, correlation, told, now) {
            service.outcomes.note(row);
        }
    }
    response
}

fn row_of(
    response: &Response,
    correlation: CorrelationId,
    told: Told,
    now: Timestamp,
) -> Option<RequestOutcome> {
    let status = response.status();
    let said = response.extensions().get::<Problem>().cloned();
    // The framework's own refusals carry no problem yet.
    let framework = || Refusal::Malformed("path or query").problem();
    let problem = said.or_else(|| status.is_client_error().then(framework));
    let Told { route, dialect, content_id, account, session, decision, mut trace, .. } = told;
    let ended = match problem {
        Some(_) if told.is_repetition => return None,
        // Whoever holds no sign-in shall push out nothing.
        Some(_) if route == AskedRoute::Heartbeat && account.is_none() => return None,
        Some(problem) => {
            let input = refused_input(&trace, &problem);
            trace.note(problem.rule, input, Said::Refused);
            Ended::Refused { code: problem.code.to_owned(), reason: problem.reason.to_owned() }
        }
        None if route == AskedRoute::Token && status.is_success() => Ended::Allowed,
        None => return None,
    };
    Some(RequestOutcome {
        at: now,
        correlation,
        route,
        dialect,
        ended,
        decision,
        account,
        session,
        content_id,
        trace,
    })
}

/// What the deciding rule looked at: what is known of it, and what the refusal says of itself.
fn refused_input(trace: &Trace, problem: &Problem) -> String {
    let cause = match problem.rule {
        // What a database says of itself is for the log.
        Rule::Service => problem.reason,
        _ => &problem.cause,
    };
    match (trace.step(problem.rule), problem.rule) {
        (None, _) => cause.to_owned(),
        // The evaluator has said it better.
        (Some(step), rule) if (Rule::Title..=Rule::Streams).contains(&rule) => step.input.clone(),
        (Some(step), _) => format!("{}: {cause}", step.input),
    }
}
