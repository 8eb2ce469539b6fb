//! Which of several CDNs a session is to use: told in manifests, in the answer of an authorization
//! and to players that ask again (R075, R076).
//!
//! Like delivery it knows no account: a pass, the settings and a file that names what the operator
//! has taken out. So it answers on while the control plane is down.

use crate::cdns::Cdns;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use edge::cdn::{Scope, SignedPlace};
use edge::steering::{Candidate, PARAMETER, Pathway, SteeringDocument, order, path};
use edge::{EdgeKey, EdgePass, signed_url};
use media::manifest::filter;
use model::ContentId;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The own edge, where the settings name no CDN.
const OWN: &str = "own";
/// The own edge, where all CDNs of the settings want their signature in a query: the one place
/// that a manifest can name as it is.
const ORIGIN: &str = "origin";
/// Largest file of what is taken out.
const MAX_DRAINED: u64 = 64 * 1024;

/// The CDNs of a process.
pub struct Steering {
    cdns: Cdns,
    drained: PathBuf,
}

/// A CDN that has a session's package, and its place in the order.
pub struct RankedCdn {
    /// Its name.
    pub name: String,
    /// Its share.
    pub weight: u32,
    /// Where the package is; the session's pass stands in the path, whatever else signs it.
    pub place: SignedPlace,
    /// Whether a manifest can name it.
    is_plain: bool,
    /// Its place among the settings.
    at: usize,
}

impl Steering {
    /// From the CDNs of the settings, and the file that names those that are taken out.
    #[must_use]
    pub const fn new(cdns: Cdns, drained: PathBuf) -> Self {
        Self { cdns, drained }
    }

    /// The CDNs.
    #[must_use]
    pub const fn cdns(&self) -> &Cdns {
        &self.cdns
    }

    /// Whether there is anything to choose.
    #[must_use]
    pub fn is_steered(&self) -> bool {
        self.cdns.iter().count() > 1
    }

    /// The CDNs in the order in which the session is to use them. One that cannot be told what its
    /// settings ask for (an address, a country) is left out; where none is left, the own edge is.
    pub async fn ranked(&self, caller: &Caller, pass: &EdgePass, text: &str) -> Vec<RankedCdn> {
        let drained = self.drained().await;
        self.ranked_but(&drained, caller, pass, text)
    }

    fn ranked_but(
        &self,
        drained: &BTreeSet<String>,
        caller: &Caller,
        pass: &EdgePass,
        text: &str,
    ) -> Vec<RankedCdn> {
        let scope = scope(caller, pass);
        let signed = self.cdns.iter().enumerate().filter_map(|(at, cdn)| {
            let place = cdn.sign(&scope).ok()?;
            let is_plain = place.query.is_none() && place.cookies.is_empty();
            let place = with_pass(place, text);
            Some(RankedCdn { name: cdn.name.clone(), weight: cdn.weight, place, is_plain, at })
        });
        let mut found: Vec<_> = signed.map(Some).collect();
        let candidates: Vec<_> = found
            .iter()
            .flatten()
            .map(|cdn| Candidate {
                name: &cdn.name,
                weight: cdn.weight,
                is_drained: drained.contains(&cdn.name),
            })
            .collect();
        let order = order(pass.session, &candidates);
        let ranked: Vec<_> = order.into_iter().filter_map(|at| found.get_mut(at)?.take()).collect();
        if ranked.is_empty() { vec![own(OWN, &caller.origin, pass, text)] } else { ranked }
    }

    /// What a manifest says of the CDNs; `None` where there is nothing to choose.
    ///
    /// Blocks on the disk for a moment.
    pub fn of_manifest(
        &self,
        caller: &Caller,
        pass: &EdgePass,
        text: &str,
    ) -> Option<filter::Steering> {
        if !self.is_steered() {
            return None;
        }
        let priority = self.priority(&read_or_none(&self.drained), caller, pass, text);
        let plain = || priority.iter().filter(|cdn| cdn.is_plain);
        let first = plain().next()?.name.clone();
        let mut pathways: Vec<_> =
            plain().map(|cdn| (cdn.at, cdn.name.clone(), cdn.place.base.clone())).collect();
        // In the order of the settings: it says nothing of the session.
        pathways.sort_by_key(|(at, ..)| *at);
        let pathways = pathways.into_iter().map(|(_, name, base)| (name, base)).collect();
        let server_url = steering_url(&caller.origin, &pass.content_id, text);
        Some(filter::Steering { server_url, first, pathways })
    }

    /// The query that signs what a playlist names, where it was asked for through a CDN that wants
    /// one: a player adds the CDN's parameters to the playlist's URL alone.
    pub fn query_of(&self, caller: &Caller, pass: &EdgePass, asked: &str) -> Option<String> {
        let mut named = asked.split('&').filter_map(|pair| pair.split_once('='));
        let (_, name) = named.find(|(name, _)| *name == PARAMETER)?;
        let query = self.cdns.named(name)?.sign(&scope(caller, pass)).ok()?.query?;
        Some(format!("{query}&{PARAMETER}={name}"))
    }

    /// Answers a player that asks which CDN to use.
    ///
    /// Errors: [`Refusal::Pass`]; [`Refusal::NotFound`] where there is nothing to choose.
    pub async fn answer(
        &self,
        key: &EdgeKey,
        caller: &Caller,
        content_id: &ContentId,
        text: &str,
    ) -> Result<SteeringDocument, Refusal> {
        let pass = signed_url::open(key, text, content_id, caller.now)?;
        if !self.is_steered() {
            return Err(Refusal::NotFound);
        }
        let priority = self.priority(&self.drained().await, caller, &pass, text);
        let base = priority.iter().filter(|cdn| cdn.is_plain).min_by_key(|cdn| cdn.at);
        let base = base.map_or_else(String::new, |cdn| cdn.name.clone());
        let reload = steering_url(&caller.origin, content_id, text);
        let pathways = priority.into_iter().map(|cdn| Pathway { id: cdn.name, place: cdn.place });
        Ok(SteeringDocument::new(&pathways.collect::<Vec<_>>(), &base, reload))
    }

    /// The CDNs that players can be led to. One with a query is a copy of a plain one at another
    /// host, so it must have the package under the same path; with no plain one in the settings
    /// the own edge is it, and the last resort.
    fn priority(
        &self,
        drained: &BTreeSet<String>,
        caller: &Caller,
        pass: &EdgePass,
        text: &str,
    ) -> Vec<RankedCdn> {
        let mut priority = self.ranked_but(drained, caller, pass, text);
        if !priority.iter().any(|cdn| cdn.is_plain) {
            priority.push(own(ORIGIN, &caller.origin, pass, text));
        }
        let base = priority.iter().filter(|cdn| cdn.is_plain).min_by_key(|cdn| cdn.at);
        let base_path = base.map_or_else(String::new, |cdn| path(&cdn.place.base).to_owned());
        priority.retain(|cdn| {
            cdn.is_plain || cdn.place.query.is_some() && path(&cdn.place.base) == base_path
        });
        priority
    }

    async fn drained(&self) -> BTreeSet<String> {
        let path = self.drained.clone();
        tokio::task::spawn_blocking(move || read_or_none(&path)).await.unwrap_or_default()
    }
}

/// What a signature is for.
fn scope(caller: &Caller, pass: &EdgePass) -> Scope {
    let (country, address) = (caller.country, Some(caller.address));
    Scope { pass: pass.clone(), issued: caller.now, country, address }
}

/// The own edge as a CDN.
fn own(name: &str, origin: &str, pass: &EdgePass, text: &str) -> RankedCdn {
    let base = format!("{origin}/v/{}/~{text}/", pass.content_id);
    let place = SignedPlace { base, query: None, cookies: vec![] };
    RankedCdn { name: name.to_owned(), weight: 1, place, is_plain: true, at: usize::MAX }
}

/// Every URL has the session's pass in its path: by it the own edge, which CDNs fetch from, knows
/// the session, and what signs a folder signs what is below it too.
fn with_pass(mut place: SignedPlace, text: &str) -> SignedPlace {
    let folder = format!("~{text}/");
    if !place.base.ends_with(&folder) {
        place.base.push_str(&folder);
    }
    place
}

/// Where a player asks which CDN to use. The pass opens it, as it opens the media.
#[must_use]
pub fn steering_url(origin: &str, content_id: &ContentId, pass: &str) -> String {
    format!("{origin}/api/v1/steering/{content_id}/{pass}")
}

/// The names of the CDNs that are taken out. No file: none.
///
/// Errors: of the disk; [`ErrorKind::InvalidData`] for another file.
pub fn read_drained(path: &Path) -> io::Result<BTreeSet<String>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() > MAX_DRAINED => {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path)?;
    serde_json::from_str(&text).map_err(|_| ErrorKind::InvalidData.into())
}

/// Says which CDNs are taken out: written aside and renamed, so that whoever reads reads one
/// whole list.
///
/// Errors: of the disk.
pub fn write_drained(path: &Path, names: &BTreeSet<String>) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let aside = path.with_extension("new");
    let mut file = std::fs::File::create(&aside)?;
    serde_json::to_writer(&mut file, names)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

/// A file that cannot be read takes nothing out: media goes on.
fn read_or_none(path: &Path) -> BTreeSet<String> {
    read_drained(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "drained CDNs cannot be read");
        BTreeSet::new()
    })
}
