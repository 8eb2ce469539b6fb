//! `cdn`: the CDNs of the settings (docs/guide/cdn.md).

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use edge::EdgePass;
use edge::cdn::Scope;
use model::{ContentId, Country, Dialect, ObjectPath, PlaybackSessionId, TrackClass, TrackClasses};
use serde_json::json;
use server::{Home, steering};
use std::net::IpAddr;

/// What to do with CDNs.
#[derive(Subcommand)]
pub enum Arguments {
    /// List the CDNs of the settings; reads their keys, so that a wrong one is seen.
    List,
    /// Print a signed URL, as a viewer would get it: for curl, support and tests.
    Sign(Sign),
    /// Take a CDN out: players go to others from their next question on, within five minutes.
    /// Said to this data folder; an edge elsewhere has its own.
    Drain(Named),
    /// Let players go to a CDN again.
    Undrain(Named),
}

/// One CDN.
#[derive(Args)]
pub struct Named {
    /// The CDN, by its name in the settings.
    name: String,
}

/// Arguments of `cdn sign`.
#[derive(Args)]
pub struct Sign {
    /// The CDN, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    cdn: String,
    /// The title.
    #[arg(long, value_name = "ID")]
    content: String,
    /// Seconds until it ends.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// The object in the title's package.
    #[arg(long, value_name = "PATH", default_value = "manifest.mpd")]
    object: String,
    /// The playback session; a new one when absent.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// The DRM system whose manifests the own edge renders.
    #[arg(long, value_name = "X", default_value = "clearkey", value_parser = ["clearkey", "widevine", "playready", "fairplay"])]
    dialect: String,
    /// The viewer's country, for a CDN that is told it.
    #[arg(long, value_name = "XX")]
    country: Option<String>,
    /// The viewer's address, for a CDN that is told it.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
}

/// Lists CDNs or signs for one.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    block_on(async {
        let home = place.home().await?;
        match arguments {
            Arguments::List => list(&home, answer),
            Arguments::Sign(arguments) => sign(&home, &arguments, answer).await,
            Arguments::Drain(named) => drain(&home, &named.name, true, answer),
            Arguments::Undrain(named) => drain(&home, &named.name, false, answer),
        }
    })
}

fn list(home: &Home, answer: Answer) -> Result<(), Failure> {
    let cdns = home.cdns().map_err(Failure::environment)?;
    let drained = steering::read_drained(&home.config.drained_file());
    let drained = drained.map_err(Failure::environment)?;
    let cdns: Vec<_> = cdns
        .iter()
        .zip(&home.config.cdn)
        .map(|(ready, set)| {
            json!({
                "name": ready.name,
                "weight": ready.weight,
                "base_url": set.base_url,
                "drained": drained.contains(&ready.name),
            })
        })
        .collect();
    answer.print(&cdns, |_| match home.config.cdn.as_slice() {
        [] => "no [[cdn]] in the settings: the own edge delivers".to_owned(),
        set => {
            let line = |cdn: &server::config::cdn::Cdn| {
                format!("{}  weight {}  {}\n", cdn.name, cdn.weight, cdn.base_url)
            };
            set.iter().map(line).collect()
        }
    });
    Ok(())
}

async fn sign(home: &Home, arguments: &Sign, answer: Answer) -> Result<(), Failure> {
    let scope = scope(home, arguments).map_err(Failure::Environment)?;
    let object = ObjectPath::parse(&arguments.object).context("--object");
    let object = object.map_err(Failure::Environment)?;
    let title = home.store.title(&scope.pass.content_id).await.map_err(Failure::environment)?;
    title.context("there is no such title").map_err(Failure::Refused)?;
    let cdns = home.cdns().map_err(Failure::environment)?;
    let cdn = cdns.named(&arguments.cdn).context("--cdn: no [[cdn]] of this name in the settings");
    let place = cdn.map_err(Failure::Refused)?.sign(&scope).map_err(Failure::refused)?;
    let url = place.url(object.as_str());
    let cookies: Vec<_> =
        place.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let said = json!({
        "url": url,
        "base": place.base,
        "query": place.query,
        "cookies": cookies,
        "session_id": scope.pass.session,
        "expires_at": scope.pass.expires,
    });
    answer.print(&said, |_| match cookies.is_empty() {
        true => url.clone(),
        false => format!("{url}\nCookie: {}", cookies.join("; ")),
    });
    Ok(())
}

fn scope(home: &Home, arguments: &Sign) -> anyhow::Result<Scope> {
    let issued = home.clock.now();
    let session = match &arguments.session {
        Some(text) => PlaybackSessionId::parse(text).context("--session")?,
        None => home.entropy.with(PlaybackSessionId::random),
    };
    let country = arguments.country.as_deref().map(|text| {
        Country::parse(text).context("--country: a country is two letters (ISO 3166-1 alpha-2)")
    });
    let pass = EdgePass {
        content_id: ContentId::parse(&arguments.content).context("--content")?,
        session,
        classes: TrackClasses::up_to(TrackClass::Uhd),
        dialect: Dialect::parse(&arguments.dialect).context("--dialect")?,
        expires: issued.plus_s(u64::from(arguments.seconds)),
    };
    Ok(Scope { pass, issued, country: country.transpose()?, address: arguments.address })
}

/// Takes a CDN out, or lets players go to it again. What is out may have left the settings.
fn drain(home: &Home, name: &str, is_out: bool, answer: Answer) -> Result<(), Failure> {
    let file = home.config.drained_file();
    let about = || file.display().to_string();
    let drained = steering::read_drained(&file).with_context(about);
    let mut drained = drained.map_err(Failure::Environment)?;
    if is_out && !home.config.cdn.iter().any(|cdn| cdn.name == name) {
        let why = format!("there is no CDN {name:?} in the settings");
        return Err(Failure::Refused(anyhow::Error::msg(why)));
    }
    let has_changed = if is_out { drained.insert(name.to_owned()) } else { drained.remove(name) };
    if has_changed {
        let written = steering::write_drained(&file, &drained).with_context(about);
        written.map_err(Failure::Environment)?;
    }
    answer.print(&json!({ "drained": drained }), |_| {
        format!("{name} is {}", if is_out { "drained" } else { "in use" })
    });
    Ok(())
}
