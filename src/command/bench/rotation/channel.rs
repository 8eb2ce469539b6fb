//! The service that the crowd watches: the routes of `serve`, in process, on stores of their own
//! and a clock that stands until it is moved.

use super::crowd::Why;
use super::players::Spoken;
use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use keys::SystemEntropy;
use model::{Account, AccountId, ContentId, PlanName, SignInId, Subscription, Timestamp};
use playback::SessionToken;
use server::clock::Clock;
use server::http::router::router;
use server::{Home, Service};
use std::net::SocketAddr;
use std::sync::Mutex;
use store::{AuditVerdict, Store};
use tower::ServiceExt as _;

/// Longest answer that a player reads.
const LONGEST: usize = 4 << 20;
const ORIGIN: &str = "http://localhost";

/// A service and the sign-ins of its viewers.
pub struct Channel {
    router: Router,
    clock: Clock,
    store: Store,
    spoken: Spoken,
    content_id: ContentId,
    seats: Vec<Seat>,
}

/// One viewer's place.
struct Seat {
    /// The sign-in.
    bearer: String,
    /// The playback session, once there is one.
    session: Mutex<Option<String>>,
}

/// A license that came.
pub struct Licensed {
    /// Its bytes.
    pub message: Vec<u8>,
    /// When it ends.
    pub ends: Timestamp,
    /// When the viewer is to ask again.
    pub next_s: Option<u32>,
}

impl Channel {
    /// Starts the service of a home in which the event is published, and signs everybody in: each
    /// has an account of his own. Nobody types a password: checking one takes as long as it should.
    ///
    /// Errors: what the stores say.
    pub async fn open(
        home: Home,
        spoken: Spoken,
        content_id: &ContentId,
        viewers: u32,
        progress: impl Fn(),
    ) -> anyhow::Result<Self> {
        let (now, plan) = (home.clock.now(), PlanName::parse("standard")?);
        let (store, clock) = (home.store.clone(), home.clock.clone());
        let key = home.secrets.token_key();
        let expires = now.plus_s(home.config.tokens.session_s);
        let mut seats = vec![];
        for viewer in 0..viewers {
            let account = Account {
                id: AccountId::random(&mut SystemEntropy),
                name: format!("viewer-{viewer}"),
                plan: plan.clone(),
                subscription: Subscription::Active,
            };
            // No password has this hash.
            store.insert_account(&account, "-", now).await?;
            let sign_in = SignInId::random(&mut SystemEntropy);
            store.insert_sign_in(sign_in, account.id, expires, now).await?;
            let token = SessionToken { account: account.id, sign_in, issued: now, expires };
            let bearer = format!("Bearer {}", token.issue(&key));
            seats.push(Seat { bearer, session: Mutex::new(None) });
            progress();
        }
        let router = router(Service::start(home).await?, Router::new());
        Ok(Self { router, clock, store, spoken, content_id: content_id.clone(), seats })
    }

    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock by a second.
    pub fn tick(&self) {
        self.clock.advance_ms(1000);
    }

    /// Licenses that the service has counted itself, since the process began.
    pub async fn counted(&self) -> anyhow::Result<u64> {
        let request = Request::builder().uri("/metrics");
        let (_, text) = self.send(request, vec![]).await?;
        let text = String::from_utf8(text).context("the figures")?;
        let name = format!("strongroom_licenses_total{{dialect=\"{}\"}} ", self.spoken.dialect());
        let count = text.lines().find_map(|line| line.strip_prefix(&name));
        count.map_or(Ok(0), |count| Ok(count.trim().parse()?))
    }

    /// Rows of the audit, whose chain is whole.
    pub async fn audited(&self) -> anyhow::Result<u64> {
        match self.store.verify_audit().await? {
            AuditVerdict::Whole { rows } => Ok(rows),
            AuditVerdict::Broken(row) => bail!("the audit breaks: {row:?}"),
        }
    }

    /// A token call: the license URL that it gives, and for later a session.
    ///
    /// Errors: it was refused.
    pub async fn start(&self, viewer: u32) -> anyhow::Result<String> {
        let seat = self.seat(viewer)?;
        let dialect = self.spoken.dialect();
        let path = format!("/api/v1/playback/token/{}?dialect={dialect}", self.content_id);
        let request = Request::builder().uri(path).header(header::AUTHORIZATION, &seat.bearer);
        let (_, body) = self.send(request, vec![]).await?;
        let playback: serde_json::Value = serde_json::from_slice(&body)?;
        let text = |pointer: &str| {
            let value = playback.pointer(pointer).and_then(serde_json::Value::as_str);
            value.map(str::to_owned).with_context(|| format!("no {pointer}"))
        };
        let session = text("/session_id")?;
        let url = text(&format!("/license/{dialect}"))?;
        *seat.session.lock().expect("nobody panics with it") = Some(session);
        let path = url.strip_prefix(ORIGIN).context("the license URL")?;
        Ok(path.to_owned())
    }

    /// The license URL of a session that goes on.
    ///
    /// Errors: there is none.
    pub fn follow_up(&self, viewer: u32) -> anyhow::Result<String> {
        let session = self.seat(viewer)?.session.lock().expect("nobody panics with it").clone();
        let session = session.context("a session")?;
        Ok(format!("/license/{}?session={session}", self.spoken.dialect()))
    }

    /// Sends a challenge; the first one of a session by its token alone, as any player may.
    ///
    /// Errors: it was refused.
    pub async fn license(
        &self,
        viewer: u32,
        why: Why,
        path: &str,
        challenge: Vec<u8>,
    ) -> anyhow::Result<Licensed> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, self.spoken.media_type());
        if why != Why::Joins {
            request = request.header(header::AUTHORIZATION, &self.seat(viewer)?.bearer);
        }
        let (headers, message) = self.send(request, challenge).await?;
        let number = |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.parse().ok() };
        let ends = Timestamp(number("x-strongroom-license-expires").context("no end")?);
        let next_s = number("strongroom-next-license").map(u32::try_from).transpose()?;
        Ok(Licensed { message, ends, next_s })
    }

    fn seat(&self, viewer: u32) -> anyhow::Result<&Seat> {
        self.seats.get(viewer as usize).context("a seat")
    }

    async fn send(
        &self,
        request: axum::http::request::Builder,
        body: Vec<u8>,
    ) -> anyhow::Result<(HeaderMap, Vec<u8>)> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let request = request.header(header::HOST, "localhost").extension(ConnectInfo(peer));
        let Ok(answer) = self.router.clone().oneshot(request.body(Body::from(body))?).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = to_bytes(answer.into_body(), LONGEST).await?.to_vec();
        if status != StatusCode::OK {
            bail!("refused with {status}: {}", String::from_utf8_lossy(&body));
        }
        ensure!(!headers.is_empty(), "an answer without headers");
        Ok((headers, body))
    }
}
