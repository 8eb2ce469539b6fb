//! The edge as a process of its own: passes, packages and bytes. It opens neither rows nor keys;
//! `audit-leaks --process` finds no content key in its memory.

use crate::clock::Clock;
use crate::config::Config;
use crate::edge_art;
use crate::edge_routes::{self, Delivery};
use crate::entropy::EntropySource;
use crate::ground::{Ground, Grounded};
use crate::health;
use crate::home::HomeError;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::http::{cors, envelope};
use crate::secrets;
use axum::extract::{Path, State};
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use edge::steering::SteeringDocument;
use model::ContentId;
use std::sync::Arc;
use store::objects::Folder;

/// All that an edge has.
#[derive(Clone)]
pub struct EdgeRole {
    ground: Arc<Ground>,
    delivery: Arc<Delivery>,
}

impl EdgeRole {
    /// Opens the packages and the key of the passes, which another process of this home, or its
    /// operator, has put there: an edge that made its own would refuse every viewer.
    ///
    /// Errors: [`HomeError`].
    pub fn open(config: &Config) -> Result<Self, HomeError> {
        let key = secrets::load(&config.secrets_folder(), "edge")?;
        let path = config.media_folder();
        let objects = Folder::open(&path).map_err(|cause| HomeError::Folder { path, cause })?;
        let entropy = EntropySource::system();
        let ground = Ground::new(config.clone(), Clock::System, entropy)?;
        let delivery = Delivery::new(&key, objects, config)?;
        Ok(Self { ground: Arc::new(ground), delivery: Arc::new(delivery) })
    }

    /// The edge's routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v/{*path}", get(media))
            .route("/art/{name}", get(picture))
            .route("/api/v1/steering/{content_id}/{pass}", get(steering))
            .route("/api/v1/time", get(async |caller: Caller| edge_routes::time(caller.now)))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async || "ready\n"))
            .route("/metrics", get(health::metrics))
            .fallback(async || Refusal::NotFound)
            .method_not_allowed_fallback(async || Refusal::Method)
            .layer(from_fn_with_state(Arc::clone(&self.ground), cors::allow_listed))
            .layer(from_fn_with_state(Arc::clone(&self.ground), envelope::seal))
            .with_state(self)
    }
}

impl Grounded for EdgeRole {
    fn ground(&self) -> &Ground {
        &self.ground
    }
}

async fn media(
    State(edge): State<EdgeRole>,
    caller: Caller,
    method: Method,
    uri: Uri,
) -> Result<Response, Refusal> {
    edge.delivery.deliver(&caller, &method, &uri).await
}

async fn picture(
    State(edge): State<EdgeRole>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    edge_art::picture(&edge.delivery.art, &caller.headers, &name).await
}

async fn steering(
    State(edge): State<EdgeRole>,
    caller: Caller,
    Path((id, pass)): Path<(String, String)>,
) -> Result<Json<SteeringDocument>, Refusal> {
    let id = ContentId::parse(&id).map_err(|_| Refusal::NotFound)?;
    let EdgeRole { delivery, .. } = &edge;
    delivery.steering.answer(&delivery.key, &caller, &id, &pass).await.map(Json)
}
