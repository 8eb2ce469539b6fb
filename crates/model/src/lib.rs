//! The public nouns of Strongroom: ids, schemes, track classes, levels, policy, rows.
//!
//! No I/O, no clock, no randomness. Bytes and text become these types at the edge, by
//! `parse`, and are never checked again.

mod account;
mod description;
mod device;
mod dialect;
mod entropy;
mod id;
mod key_id;
mod level;
mod object_path;
mod output;
mod package;
mod policy;
mod role;
mod rotation;
mod scheme;
mod time;
mod title;
mod track;
mod wrapped_key;

pub use account::{Account, Plan, PlanName, Subscription};
pub use description::{ArtFile, ArtKind, DescriptionError, ImageFormat, TitleDescription};
pub use device::{Device, DeviceKind};
pub use dialect::Dialect;
pub use entropy::Entropy;
pub use id::{
    AccountId, CategoryName, ContentId, CorrelationId, DecisionId, DeviceId, GrantId, IdError,
    PackageId, PlaybackSessionId, PolicyName, SignInId, TokenId,
};
pub use key_id::KeyId;
pub use level::SecurityLevel;
pub use object_path::ObjectPath;
pub use output::{AnalogOutput, Hdcp, Robustness};
pub use package::{PackagedEvent, PackagedImages, PackagedText, PackagedVariant};
pub use policy::{
    LevelTable, MAX_POLICY_BYTES, OfflineRight, OutputRule, OutputTable, PolicyError, RenewalRight,
    RotationRight, TitlePolicy, Withheld,
};
pub use role::TrackRole;
pub use rotation::{KeyPeriod, PeriodSpan, Rotation};
pub use scheme::Scheme;
pub use time::{Seconds, SpanEnd, Timestamp};
pub use title::{Country, PlanAccess, RegionRule, Title, TitleState};
pub use track::{TrackClass, TrackClasses};
pub use wrapped_key::{KekState, KekVersion, KeyState, WrappedKey};
