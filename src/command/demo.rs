//! `demo`: the main job from nothing. Two accounts, two titles, everything served; stays until it
//! is ended. A second run reuses what is there.

mod content;
mod devices;

use super::package::package_title;
use super::{Failure, Place, account::make_password, block_on};
use crate::screen::Answer;
use anyhow::Context as _;
use clap::Args;
use media::images::TilesWanted;
use media::package::Layout;
use model::{
    CategoryName, ContentId, Plan, PlanAccess, PlanName, RegionRule, Scheme, Title, TitlePolicy,
    TitleState, TrackClass,
};
use serde::{Deserialize, Serialize};
use server::Home;
use server::operator::OperatorError;
use server::vault::{Job, Thumbnails};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Arguments of `demo`.
#[derive(Args)]
pub struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8470)]
    port: u16,
    /// Do not open the page.
    #[arg(long)]
    no_open: bool,
    /// Folder with the clear clips; looked for where `cargo xtask content` puts them, else made.
    #[arg(long, value_name = "DIR")]
    content: Option<PathBuf>,
}

/// What the demo prints in one line of JSON.
#[derive(Clone, Serialize)]
struct Said {
    url: String,
    accounts: Vec<SignIn>,
    titles: Vec<Shown>,
    /// Devices of the demo's own roots, a folder for each DRM system, for `play --device`.
    devices: PathBuf,
}

/// An account of the demo. Its password is kept in `DATA/demo.json`, readable by its owner.
#[derive(Clone, Serialize, Deserialize)]
struct SignIn {
    name: String,
    password: String,
    /// Whether its plan includes the titles.
    entitled: bool,
}

/// A title of the demo and the clear clip it was made of.
#[derive(Clone, Serialize)]
struct Shown {
    content_id: ContentId,
    source: PathBuf,
}

/// Titles: id, name, and the highest class that ClearKey gets.
const TITLES: [(&str, &str, TrackClass); 2] = [
    ("demo-hd", "Rabbit and city (HD for ClearKey)", TrackClass::Hd),
    ("demo-sd", "Rabbit and city (the default: SD for ClearKey)", TrackClass::Sd),
];

/// The plan of the account that is not entitled: it includes no streaming.
const OTHER_PLAN: &str = "discs";

/// Where the demo lives unless told otherwise.
const DATA: &str = "strongroom-demo";

/// Prepares and serves.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    let place = Place {
        config: place.config.clone(),
        data: Some(place.data.clone().unwrap_or_else(|| DATA.into())),
    };
    let mut config = place.config()?;
    config.listen.address = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    block_on(async {
        let clips = content::find_or_make(arguments.content.as_deref(), &config.data)
            .map_err(Failure::Environment)?;
        let home = Home::open(&config).await.map_err(Failure::environment)?;
        let accounts = accounts(&home).await?;
        let mut titles = vec![];
        for (id, name, clearkey_max) in TITLES {
            let content_id = ContentId::parse(id).map_err(Failure::environment)?;
            bring_title(&home, &content_id, name, clearkey_max, &clips).await?;
            titles.push(Shown { content_id, source: clips.source.clone() });
        }
        let devices = devices::bring(&home).await?;
        drop(home);
        let ready = |url: &str| {
            let said = Said { url: viewer_url(url), accounts, titles, devices };
            answer.print(&said, sentences);
            if !arguments.no_open {
                open_page(&said.url);
            }
        };
        server::serve(&config, ready).await.map_err(Failure::environment)
    })
}

/// The address as a viewer types it: browsers take `localhost` for a secure context.
fn viewer_url(url: &str) -> String {
    url.replace("127.0.0.1", "localhost")
}

fn sentences(said: &Said) -> String {
    let mut text = format!("\nOpen {}\n", said.url);
    for account in &said.accounts {
        let what =
            if account.entitled { "may watch" } else { "may not: its plan has no streaming" };
        text += &format!("  sign in as {:<8} {}   ({what})\n", account.name, account.password);
    }
    if let (Some(account), [title, ..]) =
        (said.accounts.iter().find(|a| a.entitled), &said.titles[..])
    {
        text += &format!(
            "Or without a browser, as a device of another DRM system:\n  \
             echo {} | strongroom play --server {} --account {} --password-stdin \\\n    \
             --content {} DEVICE\nwhere DEVICE is one of\n",
            account.password, said.url, account.name, title.content_id,
        );
        for (name, levels) in [
            ("widevine", " --level L1 (or L2, L3)"),
            ("playready", " --level L1 (or L2, L3)"),
            ("fairplay", ""),
        ] {
            let devices = said.devices.join(name);
            text += &format!("  --dialect {name} --device {}{levels}\n", devices.display());
        }
    }
    text + "Ctrl-C ends it.\n"
}

/// The two accounts, made on the first run.
async fn accounts(home: &Home) -> Result<Vec<SignIn>, Failure> {
    let path = home.config.data.join("demo.json");
    let accounts = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("{}: not of this demo; remove it", path.display()))
            .map_err(Failure::Environment)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let account = |name: &str, entitled| SignIn {
                name: name.to_owned(),
                password: make_password(),
                entitled,
            };
            let accounts = vec![account("viewer", true), account("visitor", false)];
            keep(&path, &accounts).map_err(Failure::Environment)?;
            accounts
        }
        Err(error) => return Err(Failure::environment(error)),
    };
    let plan = |name: &str| PlanName::parse(name).map_err(Failure::environment);
    let name = plan(OTHER_PLAN)?;
    let max_devices = Plan::MAX_DEVICES;
    let discs =
        Plan { name, includes_streaming: false, max_streams: 0, max_offline: 0, max_devices };
    home.store.put_plan(&discs).await.map_err(Failure::environment)?;
    for account in &accounts {
        let plan = if account.entitled { plan("standard")? } else { discs.name.clone() };
        match home.add_account(&account.name, &plan, &account.password).await {
            Ok(_) | Err(OperatorError::AccountExists(_)) => {}
            Err(error) => return Err(Failure::environment(error)),
        }
    }
    Ok(accounts)
}

fn keep(path: &Path, accounts: &[SignIn]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&serde_json::to_vec_pretty(accounts)?)?;
    Ok(())
}

/// Packages a title in both schemes, unless it is published already.
async fn bring_title(
    home: &Home,
    content_id: &ContentId,
    name: &str,
    clearkey_max: TrackClass,
    clips: &content::Clips,
) -> Result<(), Failure> {
    let known = home.store.title(content_id).await.map_err(Failure::environment)?;
    if known.is_some_and(|title| matches!(title.state, TitleState::Published { .. })) {
        return Ok(());
    }
    let title = Title {
        content_id: content_id.clone(),
        name: name.to_owned(),
        category: CategoryName::parse("demo").map_err(Failure::environment)?,
        policy: TitlePolicy::default().with_clearkey_max(clearkey_max),
        access: PlanAccess::Every,
        regions: RegionRule::Everywhere,
        state: TitleState::Draft,
    };
    home.store.put_title(&title).await.map_err(Failure::environment)?;
    let job = Job {
        content_id: content_id.clone(),
        schemes: Scheme::ALL.to_vec(),
        layout: Layout::Segments,
        segment_s: 4,
        inputs: clips.inputs.iter().cloned().map(Into::into).collect(),
        has_trick_track: true,
        rotation: None,
        clear_lead_s: 0,
        descriptions: Vec::new(),
        ad_cues_ms: Vec::new(),
        thumbnails: content::has_ffmpeg().then(|| Thumbnails {
            wanted: TilesWanted::default(),
            spool: home.config.spool(),
            patience: home.config.patience(),
        }),
    };
    package_title(home, job).await.map(drop)
}

/// Opens the page where a desktop is present; that it cannot is no failure.
fn open_page(url: &str) {
    let has_desktop =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if has_desktop {
        let _no_browser = Command::new("xdg-open")
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}
