//! The frame header (AV1, 5.9), read to its last bit: from the frame's type to its references.
//! What follows is in `picture.rs`.

use super::picture;
use super::references::{FrameSize, Order, REFS, Reference, References, SLOTS};
use super::sequence::Sequence;
use super::tiles::TileLayout;
use crate::codec::CodecError;
use crate::codec::header_bits::HeaderBits;

/// `refresh_frame_flags` of a frame that replaces all others.
const ALL_SLOTS: u32 = (1 << SLOTS) - 1;
/// Denominator of an unscaled frame (`SUPERRES_NUM`).
const SUPERRES_NUM: u32 = 8;
const SUPERRES_DENOM_MIN: u32 = 9;

/// `frame_type` (6.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameType {
    Key,
    Inter,
    IntraOnly,
    Switch,
}

impl FrameType {
    fn read(bits: &mut HeaderBits<'_>) -> Result<Self, CodecError> {
        Ok(match bits.f(2)? {
            0 => Self::Key,
            1 => Self::Inter,
            2 => Self::IntraOnly,
            _ => Self::Switch,
        })
    }

    pub const fn is_intra(self) -> bool {
        matches!(self, Self::Key | Self::IntraOnly)
    }
}

/// Layers of the OBU's extension: 0 without one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layer {
    pub temporal: u8,
    pub spatial: u8,
}

/// A frame header.
#[derive(Clone, Debug)]
pub(super) enum FrameHeader {
    /// It shows a kept frame and has no tiles.
    ShowExisting,
    /// It is followed by tiles.
    Coded(CodedFrame),
}

/// What is needed of a frame behind its header.
#[derive(Clone, Debug)]
pub(super) struct CodedFrame {
    pub tiles: TileLayout,
    /// Slots that take the frame once its last tile was read.
    pub refresh: u32,
    pub as_reference: Reference,
}

/// A header while it is read: what later fields depend on.
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the header")]
pub(super) struct Heading<'a> {
    pub sequence: &'a Sequence,
    pub kind: FrameType,
    pub is_shown: bool,
    pub is_showable: bool,
    pub is_error_resilient: bool,
    pub has_screen_content_tools: bool,
    pub has_integer_mv: bool,
    pub has_high_precision_mv: bool,
    pub has_intrabc: bool,
    pub disables_cdf_update: bool,
    pub has_size_override: bool,
    pub order: Order,
    /// Index into `refs`.
    pub primary_ref: Option<usize>,
    pub refresh: u32,
    /// Slots of an inter frame's references.
    pub refs: [usize; REFS],
    pub size: FrameSize,
}

impl FrameHeader {
    /// Reads `uncompressed_header` (5.9.2).
    ///
    /// A shown key frame that was kept refreshes all of `references`, as 7.21 says.
    pub fn read(
        bits: &mut HeaderBits<'_>,
        sequence: &Sequence,
        references: &mut References,
        layer: Layer,
    ) -> Result<Self, CodecError> {
        if !sequence.is_reduced_still && bits.flag()? {
            show_existing(bits, sequence, references)?;
            return Ok(Self::ShowExisting);
        }
        let mut heading = Heading::read_type(bits, sequence)?;
        heading.read_order(bits, layer)?;
        heading.read_refresh(bits, references)?;
        if heading.kind.is_intra() {
            heading.read_frame_size(bits)?;
            skip_render_size(bits)?;
            if heading.has_screen_content_tools && heading.size.upscaled_width == heading.size.width
            {
                heading.has_intrabc = bits.flag()?;
            }
        } else {
            heading.read_references(bits, references)?;
        }
        if !sequence.is_reduced_still && !heading.disables_cdf_update {
            bits.flag()?; // disable_frame_end_update_cdf
        }
        picture::read(bits, &heading, references).map(Self::Coded)
    }
}

fn show_existing(
    bits: &mut HeaderBits<'_>,
    sequence: &Sequence,
    references: &mut References,
) -> Result<(), CodecError> {
    let slot = bits.index(3)?;
    bits.skip(sequence.presentation_time_bits.unwrap_or(0))?;
    bits.skip(sequence.frame_ids.map_or(0, |ids| ids.id_bits))?; // display_frame_id
    let frame = *references.at(slot)?;
    if frame.is_key {
        references.refresh(ALL_SLOTS, frame);
    }
    Ok(())
}

impl<'a> Heading<'a> {
    /// From `frame_type` to `error_resilient_mode`.
    fn read_type(bits: &mut HeaderBits<'_>, sequence: &'a Sequence) -> Result<Self, CodecError> {
        let mut heading = Self {
            sequence,
            kind: FrameType::Key,
            is_shown: true,
            is_showable: false,
            is_error_resilient: true,
            has_screen_content_tools: false,
            has_integer_mv: false,
            has_high_precision_mv: false,
            has_intrabc: false,
            disables_cdf_update: false,
            has_size_override: false,
            order: Order { bits: sequence.order_hint_bits, current: 0 },
            primary_ref: None,
            refresh: 0,
            refs: [0; REFS],
            size: FrameSize { upscaled_width: 0, width: 0, height: 0 },
        };
        if sequence.is_reduced_still {
            return Ok(heading);
        }
        heading.kind = FrameType::read(bits)?;
        heading.is_shown = bits.flag()?;
        if heading.is_shown {
            bits.skip(sequence.presentation_time_bits.unwrap_or(0))?;
            heading.is_showable = heading.kind != FrameType::Key;
        } else {
            heading.is_showable = bits.flag()?;
        }
        heading.is_error_resilient =
            heading.kind == FrameType::Switch || heading.is_shown_key() || bits.flag()?;
        Ok(heading)
    }

    fn is_shown_key(&self) -> bool {
        self.kind == FrameType::Key && self.is_shown
    }

    /// From `disable_cdf_update` to `buffer_removal_time`.
    fn read_order(&mut self, bits: &mut HeaderBits<'_>, layer: Layer) -> Result<(), CodecError> {
        let sequence = self.sequence;
        self.disables_cdf_update = bits.flag()?;
        self.has_screen_content_tools = match sequence.screen_content_tools {
            Some(has) => has,
            None => bits.flag()?,
        };
        if self.has_screen_content_tools {
            self.has_integer_mv = match sequence.integer_mv {
                Some(has) => has,
                None => bits.flag()?,
            };
        }
        bits.skip(sequence.frame_ids.map_or(0, |ids| ids.id_bits))?; // current_frame_id
        self.has_size_override = match self.kind {
            FrameType::Switch => true,
            _ => !sequence.is_reduced_still && bits.flag()?,
        };
        self.order.current = bits.f(sequence.order_hint_bits)?;
        if !self.kind.is_intra() && !self.is_error_resilient {
            self.primary_ref = Some(bits.index(3)?).filter(|index| *index < REFS);
        }
        let Some(model) = &sequence.decoder_model else { return Ok(()) };
        if bits.flag()? {
            for idc in &model.operating_points {
                let is_in_temporal = idc >> layer.temporal & 1 == 1;
                let is_in_spatial = idc >> (layer.spatial + 8) & 1 == 1;
                if *idc == 0 || is_in_temporal && is_in_spatial {
                    bits.skip(model.removal_time_bits)?;
                }
            }
        }
        Ok(())
    }

    /// `refresh_frame_flags` and `ref_order_hint`.
    fn read_refresh(
        &mut self,
        bits: &mut HeaderBits<'_>,
        references: &mut References,
    ) -> Result<(), CodecError> {
        self.refresh = if self.kind == FrameType::Switch || self.is_shown_key() {
            ALL_SLOTS
        } else {
            bits.f(8)?
        };
        if self.kind == FrameType::IntraOnly && self.refresh == ALL_SLOTS {
            return Err(CodecError::Value("refresh_frame_flags"));
        }
        let has_hints = self.is_error_resilient && self.order.bits > 0;
        if has_hints && (!self.kind.is_intra() || self.refresh != ALL_SLOTS) {
            for slot in 0..SLOTS {
                let order_hint = bits.f(self.order.bits)?;
                references.expect(slot, order_hint, self.sequence);
            }
        }
        Ok(())
    }

    /// `frame_size` (5.9.5), with `superres_params`.
    fn read_frame_size(&mut self, bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
        let (max_width, max_height) = self.sequence.max_size;
        let (mut width, mut height) = (max_width, max_height);
        if self.has_size_override {
            width = bits.f(self.sequence.size_bits.0)? + 1;
            height = bits.f(self.sequence.size_bits.1)? + 1;
        }
        if width > max_width || height > max_height {
            return Err(CodecError::Value("a frame larger than its sequence"));
        }
        self.read_superres(bits, width, height)
    }

    /// `superres_params` (5.9.8).
    fn read_superres(
        &mut self,
        bits: &mut HeaderBits<'_>,
        upscaled_width: u32,
        height: u32,
    ) -> Result<(), CodecError> {
        let mut width = upscaled_width;
        if self.sequence.has_superres && bits.flag()? {
            let denominator = bits.f(3)? + SUPERRES_DENOM_MIN;
            width = (upscaled_width * SUPERRES_NUM + denominator / 2) / denominator;
        }
        self.size = FrameSize { upscaled_width, width, height };
        Ok(())
    }

    /// From `frame_refs_short_signaling` to `use_ref_frame_mvs`.
    fn read_references(
        &mut self,
        bits: &mut HeaderBits<'_>,
        references: &References,
    ) -> Result<(), CodecError> {
        let is_short = self.order.bits > 0 && bits.flag()?;
        if is_short {
            let (last, golden) = (bits.index(3)?, bits.index(3)?);
            self.refs = references.infer_all(last, golden, self.order)?;
        }
        for slot in &mut self.refs {
            if !is_short {
                *slot = bits.index(3)?;
            }
            bits.skip(self.sequence.frame_ids.map_or(0, |ids| ids.delta_bits))?;
        }
        for slot in self.refs {
            references.at(slot)?;
        }
        if self.has_size_override && !self.is_error_resilient {
            self.read_size_with_refs(bits, references)?;
        } else {
            self.read_frame_size(bits)?;
            skip_render_size(bits)?;
        }
        if !self.has_integer_mv {
            self.has_high_precision_mv = bits.flag()?;
        }
        if !bits.flag()? {
            bits.skip(2)?; // interpolation_filter
        }
        bits.flag()?; // is_motion_mode_switchable
        if !self.is_error_resilient && self.sequence.has_ref_frame_mvs {
            bits.flag()?; // use_ref_frame_mvs
        }
        Ok(())
    }

    /// `frame_size_with_refs` (5.9.7).
    fn read_size_with_refs(
        &mut self,
        bits: &mut HeaderBits<'_>,
        references: &References,
    ) -> Result<(), CodecError> {
        for slot in self.refs {
            if bits.flag()? {
                let size = references.at(slot)?.size;
                return self.read_superres(bits, size.upscaled_width, size.height);
            }
        }
        self.read_frame_size(bits)?;
        skip_render_size(bits)
    }
}

/// `render_size` (5.9.6).
fn skip_render_size(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    if bits.flag()? { bits.skip(32) } else { Ok(()) }
}
