//! Delivery: `/v/{contentId}/~{pass}/{object}`, or with the pass in a cookie, or a Common Access
//! Token in query or header, `/v/{contentId}/{object}`; ranges by header or by a `/range/a-b`
//! suffix.
//!
//! No account logic and no database: a pass, the package folder and the bytes. Manifests are
//! rendered for the session, everything else is served as it lies.

use crate::cdns::{self, CdnError, Cdns};
use crate::config::Config;
use crate::http::caller::Caller;
use crate::http::cookies;
use crate::http::problem::Refusal;
use crate::steering::Steering;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use edge::cdn::cat::{self, CatVerifier};
use edge::cmcd;
use edge::range::{parse_header, parse_spec};
use edge::{ByteRange, Cmcd, DeliveryPath, EdgeKey, EdgePass, PassRefused, signed_url};
use media::manifest::filter::{self, Filter, FilterError};
use media::manifest::hls_path;
use model::{ContentId, ObjectPath, PackagedEvent, Scheme, Timestamp, TrackClasses};
use std::fs::File;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use store::ArtFolder;
use store::objects::Folder;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

/// What a package says about itself; not for viewers.
const PACKAGE: &str = "package.json";
/// Longest manifest and longest `package.json`.
const MAX_TEXT: u64 = 8 * 1024 * 1024;
/// Where anybody may ask for the time.
const CLOCK_PATH: &str = "/api/v1/time";
/// How much of an object is read at once.
const CHUNK: usize = 64 * 1024;

/// Throughput as players measure it, kbit/s, and how its figures are named.
const THROUGHPUTS: [(u32, &str); 7] = [
    (500, "500"),
    (1_000, "1000"),
    (2_500, "2500"),
    (5_000, "5000"),
    (10_000, "10000"),
    (25_000, "25000"),
    (100_000, "100000"),
];

/// What there is to deliver.
enum Object {
    /// A manifest, rendered for this session.
    Manifest { text: Vec<u8>, media_type: &'static str },
    /// A stored object.
    Media { file: File, len_bytes: u64, etag: HeaderValue, media_type: &'static str },
}

impl Object {
    fn len_bytes(&self) -> u64 {
        match self {
            // A length in memory is within 64 bits on every machine we build for.
            Self::Manifest { text, .. } => u64::try_from(text.len()).unwrap_or(u64::MAX),
            Self::Media { len_bytes, .. } => *len_bytes,
        }
    }
}

/// Packages, and the key of the passes to them.
pub struct Delivery {
    /// Signs and checks passes.
    pub key: EdgeKey,
    /// Packages.
    pub objects: Folder,
    /// Pictures of titles.
    pub art: ArtFolder,
    /// The CDNs that have the packages too.
    pub steering: Arc<Steering>,
    /// Takes the tokens of the issuers that are named.
    cats: CatVerifier,
    answers_as_of_old: bool,
}

impl Delivery {
    /// From the secret of the passes, the folder of the packages and the settings.
    ///
    /// Errors: [`CdnError`], where the key of a CDN or of an issuer cannot be used.
    pub fn new(secret: &[u8; 32], objects: Folder, config: &Config) -> Result<Self, CdnError> {
        let steering = Steering::new(Cdns::open(config, secret)?, config.drained_file());
        Ok(Self {
            key: EdgeKey::from_bytes(secret),
            art: ArtFolder::beside(&objects),
            objects,
            steering: Arc::new(steering),
            cats: cdns::verifier(&config.edge)?,
            answers_as_of_old: config.edge.answers_as_of_old(),
        })
    }

    /// Delivers what a URL names.
    ///
    /// 1 take the path apart, 2 open the pass, 3 find the object or render the manifest,
    /// 4 answer "not modified" where it is so, 5 read the range, 6 answer.
    ///
    /// Errors: [`Refusal::NotFound`], [`Refusal::Pass`] or [`Refusal::PassAsOfOld`],
    /// [`Refusal::Range`].
    pub async fn deliver(
        &self,
        caller: &Caller,
        method: &Method,
        uri: &Uri,
    ) -> Result<Response, Refusal> {
        let path = DeliveryPath::parse(uri.path()).map_err(|_| Refusal::NotFound)?;
        let pass = self.pass(caller, method, uri, &path).map_err(|refused| {
            if self.answers_as_of_old {
                Refusal::PassAsOfOld(refused)
            } else {
                Refusal::Pass(refused)
            }
        })?;
        note_player(uri, &caller.headers, &pass);
        let scheme = asked_scheme(uri)?;
        let (folder, object) = (self.objects.clone(), path.object);
        let clock_url = format!("{}{CLOCK_PATH}", caller.origin);
        let is_steered = !named(uri).any(|(name, value)| name == "steering" && value == "off");
        let steering =
            if is_steered { self.steering_of(caller, &pass, &object).await? } else { None };
        let is_playlist = object.as_str().ends_with(".m3u8");
        let query = uri.query().filter(|_| is_playlist);
        let signature = query.and_then(|query| self.steering.query_of(caller, &pass, query));
        let asked = Asked { scheme, clock_url, steering, signature };
        let found = tokio::task::spawn_blocking(move || find(&folder, &pass, &object, &asked));
        let object = found.await.map_err(|error| Refusal::Internal(error.to_string()))??;
        if is_known(&caller.headers, &object) {
            return Ok((StatusCode::NOT_MODIFIED, object_headers(&object)).into_response());
        }
        let range = asked_range(&caller.headers, path.range, &object)?;
        answer(object, range, path.range.is_some(), method).await
    }
}

impl Delivery {
    /// What a manifest that lists renditions says of the CDNs.
    async fn steering_of(
        &self,
        caller: &Caller,
        pass: &EdgePass,
        object: &ObjectPath,
    ) -> Result<Option<filter::Steering>, Refusal> {
        let is_master = |scheme| object.as_str() == hls_path(scheme);
        let lists_renditions =
            object.as_str().ends_with(".mpd") || Scheme::ALL.into_iter().any(is_master);
        if !self.steering.is_steered() || !lists_renditions {
            return Ok(None);
        }
        let text = signed_url::sign(&self.key, pass);
        let (steering, caller, pass) = (Arc::clone(&self.steering), caller.clone(), pass.clone());
        let told =
            tokio::task::spawn_blocking(move || steering.of_manifest(&caller, &pass, &text)).await;
        told.map_err(|error| Refusal::Internal(error.to_string()))
    }

    /// The one credential that counts: a pass in the path, else a token where tokens are taken,
    /// else a pass in a cookie. One that is refused is not made good by another.
    fn pass(
        &self,
        caller: &Caller,
        method: &Method,
        uri: &Uri,
        path: &DeliveryPath<'_>,
    ) -> Result<EdgePass, PassRefused> {
        if path.pass.is_none()
            && !self.cats.is_empty()
            && let Some(token) = token_of(uri, &caller.headers)?
        {
            let asked = cat::Asked {
                path: uri.path(),
                content_id: &path.content_id,
                method: method.as_str(),
                country: caller.country,
                now: caller.now,
            };
            return self.cats.open(token, &asked);
        }
        let pass = path.pass.or_else(|| cookies::read(&caller.headers, cookies::PASS));
        signed_url::open(&self.key, pass.ok_or(PassRefused::Invalid)?, &path.content_id, caller.now)
    }
}

/// The Common Access Token of a request, in its query, its header or its cookie. Where one of
/// them has two, nobody knows which another reader would take: none is.
fn token_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, PassRefused> {
    let query = uri.query().unwrap_or_default().split('&');
    let named = query.filter_map(|pair| pair.split_once('='));
    let in_query = named.filter(|(name, _)| *name == cat::PARAMETER).map(|(_, value)| Ok(value));
    let in_header = headers.get_all(cat::HEADER).iter();
    let in_header = in_header.map(|value| value.to_str().map_err(|_| PassRefused::Invalid));
    let in_cookie = cookies::read(headers, cat::HEADER).map(Ok);
    let found: Vec<Result<&str, PassRefused>> =
        in_query.chain(in_header).chain(in_cookie).take(2).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => one.map(Some),
        _ => Err(PassRefused::Invalid),
    }
}

/// Notes what the player says of itself (CTA-5004): figures, and a line for who traces a session,
/// which names it and neither viewer nor address. It changes nothing in the answer.
fn note_player(uri: &Uri, headers: &HeaderMap, pass: &EdgePass) {
    let mut pairs = uri.query().unwrap_or_default().split('&').map(|pair| pair.split_once('='));
    let argument = pairs.find_map(|pair| pair.filter(|(name, _)| *name == cmcd::ARGUMENT));
    let said = match argument {
        Some((_, value)) => Cmcd::parse_argument(value),
        None => {
            let values = cmcd::HEADERS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
            Some(Cmcd::parse_headers(values))
        }
    };
    let Some(said) = said.filter(|said| *said != Cmcd::default()) else { return };
    let object = said.object.map_or("unknown", cmcd::ObjectType::name);
    metrics::counter!("strongroom_cmcd_requests_total", "object" => object).increment(1);
    if said.has_starved {
        metrics::counter!("strongroom_cmcd_starved_total", "object" => object).increment(1);
    }
    if let Some(kbps) = said.throughput_kbps {
        // Counters, because a histogram of the recorder holds every sample until it is read.
        let bound = THROUGHPUTS.iter().find(|(bound, _)| kbps <= *bound);
        let at_most = bound.map_or("more", |(_, name)| *name);
        let name = "strongroom_cmcd_throughput_total";
        metrics::counter!(name, "at_most_kbps" => at_most).increment(1);
    }
    tracing::trace!(session = %pass.session, object, ?said, "a player reports");
}

/// What a request says beside the path.
struct Asked {
    /// The scheme of an MPD.
    scheme: Option<Scheme>,
    /// Where its player can ask for the time.
    clock_url: String,
    /// What it says of the CDNs, where there are several.
    steering: Option<filter::Steering>,
    /// What signs the segments of a playlist at the CDN through which it was asked for.
    signature: Option<String>,
}

/// What time it is here, in the format of XML: by it a player of a live title finds the newest
/// segment, however wrong its own clock is.
pub fn time(now: Timestamp) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/plain"), (header::CACHE_CONTROL, "no-store")];
    (headers, now.to_iso8601())
}

/// The parameters of a request.
fn named(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='))
}

/// The scheme that `?scheme=` chooses for an MPD.
fn asked_scheme(uri: &Uri) -> Result<Option<Scheme>, Refusal> {
    let query = uri.query().unwrap_or_default();
    let value = query.split('&').find_map(|pair| pair.strip_prefix("scheme="));
    value.map(|name| Scheme::parse(name).ok_or(Refusal::Malformed("scheme"))).transpose()
}

fn find(
    folder: &Folder,
    pass: &EdgePass,
    path: &ObjectPath,
    asked: &Asked,
) -> Result<Object, Refusal> {
    let kind = match path.as_str() {
        PACKAGE => return Err(Refusal::NotFound),
        text => text.rsplit_once('.').map_or("", |(_, extension)| extension),
    };
    match kind {
        "mpd" | "m3u8" => render(folder, pass, path, asked),
        "mp4" | "m4s" | "vtt" | "jpg" | "bif" => open(folder, &pass.content_id, path),
        _ => Err(Refusal::NotFound),
    }
}

/// Renders a manifest for the session: one scheme, the renditions of the pass's classes, the
/// lines of its system.
fn render(
    folder: &Folder,
    pass: &EdgePass,
    path: &ObjectPath,
    asked: &Asked,
) -> Result<Object, Refusal> {
    // Subtitles are of no class: without this they would be all that is left.
    if pass.classes == TrackClasses::NONE {
        return Err(Refusal::NotFound);
    }
    let content_id = &pass.content_id;
    let package = ObjectPath::parse(PACKAGE).expect("a plain name");
    let package: PackagedEvent = serde_json::from_str(&read(folder, content_id, &package)?)
        .map_err(|_| Refusal::Internal("package.json does not read back".to_owned()))?;
    let text = read(folder, content_id, path)?;
    let name = path.as_str();
    let is_text = package.texts.iter().any(|track| track.playlist == name);
    if is_text || package.images.iter().any(|images| images.playlist == name) {
        let rendered = filter::hls_text(&text).map(|text| signed(text, asked));
        return rendered_manifest(content_id, path, rendered);
    }
    let master = Scheme::ALL.into_iter().find(|scheme| name == hls_path(*scheme));
    let scheme = if name == package.dash {
        asked.scheme.or_else(|| package.schemes.first().copied())
    } else {
        master.or_else(|| Scheme::parse(name.split('/').next().unwrap_or_default()))
    };
    let scheme = scheme.filter(|s| package.schemes.contains(s)).ok_or(Refusal::NotFound)?;
    let mut filter = Filter::new(&package, scheme, pass.classes, pass.dialect);
    filter.clock_url = Some(asked.clock_url.clone()).filter(|_| package.live);
    filter.steering.clone_from(&asked.steering);
    let rendered = if name == package.dash {
        filter::mpd(&text, &filter)
    } else if master.is_some() {
        filter::hls_master(&text, &filter)
    } else {
        filter::hls_media(&text, &filter).map(|text| signed(text, asked))
    };
    rendered_manifest(content_id, path, rendered)
}

/// A media playlist for the CDN through which it was asked for.
fn signed(playlist: String, asked: &Asked) -> String {
    match &asked.signature {
        Some(query) => filter::hls_signed(&playlist, query),
        None => playlist,
    }
}

fn rendered_manifest(
    content_id: &ContentId,
    path: &ObjectPath,
    rendered: Result<String, FilterError>,
) -> Result<Object, Refusal> {
    let text = rendered.map_err(|error| match error {
        FilterError::NothingLeft | FilterError::NotSignaled => Refusal::NotFound,
        _ => Refusal::Internal(format!("{content_id} {path}: {error}")),
    })?;
    Ok(Object::Manifest { text: text.into_bytes(), media_type: media_type(path) })
}

fn read(folder: &Folder, content_id: &ContentId, path: &ObjectPath) -> Result<String, Refusal> {
    let object = folder.object(content_id, path).map_err(disk)?.ok_or(Refusal::NotFound)?;
    if object.size_bytes() > MAX_TEXT {
        return Err(Refusal::Internal(format!("{content_id} {path} is too long")));
    }
    io::read_to_string(object.into_file()).map_err(disk)
}

fn open(folder: &Folder, content_id: &ContentId, path: &ObjectPath) -> Result<Object, Refusal> {
    let object = folder.object(content_id, path).map_err(disk)?.ok_or(Refusal::NotFound)?;
    let len_bytes = object.size_bytes();
    let file = object.into_file();
    let metadata = file.metadata().map_err(disk)?;
    // A file is never changed in place; one that took another's place has another time.
    let etag = format!("\"{len_bytes:x}-{:x}-{:x}\"", metadata.mtime(), metadata.mtime_nsec());
    let etag = HeaderValue::from_str(&etag).expect("hex digits");
    Ok(Object::Media { file, len_bytes, etag, media_type: media_type(path) })
}

fn disk(error: io::Error) -> Refusal {
    Refusal::Internal(format!("package folder: {error}"))
}

const JPEG: &str = "image/jpeg";
/// A BIF has no type of its own.
const BIF: &str = "application/octet-stream";

fn media_type(path: &ObjectPath) -> &'static str {
    let name = path.as_str();
    match name.rsplit_once('.') {
        Some((_, "mpd")) => "application/dash+xml",
        Some((_, "m3u8")) => "application/vnd.apple.mpegurl",
        Some((_, "vtt")) => "text/vtt",
        Some((_, "jpg")) => JPEG,
        Some((_, "bif")) => BIF,
        _ if name.starts_with("text/") => "application/mp4",
        _ if name.contains("audio") => "audio/mp4",
        _ => "video/mp4",
    }
}

/// Whether the client has the object already.
fn is_known(headers: &HeaderMap, object: &Object) -> bool {
    let Object::Media { etag, .. } = object else { return false };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|tag| tag.trim().as_bytes() == etag.as_bytes()))
}

/// The bytes asked for. The suffix is part of the URL, so it comes before the header; a header
/// for another version of the object (`If-Range`) is not one for this.
fn asked_range(
    headers: &HeaderMap,
    suffix: Option<&str>,
    object: &Object,
) -> Result<Option<ByteRange>, Refusal> {
    let len_bytes = object.len_bytes();
    let refuse = |refused| Refusal::Range { refused, len_bytes };
    if let Some(spec) = suffix {
        return parse_spec(spec, len_bytes).map(Some).map_err(refuse);
    }
    let is_same = match (headers.get(header::IF_RANGE), object) {
        (Some(known), Object::Media { etag, .. }) => known == etag,
        (Some(_), Object::Manifest { .. }) => false,
        (None, _) => true,
    };
    match headers.get(header::RANGE).filter(|_| is_same) {
        None => Ok(None),
        Some(value) => {
            let value = value.to_str().map_err(|_| Refusal::Malformed("range"))?;
            parse_header(value, len_bytes).map_err(refuse)
        }
    }
}

/// Type, version and cache rule. A pass stays out of a shared cache's key, so encrypted media
/// may be shared; a manifest is one session's, and pictures are clear: who may see them is
/// asked each time.
fn object_headers(object: &Object) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (media_type, cache) = match object {
        Object::Manifest { media_type, .. } => (media_type, "private, no-store"),
        Object::Media { media_type, etag, .. } => {
            headers.insert(header::ETAG, etag.clone());
            let is_clear_picture = matches!(*media_type, JPEG | BIF);
            let shared = "public, max-age=3600";
            (media_type, if is_clear_picture { "private, max-age=3600" } else { shared })
        }
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers
}

/// A range asked for by header is a part (206); one in the URL is the whole of what that URL
/// names (200).
async fn answer(
    object: Object,
    range: Option<ByteRange>,
    is_in_url: bool,
    method: &Method,
) -> Result<Response, Refusal> {
    let total = object.len_bytes();
    let (first, len_bytes) = range.map_or((0, total), |range| (range.first(), range.len_bytes()));
    let mut headers = object_headers(&object);
    headers.insert(header::CONTENT_LENGTH, len_bytes.into());
    let status = match range {
        Some(range) if !is_in_url => {
            let value = format!("bytes {}-{}/{total}", range.first(), range.last());
            let value = HeaderValue::from_str(&value).expect("digits");
            headers.insert(header::CONTENT_RANGE, value);
            StatusCode::PARTIAL_CONTENT
        }
        _ => StatusCode::OK,
    };
    let body =
        if method == Method::HEAD { Body::empty() } else { body(object, first, len_bytes).await? };
    Ok((status, headers, body).into_response())
}

async fn body(object: Object, first: u64, len_bytes: u64) -> Result<Body, Refusal> {
    match object {
        Object::Manifest { text, .. } => {
            let span = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let text = text.into_iter().skip(span(first)).take(span(len_bytes));
            Ok(Body::from(text.collect::<Vec<u8>>()))
        }
        Object::Media { file, .. } => {
            let mut file = tokio::fs::File::from_std(file);
            if first > 0 {
                file.seek(SeekFrom::Start(first)).await.map_err(disk)?;
            }
            let bytes = file.take(len_bytes);
            Ok(Body::from_stream(ReaderStream::with_capacity(bytes, CHUNK)))
        }
    }
}
