//! Which DRM system the CDM speaks, as which device.

use super::cdm_client::DeviceFiles;
use super::{Arguments, Dialect, Level};
use anyhow::Context as _;
use model::Scheme;
use std::path::Path;

/// What the command line chose.
pub struct Chosen {
    /// The DRM system.
    pub dialect: Dialect,
    /// The level that the CDM says it has.
    pub level: Level,
    /// The device's files; Clear Key has none.
    pub files: Option<DeviceFiles>,
}

/// Where a system's test roots have what.
struct Layout {
    title: &'static str,
    /// The file that a device's folder is known by.
    mark: &'static str,
    /// The root's public file, in one form or the other.
    roots: &'static [&'static str],
}

impl Layout {
    /// `None` for Clear Key.
    const fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::Widevine => Some(Self {
                title: "Widevine",
                mark: "certificate.bin",
                roots: &["root_public.der", "root_cert.bin"],
            }),
            Dialect::Playready => Some(Self {
                title: "PlayReady",
                mark: "chain.bin",
                roots: &["root_public.bin", "root_public.pem"],
            }),
            Dialect::Fairplay => Some(Self { title: "FairPlay", mark: "device.hex", roots: &[] }),
            Dialect::Clearkey => None,
        }
    }
}

/// The DRM system, the level, and the device's files.
///
/// Errors: a level or a scheme that the system does not have, a device that is not there.
pub fn choose(arguments: &Arguments) -> anyhow::Result<Chosen> {
    let absent = if arguments.device.is_some() { Dialect::Widevine } else { Dialect::Clearkey };
    let dialect = arguments.dialect.unwrap_or(absent);
    let usual = if dialect == Dialect::Fairplay { Level::L2 } else { Level::L3 };
    let level = arguments.level.unwrap_or(usual);
    let registers = arguments.provisioning_url.is_some();
    match dialect {
        Dialect::Clearkey => anyhow::ensure!(
            level == usual,
            "Clear Key attests no device: it has level L3 and no other"
        ),
        Dialect::Fairplay => {
            anyhow::ensure!(level == usual, "FairPlay proves no level: it has L2 and no other");
            anyhow::ensure!(
                arguments.scheme != Some(Scheme::Cenc),
                "FairPlay plays cbcs and no other scheme: cenc is not for it"
            );
        }
        Dialect::Widevine | Dialect::Playready => {}
    }
    anyhow::ensure!(
        !registers || dialect == Dialect::Widevine,
        "only Widevine devices ask for a certificate: --provisioning-url is not for this system"
    );
    let Some(layout) = Layout::of(dialect) else {
        return Ok(Chosen { dialect, level, files: None });
    };
    let folder = arguments.device.as_ref();
    let folder =
        folder.with_context(|| format!("{} needs a device: --device DIR", layout.title))?;
    let files = layout.files(folder, level, registers)?;
    Ok(Chosen { dialect, level, files: Some(files) })
}

impl Layout {
    fn files(&self, folder: &Path, level: Level, registers: bool) -> anyhow::Result<DeviceFiles> {
        let own = folder.join("devices").join(level.name());
        let profile = [own.clone(), folder.to_owned()]
            .into_iter()
            .find(|profile| profile.join(self.mark).is_file())
            .or_else(|| registers.then_some(own))
            .with_context(|| format!("{}: no device of this level", folder.display()))?;
        let root = profile
            .ancestors()
            .take(3)
            .flat_map(|folder| self.roots.iter().map(|name| folder.join(name)))
            .find(|file| file.is_file());
        anyhow::ensure!(
            root.is_some() || self.roots.is_empty(),
            "{}: neither {}",
            folder.display(),
            self.roots.join(" nor ")
        );
        Ok(DeviceFiles { profile, root, registers })
    }
}
