//! The walk over the boxes of a file (ISO/IEC 14496-12, 4.2).

use super::fields::{self, BoxDetail};
use super::tracks::Tracks;
use super::{BoxNode, Defect, InspectError, MediaReport};
use crate::Input;
use crate::bmff::{BoxHead, FourCc};
use crate::pssh;

/// Most boxes that are shown.
const MAX_BOXES: usize = 200_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 16;
/// Longest body that is read.
const MAX_BODY: u64 = 16 << 20;
/// Most defects that are told.
pub(super) const MAX_DEFECTS: usize = 100;

pub(super) fn report(input: &mut dyn Input) -> Result<MediaReport, InspectError> {
    let size_bytes = input.len();
    let mut walk =
        Walk { input, boxes: 0, path: Vec::new(), defects: Vec::new(), tracks: Tracks::default() };
    let boxes = walk.siblings(0, size_bytes)?;
    Ok(MediaReport { size_bytes, tracks: walk.tracks.reports(), defects: walk.defects, boxes })
}

struct Walk<'a> {
    input: &'a mut dyn Input,
    /// How many boxes were seen.
    boxes: usize,
    /// The boxes around the present one.
    path: Vec<String>,
    defects: Vec<Defect>,
    tracks: Tracks,
}

impl Walk<'_> {
    /// The boxes that fill a part of the file. After one whose size is wrong none can be found.
    fn siblings(&mut self, start: u64, end: u64) -> Result<Vec<BoxNode>, InspectError> {
        let mut nodes = Vec::new();
        let mut offset = start;
        while offset < end {
            let room = end - offset;
            let mut bytes = [0; BoxHead::MAX_LEN];
            let len = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let bytes = bytes.get_mut(..len).unwrap_or_default();
            self.input.read_at(offset, bytes)?;
            let head = match BoxHead::parse(bytes, room) {
                Ok(head) if self.boxes < MAX_BOXES => head,
                Ok(_) => {
                    self.defect(
                        offset,
                        format!("more than {MAX_BOXES} boxes; the rest is not shown"),
                    );
                    break;
                }
                Err(error) => {
                    self.defect(offset, error.to_string());
                    break;
                }
            };
            self.boxes += 1;
            nodes.push(self.node(offset, &head)?);
            offset = offset.saturating_add(head.len);
        }
        Ok(nodes)
    }

    fn node(&mut self, offset: u64, head: &BoxHead) -> Result<BoxNode, InspectError> {
        let kind = head.kind.to_string();
        let mut node = BoxNode {
            kind: kind.clone(),
            offset,
            size_bytes: head.len,
            detail: None,
            children: Vec::new(),
        };
        let (body, end) = (offset + head.head_len, offset + head.len);
        self.path.push(kind);
        if let Some(before) = children_after(head.kind) {
            if self.path.len() > MAX_DEPTH {
                self.defect(offset, format!("deeper than {MAX_DEPTH} levels"));
            } else if before > head.body_len() {
                self.defect(offset, "too short for its own fields".to_owned());
            } else {
                self.tracks.enter(head.kind);
                node.detail = self.entry_fields(offset, body, head.kind, before)?;
                node.children = self.siblings(body + before, end)?;
                for what in self.tracks.leave(head.kind) {
                    self.defect(offset, what);
                }
            }
        } else if is_read(head.kind) {
            node.detail = self.leaf(offset, body, head)?;
        } else if head.kind.0 == *b"mdat"
            && let Some(what) = self.tracks.media_data(head.body_len())
        {
            self.defect(offset, what);
        }
        self.path.pop();
        Ok(node)
    }

    /// The fields of a sample entry, which stand before its boxes.
    fn entry_fields(
        &mut self,
        offset: u64,
        body: u64,
        kind: FourCc,
        len: u64,
    ) -> Result<Option<BoxDetail>, InspectError> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.input.read_at(body, &mut bytes)?;
        let read = fields::detail(kind, &bytes).filter(|_| len > 8);
        match read.transpose() {
            Ok(detail) => Ok(detail),
            Err(what) => {
                self.defect(offset, what);
                Ok(None)
            }
        }
    }

    fn leaf(
        &mut self,
        offset: u64,
        body: u64,
        head: &BoxHead,
    ) -> Result<Option<BoxDetail>, InspectError> {
        if head.body_len() > MAX_BODY {
            self.defect(offset, format!("longer than {MAX_BODY} bytes; its content is not shown"));
            return Ok(None);
        }
        // A `pssh` box is read with its header.
        let from = if head.kind.0 == *b"pssh" { offset } else { body };
        let len = usize::try_from(offset + head.len - from).unwrap_or(0);
        let mut bytes = vec![0; len];
        self.input.read_at(from, &mut bytes)?;
        let read = match &head.kind.0 {
            b"pssh" => {
                Some(pssh::parse(&bytes).map(BoxDetail::Pssh).map_err(|error| error.to_string()))
            }
            _ => fields::detail(head.kind, &bytes),
        };
        let detail = match read.transpose() {
            Ok(detail) => detail,
            Err(what) => {
                self.defect(offset, what);
                return Ok(None);
            }
        };
        if let Err(what) = self.tracks.take(head.kind, &bytes, detail.as_ref()) {
            self.defect(offset, what);
        }
        Ok(detail)
    }

    fn defect(&mut self, at: u64, what: String) {
        if self.defects.len() < MAX_DEFECTS {
            self.defects.push(Defect { at, within: self.path.join("/"), what });
        }
    }
}

/// Where the children of a container begin in its body; `None` for other boxes.
fn children_after(kind: FourCc) -> Option<u64> {
    match &kind.0 {
        b"moov" | b"trak" | b"edts" | b"mdia" | b"minf" | b"dinf" | b"stbl" | b"mvex" | b"moof"
        | b"traf" | b"mfra" | b"sinf" | b"schi" => Some(0),
        // Version, flags and a count come first.
        b"stsd" | b"dref" => Some(8),
        // Fields of every sample entry, then those of picture or sound (12.1.3, 12.2.3).
        b"encv" | b"avc1" | b"avc3" | b"hvc1" | b"hev1" | b"av01" | b"vp09" => Some(78),
        b"enca" | b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => Some(28),
        _ => None,
    }
}

/// Boxes whose body is read.
fn is_read(kind: FourCc) -> bool {
    const READ: [&[u8; 4]; 32] = [
        b"ftyp", b"styp", b"tkhd", b"tfhd", b"trex", b"hdlr", b"frma", b"schm", b"tenc", b"sgpd",
        b"senc", b"trun", b"stsz", b"sidx", b"pssh", b"mdhd", b"mvhd", b"mehd", b"mfhd", b"tfdt",
        b"elst", b"saiz", b"saio", b"sbgp", b"avcC", b"hvcC", b"av1C", b"vpcC", b"dac3", b"dec3",
        b"dOps", b"dfLa",
    ];
    READ.contains(&&kind.0)
}
