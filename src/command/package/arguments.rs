//! What `package` can be asked.

use super::key_service::KeyServiceArguments;
use super::ladder::Ladder;
use super::rotation::RotationArguments;
use crate::command::source::Location;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use media::images::TilesWanted;
use media::package::Layout;
use model::Scheme;
use std::ffi::OsString;
use std::path::PathBuf;
use store::remote::{Address, AddressError};

/// Arguments of `package`.
#[derive(Args)]
pub struct Arguments {
    /// The title's id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[arg(long, value_name = "ID")]
    pub(super) content: String,
    /// Write the package to this folder, or below s3://BUCKET/PREFIX; absent: to the store of
    /// `--data`, and publish it.
    #[arg(long, value_name = "DIR|S3", value_parser = OsStringValueParser::new().try_map(Place::parse))]
    pub(super) out: Option<Place>,
    /// Protection scheme; `dual` writes both from one reading.
    #[arg(long, value_enum, default_value_t = Schemes::Cbcs)]
    pub(super) scheme: Schemes,
    /// How the media lies in files.
    #[arg(long, value_enum, default_value_t = Files::Segments)]
    pub(super) layout: Files,
    /// Shortest segment; it ends at the next key frame.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) segment_seconds: u32,
    /// Raw keys (JSON list) instead of those of the key service; for tests and for moving in.
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(super) keys: Option<PathBuf>,
    #[command(flatten)]
    pub(super) key_service: KeyServiceArguments,
    /// Encode one mezzanine into aligned renditions first, by ffmpeg: `auto`, or heights such as
    /// 1080p,720p,360p. Nothing is enlarged.
    #[arg(long, value_name = "RUNGS", value_parser = Ladder::parse)]
    pub(super) ladder: Option<Ladder>,
    /// What the renditions of `--ladder` are encoded with.
    #[arg(long, value_enum, requires = "ladder", default_value_t = LadderCodec::H264)]
    pub(super) ladder_codec: LadderCodec,
    /// Leaves the segments clear that lie wholly within the first seconds, so that play begins
    /// before the license is there. At most 60; 0 leaves nothing clear.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(super) clear_lead: u32,
    /// Adds a track of the smallest rendition's key frames for fast play (DASH); HLS has its
    /// I-frame playlists without it.
    #[arg(long)]
    pub(super) trick_play: bool,
    /// Thumbnails for scrubbing, made by ffmpeg: `auto`, `WIDTHxHEIGHT@SECONDS` (`160x90@10`) or
    /// `off`. They are clear pictures, at most 320 pixels wide.
    #[arg(
        long,
        value_name = "WIDTHxHEIGHT@SECONDS|auto|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto",
        value_parser = Pictures::parse
    )]
    pub(super) thumbnails: Option<Pictures>,
    /// A part of the title begins here, at the next key frame, so that an advertisement can stand
    /// before it: a period in DASH, a date range in HLS. Seconds, such as 312.5.
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds)]
    pub(super) ad_cue: Vec<u64>,
    #[command(flatten)]
    pub(super) rotation: RotationArguments,
    /// What the sound and subtitles of an input are for: `INPUT:key=value,…`, INPUT as written
    /// below. Keys: language, role (main, alternate, dub, commentary, description, caption,
    /// subtitle, forced-subtitle, sign, easyreader, supplementary), label, default (yes, no) and
    /// forced (yes, no).
    #[arg(long, value_name = "INPUT:KEY=VALUE,…")]
    pub(super) describe: Vec<String>,
    /// Packages one input as it comes, until it ends or SIGTERM: fragmented MP4 or MPEG-TS with
    /// all renditions and sound tracks in it. Begun again, it goes on where it was.
    #[arg(long)]
    pub(super) live: bool,
    /// How far back viewers of a live channel can go.
    #[arg(long, value_name = "SECONDS", requires = "live", default_value_t = 60)]
    pub(super) window: u32,
    /// Renditions and sound tracks: a path, `-` (standard input), http(s)://… or
    /// s3://BUCKET/KEY. MP4 and MOV are read as they are; MPEG-TS, Matroska, WebM, AVI and FLV
    /// through ffmpeg, which copies. Subtitles: WebVTT (`film.en.vtt`) and TTML, or in MP4.
    #[arg(required = true, value_name = "INPUT",
          value_parser = OsStringValueParser::new().try_map(Written::parse))]
    pub(super) inputs: Vec<Written>,
}

/// A source, and how the user wrote it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// As written.
    pub text: OsString,
    /// What it means.
    pub location: Location,
}

impl Written {
    fn parse(text: OsString) -> Result<Self, AddressError> {
        Location::parse(text.clone()).map(|location| Self { text, location })
    }
}

/// `312.5`, `40`: at most three decimals.
fn milliseconds(text: &str) -> Result<u64, String> {
    const FORM: &str = "expected seconds with at most three decimals, such as 312.5";
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    if !is_number(whole) || !is_number(rest) || rest.len() > 3 || whole.len() > 7 {
        return Err(FORM.to_owned());
    }
    format!("{whole}{rest:0<3}").parse().map_err(|_| FORM.to_owned())
}

/// Where a package goes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A prefix of a bucket.
    Bucket(Address),
}

impl Place {
    fn parse(text: OsString) -> Result<Self, String> {
        let address = text.to_str().map_or(Ok(None), Address::parse);
        match address.map_err(|error| error.to_string())? {
            None => Ok(Self::Folder(text.into())),
            Some(Address::Http(_)) => Err("a package goes to a folder or to s3://…".to_owned()),
            Some(address @ Address::S3 { .. }) => Ok(Self::Bucket(address)),
        }
    }
}

/// Codecs of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LadderCodec {
    /// H.264, by libx264: every device.
    H264,
    /// HEVC, by libx265.
    Hevc,
    /// AV1, by SVT-AV1.
    Av1,
}

/// Which thumbnails are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pictures {
    /// None.
    Off,
    /// These.
    On(TilesWanted),
}

impl Pictures {
    fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected WIDTHxHEIGHT@SECONDS, such as 160x90@10, or auto, or off";
        match text {
            "off" => return Ok(Self::Off),
            "auto" => return Ok(Self::On(TilesWanted::default())),
            _ => {}
        }
        let number = |text: &str| text.parse().map_err(|_| FORM.to_owned());
        let (size, interval_s) = text.split_once('@').ok_or(FORM)?;
        let (width, height) = size.split_once('x').ok_or(FORM)?;
        let size = Some((number(width)?, number(height)?));
        Ok(Self::On(TilesWanted { size, interval_s: Some(number(interval_s)?) }))
    }

    /// As the packager takes them.
    pub(super) const fn wanted(self) -> Option<TilesWanted> {
        match self {
            Self::Off => None,
            Self::On(wanted) => Some(wanted),
        }
    }
}

/// Schemes of a package.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Schemes {
    /// AES-CBC in a 1:9 pattern: every current device.
    Cbcs,
    /// AES-CTR: older devices.
    Cenc,
    /// Both, as two sets of files.
    Dual,
}

/// Layouts of a package.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Files {
    /// A file for each segment.
    Segments,
    /// One file for each track, read by byte ranges.
    SingleFile,
}

impl Arguments {
    /// How the keys of a live channel change.
    pub(super) fn live_rotation(&self) -> Option<model::Rotation> {
        self.rotation.plan().map(|plan| plan.of)
    }
}

impl Schemes {
    /// As the packager takes them.
    pub(super) fn list(self) -> Vec<Scheme> {
        match self {
            Self::Cbcs => vec![Scheme::Cbcs],
            Self::Cenc => vec![Scheme::Cenc],
            Self::Dual => Scheme::ALL.to_vec(),
        }
    }
}

impl Files {
    /// As the packager takes them.
    pub(super) const fn layout(self) -> Layout {
        match self {
            Self::Segments => Layout::Segments,
            Self::SingleFile => Layout::SingleFile,
        }
    }
}
