//! `title`: the catalog.

mod details;

use super::policy::failure as policy_failure;
use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use model::{
    CategoryName, ContentId, Country, ObjectPath, PackagedEvent, PlanAccess, PlanName, PolicyName,
    RegionRule, Title, TitlePolicy, TitleState, TrackClass,
};
use server::Home;
use server::vault::PolicyRefused;
use std::path::{Path, PathBuf};
use store::PAGE_MAX;

/// What to do with titles.
#[derive(Subcommand)]
pub enum Arguments {
    /// Add a title, or change the rules of one.
    Add(Add),
    /// Make a package folder the one that viewers of its title get.
    Publish(Publish),
    /// Say what viewers read of a title, or show it.
    Describe(details::Describe),
    /// Give a title a picture.
    Art(details::Art),
    /// List titles and how far they have come.
    List,
}

/// Arguments of `title add`.
#[derive(Args)]
pub struct Add {
    /// The title's id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    content: String,
    /// What viewers read; the id when absent.
    #[arg(long)]
    name: Option<String>,
    /// Content category, which decides the KEK.
    #[arg(long, default_value = "default")]
    category: String,
    /// Policy of its licenses; `standard` for a new title, its own for one that is there, when
    /// absent.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Highest track class that a ClearKey client gets; what the policy says when absent.
    #[arg(long, value_name = "CLASS", value_parser = ["AUDIO", "SD", "HD", "UHD"])]
    clearkey_max: Option<String>,
    /// Plans that include it; every plan when absent.
    #[arg(long, value_delimiter = ',', value_name = "PLAN,…")]
    plans: Vec<String>,
    /// Countries it may be watched in; everywhere when absent.
    #[arg(long, value_delimiter = ',', value_name = "XX,…")]
    regions: Vec<String>,
    /// Its media is packaged and served elsewhere, under keys of this vault; licenses come from
    /// here.
    #[arg(long)]
    external: bool,
}

/// Arguments of `title publish`.
#[derive(Args)]
pub struct Publish {
    /// A folder that `package --out` wrote.
    folder: PathBuf,
}

/// Changes or lists the catalog.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    block_on(async {
        let home = place.home().await?;
        match arguments {
            Arguments::Add(add) => {
                let title = title_of(&add).map_err(Failure::Environment)?;
                put(&home, title, &add, answer).await
            }
            Arguments::Publish(publish) => publish_folder(&home, &publish.folder, answer).await,
            Arguments::Describe(describe) => details::describe(&home, &describe, answer).await,
            Arguments::Art(art) => details::art(&home, &art, answer).await,
            Arguments::List => list(&home, answer).await,
        }
    })
}

/// The title that the arguments describe, as a draft.
fn title_of(add: &Add) -> anyhow::Result<Title> {
    let countries: Option<Vec<Country>> =
        add.regions.iter().map(|text| Country::parse(text)).collect();
    let countries = countries.context("--regions: a country is two letters")?;
    let plans: Result<Vec<PlanName>, _> =
        add.plans.iter().map(|name| PlanName::parse(name)).collect();
    let plans = plans.context("--plans")?;
    let word = |text: &String| TrackClass::parse(text).context("--clearkey-max");
    let clearkey_override = add.clearkey_max.as_ref().map(word).transpose()?;
    Ok(Title {
        content_id: ContentId::parse(&add.content).context("the title's id")?,
        name: add.name.clone().unwrap_or_else(|| add.content.clone()),
        category: CategoryName::parse(&add.category).context("--category")?,
        policy: TitlePolicy { clearkey_override, ..TitlePolicy::default() },
        access: if plans.is_empty() { PlanAccess::Every } else { PlanAccess::Only(plans) },
        regions: if countries.is_empty() {
            RegionRule::Everywhere
        } else {
            RegionRule::Only(countries)
        },
        state: TitleState::Draft,
    })
}

/// Stores a title; one that is there keeps its state, its policy unless another is named, and
/// its category, which its keys are bound to.
async fn put(home: &Home, mut title: Title, add: &Add, answer: Answer) -> Result<(), Failure> {
    let known = home.store.title(&title.content_id).await.map_err(Failure::environment)?;
    if let Some(known) = known {
        title.state = known.state;
        title.category = known.category;
        title.policy = with_word_of(known.policy, &title.policy);
    }
    let policy = add.policy.as_deref().map(PolicyName::parse).transpose();
    let policy = policy.context("--policy").map_err(Failure::Environment)?;
    let wanted = match &policy {
        Some(name) => wanted_policy(home, name).await?,
        None => title.policy.clone(),
    };
    if title.policy.clearkey_override.is_some() && !wanted.may_open_clearkey() {
        let why = format!("--clearkey-max: the policy {} gives ClearKey no key", wanted.name);
        return Err(Failure::Refused(anyhow::Error::msg(why)));
    }
    if add.external && title.state == TitleState::Draft {
        title.state = TitleState::External;
    }
    home.store.put_title(&title).await.map_err(Failure::environment)?;
    if let Some(name) = policy {
        let now = home.clock.now();
        home.vault.assign_policy(&title.content_id, &name, now).await.map_err(policy_failure)?;
        title.policy = with_word_of(wanted, &title.policy);
    }
    print_title(&title, answer);
    Ok(())
}

/// The policy with the title's own word on ClearKey.
fn with_word_of(policy: TitlePolicy, title: &TitlePolicy) -> TitlePolicy {
    TitlePolicy { clearkey_override: title.clearkey_override, ..policy }
}

async fn wanted_policy(home: &Home, name: &PolicyName) -> Result<TitlePolicy, Failure> {
    let policy = home.store.policy(name).await.map_err(Failure::environment)?;
    policy.ok_or_else(|| policy_failure(PolicyRefused::NoPolicy(name.clone())))
}

async fn publish_folder(home: &Home, folder: &Path, answer: Answer) -> Result<(), Failure> {
    let event = read_event(folder).map_err(Failure::Refused)?;
    let known = home.store.title(&event.content_id).await.map_err(Failure::environment)?;
    let mut title = match known {
        Some(title) => title,
        None => {
            let why = format!("there is no title {0}; run `title add {0}` first", event.content_id);
            return Err(Failure::Refused(anyhow::Error::msg(why)));
        }
    };
    copy_in(home, folder, &event).map_err(Failure::Refused)?;
    title.state = TitleState::Published { package: event.package_id };
    let now = home.clock.now();
    home.store.publish_package(&title.state, &event, now).await.map_err(Failure::environment)?;
    print_title(&title, answer);
    Ok(())
}

fn read_event(folder: &Path) -> anyhow::Result<PackagedEvent> {
    /// A thousand tracks take less.
    const LIMIT: u64 = 4 * 1024 * 1024;
    let path = folder.join("package.json");
    let size = std::fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    ensure!(size <= LIMIT, "{}: too large to describe a package", path.display());
    let event: PackagedEvent = serde_json::from_slice(&std::fs::read(&path)?)
        .with_context(|| format!("{} describes no package", path.display()))?;
    ensure!(
        event.event == PackagedEvent::EVENT && event.version == PackagedEvent::VERSION,
        "{}: {} version {} is not {} version {}",
        path.display(),
        event.event,
        event.version,
        PackagedEvent::EVENT,
        PackagedEvent::VERSION
    );
    Ok(event)
}

/// Copies a package into the store, out of sight until it is whole.
fn copy_in(home: &Home, folder: &Path, event: &PackagedEvent) -> anyhow::Result<()> {
    let staging = home.objects.stage(&event.content_id, event.package_id).map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                anyhow::anyhow!("this package is published already")
            }
            _ => error.into(),
        }
    })?;
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?.to_str().context("a name that is not UTF-8")?;
            let object = ObjectPath::parse(name).with_context(|| format!("{name}: not ours"))?;
            ensure!(kind.is_file(), "{name}: not a file");
            std::io::copy(&mut std::fs::File::open(&path)?, &mut staging.create(&object)?)?;
        }
    }
    staging.publish()?;
    Ok(())
}

async fn list(home: &Home, answer: Answer) -> Result<(), Failure> {
    let (mut titles, mut after) = (vec![], None);
    loop {
        let page =
            home.store.titles(PAGE_MAX, after.as_ref()).await.map_err(Failure::environment)?;
        let Some(last) = page.last() else { break };
        after = Some(last.content_id.clone());
        titles.extend(page);
    }
    let rows: Vec<_> = titles.iter().map(row).collect();
    answer.print(&serde_json::json!({ "titles": rows }), |_| titles.iter().map(line).collect());
    Ok(())
}

fn print_title(title: &Title, answer: Answer) {
    answer.print(&row(title), |_| line(title));
}

fn row(title: &Title) -> serde_json::Value {
    serde_json::json!({
        "content_id": title.content_id,
        "name": title.name,
        "category": title.category,
        "policy": {
            "name": title.policy.name,
            "clearkey_max": title.policy.clearkey_track_classes().iter().last(),
            "license_s": title.policy.license_s,
        },
        "access": title.access,
        "regions": title.regions,
        "state": title.state.name(),
    })
}

fn line(title: &Title) -> String {
    format!("{:<24} {:<14} {}\n", title.content_id, title.state.name(), title.name)
}
