//! What a license allows, in terms that no DRM system owns. A dialect writes them into its own
//! fields and reads them back.

use keys::ContentKey;
use model::{KeyId, TrackClass};
use std::num::NonZeroU32;

/// A span of time, seconds; `None` is without end. Zero does not exist: dialects that write
/// "without end" as zero would turn the shortest right into the longest.
pub type Seconds = Option<NonZeroU32>;

/// What a device may do with a license as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenseTerms {
    /// Whether it plays at all.
    pub can_play: bool,
    /// Whether it may be kept on the device.
    pub can_persist: bool,
    /// Whether the device may ask for more time.
    pub can_renew: bool,
    /// How long playback may begin, from the license's start.
    pub rental_s: Seconds,
    /// How long playback may go on, once begun.
    pub playback_s: Seconds,
    /// How long the license lives, from its start.
    pub license_s: Seconds,
    /// How renewal goes.
    pub renewal: RenewalTerms,
    /// How long playback may run before the playback span counts as begun.
    pub play_start_grace_s: Seconds,
    /// What happens at the end of the playback span.
    pub playback_end: SpanEnd,
    /// What happens at the end of the rental span.
    pub rental_end: SpanEnd,
}

/// How a device asks for more time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenewalTerms {
    /// When it asks first, after the license's start.
    pub delay_s: Seconds,
    /// When it asks again, after no answer.
    pub retry_s: Seconds,
    /// How long it may play on without an answer.
    pub recovery_s: Seconds,
    /// Where it asks; `None` leaves that to the player.
    pub server_url: Option<String>,
    /// Whether it asks when playback begins.
    pub on_first_use: bool,
    /// Whether it says again who it is.
    pub with_identity: bool,
}

/// What happens at the end of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanEnd {
    /// What plays stops.
    #[default]
    Stops,
    /// What plays may go on; it does not begin again.
    PlaysOn,
}

/// Where keys and pictures must stay, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Robustness {
    /// Keys in obfuscated software.
    SoftwareKeys,
    /// Keys and decoding in obfuscated software.
    SoftwareDecoding,
    /// Keys in a trusted environment.
    HardwareKeys,
    /// Keys and decoding in a trusted environment.
    HardwareDecoding,
    /// Keys, decoding and everything behind it in a trusted environment.
    HardwareAll,
}

/// The link protection that a digital output needs, weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hdcp {
    /// Any output.
    #[default]
    Unneeded,
    /// HDCP 1.x.
    V1,
    /// HDCP 2.0.
    V2,
    /// HDCP 2.1.
    V2_1,
    /// HDCP 2.2.
    V2_2,
    /// HDCP 2.3.
    V2_3,
    /// No digital output at all.
    NoDigitalOutput,
}

/// Whether the picture may leave by an analog output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnalogOutput {
    /// It may.
    #[default]
    Allowed,
    /// It may not.
    Refused,
}

/// What a device may do with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// The least robustness under which the key may be used.
    pub robustness: Robustness,
    /// The link protection that its pictures need.
    pub hdcp: Hdcp,
    /// Whether its pictures may leave by an analog output.
    pub analog: AnalogOutput,
    /// The class of its tracks, where it opens only one.
    pub track_class: Option<TrackClass>,
}

/// A key on its way into a license, or out of one.
#[derive(Debug)]
pub struct LicensedKey {
    /// Its public name.
    pub kid: KeyId,
    /// The key.
    pub key: ContentKey,
    /// What may be done with it.
    pub terms: KeyTerms,
}
