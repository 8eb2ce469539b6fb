//! Settings: one TOML file, `STRONGROOM_*` variables over it, validated before anything starts.
//!
//! Everything works without a file: the defaults are the embedded stores in the data folder.

pub mod break_glass;
pub mod cdn;
pub mod devices;
pub mod edge;
pub mod heartbeat;
pub mod issuer;
pub mod key_cache;
pub mod keys;
pub mod kms;
pub mod licenses;
pub mod limits;
pub mod packaging;
pub mod vault;

use crate::vault::Patience;
use cdn::Cdn;
use devices::Devices;
use edge::Edge;
use heartbeat::Heartbeat;
use ipnet::IpNet;
use issuer::Issuer;
use keys::Keys;
use licenses::Licenses;
use limits::Limits;
use model::Timestamp;
use packaging::Packaging;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vault::Vault;

/// How strict the service is about its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// For laptops and tests.
    #[default]
    Development,
    /// Refuses what must not face viewers: a file-sealed root key unless allowed by name, plain
    /// HTTP unless behind a proxy, ClearKey for a title with a floor.
    Production,
}

/// The settings of one process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Development or production.
    pub mode: Mode,
    /// Home of the embedded stores.
    pub data: PathBuf,
    /// Where the service listens and how viewers reach it.
    pub listen: Listen,
    /// Durable rows.
    pub store: Store,
    /// Root key.
    pub keys: Keys,
    /// Key exchange with encryptors.
    pub vault: Vault,
    /// Lives of what viewers hold.
    pub tokens: Tokens,
    /// How license requests are answered.
    pub licenses: Licenses,
    /// What one session may ask.
    pub limits: Limits,
    /// How often players report.
    pub heartbeat: Heartbeat,
    /// Viewers' devices.
    pub devices: Devices,
    /// Where viewers are.
    pub region: Region,
    /// Which other origins' pages may talk to the service.
    pub cors: Cors,
    /// Where `s3://` leads.
    pub s3: S3,
    /// What packaging uses.
    pub packaging: Packaging,
    /// Identity providers whose tokens sign viewers in.
    pub issuer: Vec<Issuer>,
    /// The own edge.
    pub edge: Edge,
    /// Where the packages are delivered from; none: the own edge.
    pub cdn: Vec<Cdn>,
}

/// Where the service listens and how viewers reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address of the viewer's listener.
    pub address: SocketAddr,
    /// PEM chain of the listener's certificate; absent: plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// PEM private key of the certificate.
    pub tls_private_key: Option<PathBuf>,
    /// Address of the listener of boxes, which always speaks TLS under the same certificate.
    pub device: Option<SocketAddr>,
    /// PEM of the platform's device root: each box shows a certificate under it.
    pub device_ca: Option<PathBuf>,
    /// Whether a proxy in front terminates TLS.
    pub behind_proxy: bool,
    /// Networks of the proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many hops of `X-Forwarded-For` are believed at most.
    pub trusted_hops: usize,
    /// Scheme, host and port under which viewers reach the service; absent: as they asked.
    pub public_origin: Option<String>,
}

/// Durable rows and objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite://PATH` or `postgres://…`; absent: `strongroom.db` in the data folder.
    pub database: Option<String>,
    /// Folder of the packages; absent: `media` in the data folder.
    pub media: Option<PathBuf>,
}

/// Lives of what viewers hold, seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// A license URL; 5 to 120.
    pub license_url_s: u64,
    /// A sign-in; at most 30 days.
    pub session_s: u64,
    /// A signed media URL.
    pub media_url_s: u64,
}

/// Where viewers are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// Country database (mmdb); absent: `geo/country.mmdb` in the data folder if it is there.
    pub database: Option<PathBuf>,
}

/// Which other origins' pages may talk to the service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Exact origins: scheme, host, port.
    pub allowed_origins: Vec<String>,
}

/// Where `s3://` leads. Credentials are no setting: they come from the `AWS_*` variables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// URL of the server; absent: `AWS_ENDPOINT_URL`, then Amazon's for the region.
    pub endpoint: Option<String>,
    /// Region; absent: `AWS_REGION`.
    pub region: Option<String>,
    /// Allows an endpoint without TLS.
    pub allow_http: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            data: PathBuf::from("strongroom-data"),
            listen: Listen::default(),
            store: Store::default(),
            keys: Keys::default(),
            vault: Vault::default(),
            tokens: Tokens::default(),
            licenses: Licenses::default(),
            limits: Limits::default(),
            heartbeat: Heartbeat::default(),
            devices: Devices::default(),
            region: Region::default(),
            cors: Cors::default(),
            s3: S3::default(),
            packaging: Packaging::default(),
            issuer: vec![],
            edge: Edge::default(),
            cdn: vec![],
        }
    }
}

impl Listen {
    /// Boxes prove what they are by a certificate: nothing of it may be left out.
    fn check_devices(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        let Some(address) = self.device else {
            return match self.device_ca {
                None => Ok(()),
                Some(_) => refuse("listen.device_ca", "listen.device is the address for it"),
            };
        };
        if self.device_ca.is_none() {
            return refuse("listen.device_ca", "boxes need the platform's device root");
        }
        if self.tls_certificate.is_none() {
            return refuse("listen.device", "boxes need TLS: give listen.tls_certificate");
        }
        if address == self.address && address.port() != 0 {
            return refuse("listen.device", "viewers listen there; give boxes an address");
        }
        Ok(())
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8470)),
            tls_certificate: None,
            tls_private_key: None,
            device: None,
            device_ca: None,
            behind_proxy: false,
            trusted_proxies: vec![],
            trusted_hops: 4,
            public_origin: None,
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self { license_url_s: 30, session_s: 12 * 3600, media_url_s: 6 * 3600 }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is not TOML, or names a key or a value that does not exist.
    #[error("{from}: {cause}")]
    Parse {
        /// The file or the variables.
        from: String,
        /// What and where.
        cause: String,
    },
    /// A setting that contradicts another, or may not be in production.
    #[error("{key}: {why}")]
    Refused {
        /// Path of the setting.
        key: &'static str,
        /// The reason and the remedy.
        why: &'static str,
    },
    /// The same of one entry of a list.
    #[error("{key} of {entry:?}: {why}")]
    RefusedEntry {
        /// Path of the setting.
        key: &'static str,
        /// What the entry is called.
        entry: String,
        /// The reason and the remedy.
        why: &'static str,
    },
}

/// Sections within sections, as variables name them.
const SUBSECTIONS: [(&str, &str); 6] = [
    ("keys", "pkcs11"),
    ("keys", "aws"),
    ("keys", "vault"),
    ("keys", "google"),
    ("keys", "cache"),
    ("keys", "break_glass"),
];

/// Sections of the settings, each with keys of its own.
const SECTIONS: [&str; 14] = [
    "listen",
    "store",
    "keys",
    "vault",
    "tokens",
    "licenses",
    "limits",
    "heartbeat",
    "devices",
    "region",
    "cors",
    "s3",
    "packaging",
    "edge",
];

impl Config {
    /// Reads the settings of this process: the file, then the `STRONGROOM_*` variables, then
    /// the data folder that was named on the command line.
    ///
    /// Errors: [`ConfigError`]; nothing starts on settings that were not understood whole.
    pub fn load(file: Option<&Path>, data: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?,
        };
        let from = file.map_or_else(String::new, |path| path.display().to_string());
        let mut config = Self::parse(&text, &from, variables())?;
        if let Some(data) = data {
            config.data = data.to_owned();
        }
        Ok(config)
    }

    fn parse(
        text: &str,
        from: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let malformed = |from: &str, cause: toml::de::Error| ConfigError::Parse {
            from: from.to_owned(),
            cause: cause.to_string().trim_end().to_owned(),
        };
        // Once alone, so that an error points at its line in the file.
        let _: Self = toml::from_str(text).map_err(|cause| malformed(from, cause))?;
        let mut table: toml::Table =
            toml::from_str(text).map_err(|cause| malformed(from, cause))?;
        for (name, value) in variables {
            let Some(setting) = name.strip_prefix("STRONGROOM_") else { continue };
            set(&mut table, &setting.to_lowercase(), &value);
        }
        let config: Self =
            table.try_into().map_err(|cause| malformed("a STRONGROOM_ variable", cause))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if !(5..=120).contains(&self.tokens.license_url_s) {
            return refuse("tokens.license_url_s", "a license URL lives 5 to 120 seconds");
        }
        if !(60..=30 * 86_400).contains(&self.tokens.session_s) {
            return refuse("tokens.session_s", "a sign-in lives a minute to 30 days");
        }
        if !(1..=86_400).contains(&self.packaging.stalled_seconds) {
            return refuse("packaging.stalled_seconds", "ffmpeg is waited for 1 second to a day");
        }
        if self.listen.tls_certificate.is_some() != self.listen.tls_private_key.is_some() {
            return refuse("listen.tls_certificate", "a certificate and its key go together");
        }
        self.listen.check_devices()?;
        if !self.cors.allowed_origins.iter().all(|origin| is_origin(origin)) {
            return refuse(
                "cors.allowed_origins",
                "name each origin as a browser sends it: https://player.example, never *",
            );
        }
        if self.listen.public_origin.as_ref().is_some_and(|origin| !is_origin(origin)) {
            return refuse("listen.public_origin", "scheme, host and port: https://tv.example");
        }
        self.licenses.check()?;
        self.limits.check()?;
        self.heartbeat.check()?;
        self.keys.check()?;
        self.keys.cache.check()?;
        self.keys.break_glass.check()?;
        self.vault.check()?;
        issuer::check(&self.issuer, self.mode)?;
        self.edge.check()?;
        cdn::check(&self.cdn)?;
        if self.vault.address == Some(self.listen.address) && self.listen.address.port() != 0 {
            return refuse("vault.address", "viewers listen there; give the vault an address");
        }
        match self.mode {
            Mode::Development => Ok(()),
            Mode::Production => self.check_production(),
        }
    }

    fn check_production(&self) -> Result<(), ConfigError> {
        if self.listen.tls_certificate.is_none() && !self.listen.behind_proxy {
            return Err(ConfigError::Refused {
                key: "listen.tls_certificate",
                why: "production needs TLS: give a certificate, or say behind_proxy = true",
            });
        }
        self.vault.check_production()?;
        self.keys.check_production()
    }

    /// Whether the vault's routes answer beside the viewers': only in development, and only
    /// where they have no listener of their own.
    #[must_use]
    pub fn shares_listener(&self) -> bool {
        self.mode == Mode::Development && self.vault.address.is_none()
    }

    /// Whether keys leave the vault only encrypted for a recipient.
    #[must_use]
    pub fn demands_recipients(&self) -> bool {
        self.vault.demands_recipients(self.mode)
    }

    /// `sqlite://` or `postgres://` URL of the rows.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.store
            .database
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.data.join("strongroom.db").display()))
    }

    /// Folder of the packages.
    #[must_use]
    pub fn media_folder(&self) -> PathBuf {
        self.store.media.clone().unwrap_or_else(|| self.data.join("media"))
    }

    /// Folder of the service's secrets.
    #[must_use]
    pub fn secrets_folder(&self) -> PathBuf {
        self.data.join("secrets")
    }

    /// The file that seals the master key.
    #[must_use]
    pub fn master_file(&self) -> PathBuf {
        self.keys.master_file.clone().unwrap_or_else(|| self.secrets_folder().join("master.key"))
    }

    /// Where `s3://` leads, for the commands that read and write there.
    #[must_use]
    pub fn remote(&self) -> store::remote::Settings {
        let S3 { endpoint, region, allow_http } = self.s3.clone();
        store::remote::Settings { endpoint, region, allow_http }
    }

    /// Where temporary files are made.
    #[must_use]
    pub fn spool(&self) -> store::Spool {
        store::Spool::new(self.packaging.temporary.clone().unwrap_or_else(std::env::temp_dir))
    }

    /// How long another program may make no progress.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience(Duration::from_secs(u64::from(self.packaging.stalled_seconds)))
    }

    /// Whether the first seconds of a title may be left clear.
    #[must_use]
    pub fn allows_clear_lead(&self) -> bool {
        match self.mode {
            Mode::Development => true,
            Mode::Production => self.packaging.allow_clear_lead_in_production,
        }
    }

    /// Where the running service writes the address of the vault's own listener.
    #[must_use]
    pub fn vault_url_file(&self) -> PathBuf {
        self.data.join("run").join("vault-url")
    }

    /// The file that names the CDNs that are taken out.
    #[must_use]
    pub fn drained_file(&self) -> PathBuf {
        self.data.join("drained-cdns.json")
    }

    /// Where the running service writes the address of the listener of boxes.
    #[must_use]
    pub fn device_url_file(&self) -> PathBuf {
        self.data.join("run").join("device-url")
    }

    /// Where the running service writes its address.
    #[must_use]
    pub fn url_file(&self) -> PathBuf {
        self.data.join("run").join("url")
    }

    /// When a license URL issued at `now` ends.
    #[must_use]
    pub const fn license_url_ends(&self, now: Timestamp) -> Timestamp {
        now.plus_s(self.tokens.license_url_s)
    }
}

/// Whether `text` is an origin as browsers write it: `https://host` or `http://host`, lower
/// case, with a port unless it is the scheme's own, and nothing behind it.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |c: u8| {
        c.is_ascii_lowercase()
            || c.is_ascii_digit()
            || matches!(c, b'.' | b'-' | b':' | b'[' | b']')
    };
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_plain))
}

/// This process's variables; one that is not UTF-8 is none of ours.
fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    std::env::vars_os().filter_map(move |(name, value)| Some((text(name)?, text(value)?)))
}

/// Puts one variable into the table: `LISTEN_ADDRESS` is `address` of `[listen]`. A section's
/// unknown key is refused with the rest of the table; what names no section is not a setting
/// (`STRONGROOM_LOG`, and whatever other programs call theirs).
///
/// A value that reads as TOML is taken as such (`true`, `30`, `["a"]`), anything else as text.
fn set(table: &mut toml::Table, setting: &str, value: &str) {
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    match setting.split_once('_') {
        Some((name, key)) if SECTIONS.contains(&name) => {
            let section =
                table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(table) = section {
                set_in(table, name, key, value);
            }
        }
        _ if setting == "mode" => {
            table.insert(setting.to_owned(), value);
        }
        _ => {}
    }
}

/// Puts a value into a section, or into the section within it that the key begins with:
/// `KEYS_PKCS11_MODULE` is `module` of `[keys.pkcs11]`.
fn set_in(section: &mut toml::Table, name: &str, key: &str, value: toml::Value) {
    for (_, inner) in SUBSECTIONS.iter().filter(|(outer, _)| *outer == name) {
        let within = key.strip_prefix(inner).and_then(|key| key.strip_prefix('_'));
        let Some(key) = within else { continue };
        let inner = section.entry(*inner).or_insert_with(|| toml::Table::new().into());
        if let toml::Value::Table(inner) = inner {
            inner.insert(key.to_owned(), value);
        }
        return;
    }
    section.insert(key.to_owned(), value);
}

#[cfg(test)]
mod tests;
