//! What one request is about and what its rules said, gathered on its way for `explain`.
//!
//! Only the routes whose outcome is remembered begin a trail ([`crate::http::remember`]);
//! elsewhere it is empty and telling it costs nothing.

use model::{AccountId, ContentId, DecisionId, Dialect, PlaybackSessionId};
use playback::Trace;
use std::sync::{Arc, Mutex, PoisonError};
use store::AskedRoute;

/// The trail of a request. Clones are the same trail.
#[derive(Clone, Debug, Default)]
pub struct Trail(Option<Arc<Mutex<Told>>>);

/// What is known of a request. Holds no credential.
#[derive(Clone, Debug)]
pub struct Told {
    /// What was asked for.
    pub route: AskedRoute,
    /// The dialect of a license request.
    pub dialect: Option<Dialect>,
    /// The title.
    pub content_id: Option<ContentId>,
    /// The account, once a credential has proved it.
    pub account: Option<AccountId>,
    /// The playback session.
    pub session: Option<PlaybackSessionId>,
    /// The decision.
    pub decision: Option<DecisionId>,
    /// What the rules said so far.
    pub trace: Trace,
    /// Whether a row of its own would say nothing new: one more of a session that is turned
    /// away for asking too often.
    pub is_repetition: bool,
}

impl Trail {
    /// The trail of a request for this path. Empty: its outcome is not remembered.
    #[must_use]
    pub fn begin(path: &str) -> Self {
        let playback = path.strip_prefix("/api/v1/playback/");
        // An authorization is a token call, and says more.
        let title = playback
            .and_then(|rest| rest.strip_prefix("token/").or(rest.strip_suffix("/authorization")));
        let (route, dialect, content_id) = if let Some(name) = path.strip_prefix("/license/") {
            (AskedRoute::License, Dialect::parse(name), None)
        } else if let Some(id) = title {
            (AskedRoute::Token, None, ContentId::parse(id).ok())
        } else if path.starts_with("/api/v1/playback/") && path.ends_with("/heartbeat") {
            (AskedRoute::Heartbeat, None, None)
        } else {
            return Self::default();
        };
        let (account, session, decision) = (None, None, None);
        let (trace, is_repetition) = (Trace::default(), false);
        let told =
            Told { route, dialect, content_id, account, session, decision, trace, is_repetition };
        Self(Some(Arc::new(Mutex::new(told))))
    }

    /// Tells something; not run where nothing is remembered.
    pub fn tell(&self, tell: impl FnOnce(&mut Told)) {
        if let Some(told) = &self.0 {
            tell(&mut told.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What has been told so far.
    #[must_use]
    pub fn told(&self) -> Option<Told> {
        self.0.as_ref().map(|told| told.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// What the rules said so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let mut trace = Trace::default();
        self.tell(|told| trace = told.trace.clone());
        trace
    }
}
