//! CPIX: documents that carry content keys between a key service and an encryptor (DASH-IF
//! Content Protection Information Exchange Format 2.0, 2.3 and 2.4), and SPEKE's rules on top.
//!
//! [`Document::parse`] reads, [`Document::write`] writes, [`Document::seal`] and
//! [`Document::open`] are encrypted delivery, [`speke::Request`] is a request that keeps the
//! contract of its version. Nothing that a document points at is ever fetched: schema
//! locations and key retrieval methods are not followed, entities do not exist.
//!
//! A signature is verified where it is expected: [`Document::parse_signed`]. SPEKE does
//! without.

mod canonical;
mod delivery;
mod document;
mod drm_system;
mod packaging;
mod parse;
mod period;
mod rule;
mod signature;
mod sink;
pub mod speke;
mod value;
mod write;
mod xml;

pub use delivery::{OpenError, SealError};
pub use document::{
    Delivered, DeliveredKey, Delivery, Document, DocumentError, KeyEntry, KeyRole, KeyValue, Parts,
    ProtectionScheme, Version,
};
pub use drm_system::{
    ContentProtection, DrmSystem, Hls, MediaName, MultivariantName, Slot, SystemId,
};
pub use packaging::PackagingError;
pub use parse::{Problem, ReadError};
pub use period::{Clock, KeyPeriod, Span, SpanForm};
pub use rule::{
    AudioFilter, BitrateFilter, Filters, FrameRange, FrameRate, KnownFilters, MappingError, Media,
    Range, Track, UsageRule, VideoFilter,
};
pub use signature::SignatureError;
pub use value::{Blob, Text};
pub use write::Written;
pub use xml::XmlError;

/// Media type of a document.
pub const MEDIA_TYPE: &str = "application/xml";

/// Longest document, bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting; a document needs 9.
pub const MAX_DEPTH: usize = 24;
/// Most elements and attributes in a document; with them the tree stays below 16 MiB.
pub const MAX_NODES: usize = 64_000;
/// Most elements directly in one: twice as many as the longest list of a document has.
pub const MAX_CHILDREN: usize = 8192;
/// Most attributes of one element; a document needs 7.
pub const MAX_ATTRIBUTES: usize = 32;
/// Most namespace prefixes that are bound at one place.
pub const MAX_BINDINGS: usize = 32;
/// Longest text of one element, bytes.
pub const MAX_ELEMENT_TEXT_BYTES: usize = 256 * 1024;
/// Longest id, name or label, bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Most content keys.
pub const MAX_KEYS: usize = 1024;
/// Most DRM systems, counted once for each key.
pub const MAX_SYSTEMS: usize = 4096;
/// Most key periods.
pub const MAX_PERIODS: usize = 1024;
/// Most usage rules.
pub const MAX_RULES: usize = 2048;
/// Most filters in one usage rule.
pub const MAX_FILTERS: usize = 1024;
/// Most recipients of encrypted delivery; each costs two RSA operations.
pub const MAX_RECIPIENTS: usize = 32;
/// Most document keys of one recipient.
pub const MAX_DOCUMENT_KEYS: usize = 16;
