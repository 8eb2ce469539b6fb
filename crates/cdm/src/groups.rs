//! Sample groups that say under which key and IVs samples are: `sgpd` and `sbgp` of the type `seig`
//! (ISO/IEC 23001-7:2016, 6; ISO/IEC 14496-12:2015, 8.9). Those of a whole track stand in its
//! initialization segment, those of a fragment beside its samples.

use crate::track::Protection;
use crate::walk::Placed;
use media::bmff::{BoxError, Fields};
use media::cenc::{FIRST_LOCAL_INDEX, GROUPING, Seig};

/// Most groups that one box describes.
const MAX_GROUPS: usize = 1024;
/// Most runs of samples of one fragment.
const MAX_RUNS: usize = 1 << 16;
/// Indices of a fragment's own groups begin behind this one (ISO/IEC 14496-12, 8.9.4).
const OWN: u32 = FIRST_LOCAL_INDEX - 1;

/// How the samples of a group are protected; none: they are in the clear.
pub type Group = Option<Seig>;

/// Groups that are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupError(pub &'static str);

impl From<BoxError> for GroupError {
    fn from(_: BoxError) -> Self {
        Self("a sample group's box does not fit where it stands")
    }
}

/// Some samples one behind the other, and their group.
pub type Run = (usize, Group);

/// The boxes among siblings that are about groups of this type.
pub fn of_type<'b>(bytes: &'b [u8], siblings: &'b [Placed]) -> impl Iterator<Item = &'b Placed> {
    siblings.iter().filter(|one| {
        let is_about_groups = [b"sgpd", b"sbgp", b"csgp"].iter().any(|kind| one.kind.0 == **kind);
        // Version and flags, then the type. One that is cut off is refused where it is read.
        let body = bytes.get(one.body.clone()).unwrap_or_default();
        is_about_groups && body.get(4..8).is_none_or(|kind| kind == GROUPING)
    })
}

/// The groups that siblings describe (`sgpd`), in the order of their indices.
pub fn described(
    bytes: &[u8],
    siblings: &[Placed],
    protection: &Protection,
) -> Result<Vec<Group>, GroupError> {
    let Some(body) = only(bytes, siblings, b"sgpd")? else { return Ok(vec![]) };
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags()?;
    fields.four_cc()?;
    if version != 1 {
        return Err(GroupError("a description of sample groups of another version"));
    }
    let (common_length, count) = (fields.u32()?, fields.u32()?);
    let mut groups = vec![];
    for _ in 0..count {
        if groups.len() == MAX_GROUPS {
            return Err(GroupError("too many sample groups"));
        }
        let length = if common_length == 0 { fields.u32()? } else { common_length };
        let length = usize::try_from(length).map_err(|_| BoxError::Truncated)?;
        groups.push(entry(fields.take(length)?, protection)?);
    }
    ended(&fields)?;
    Ok(groups)
}

/// One group: samples in the clear have no IV, and their key counts for nothing.
fn entry(entry: &[u8], protection: &Protection) -> Result<Group, GroupError> {
    if let [_, _, 0, 0, ..] = entry {
        let is_whole = entry.len() == 20;
        return is_whole.then_some(None).ok_or(GroupError("a sample group of another length"));
    }
    let seig = Seig::parse(entry)?;
    let is_known = Protection::is_known(protection.scheme, seig);
    is_known.then_some(Some(seig)).ok_or(GroupError("a sample group of another scheme"))
}

/// Which samples of a fragment are in which group (`sbgp`): runs, in order. Samples behind the
/// last run, as those of a run without a group, are protected as the track is.
pub fn runs(
    bytes: &[u8],
    siblings: &[Placed],
    protection: &Protection,
) -> Result<Vec<Run>, GroupError> {
    if only(bytes, siblings, b"csgp")?.is_some() {
        return Err(GroupError("a map of sample groups in the compact form"));
    }
    let own = described(bytes, siblings, protection)?;
    let Some(body) = only(bytes, siblings, b"sbgp")? else { return Ok(vec![]) };
    let mut fields = Fields::new(body);
    let (version, _) = fields.version_and_flags()?;
    fields.four_cc()?;
    match version {
        0 => {}
        1 => _ = fields.u32()?,
        _ => return Err(GroupError("a map of sample groups of another version")),
    }
    let count = fields.u32()?;
    let mut runs = vec![];
    for _ in 0..count {
        if runs.len() == MAX_RUNS {
            return Err(GroupError("too many runs of samples"));
        }
        let samples = usize::try_from(fields.u32()?).map_err(|_| BoxError::Truncated)?;
        let index = fields.u32()?;
        let known = match index.checked_sub(OWN) {
            _ if index == 0 => Some(Some(protection.tenc.into())),
            Some(own_index) => at(&own, own_index),
            None => at(&protection.groups, index),
        };
        runs.push((samples, known.ok_or(GroupError("a sample group that nothing describes"))?));
    }
    ended(&fields)?;
    Ok(runs)
}

/// The group of an index, which is counted from 1.
fn at(groups: &[Group], index: u32) -> Option<Group> {
    let position = usize::try_from(index.checked_sub(1)?).ok()?;
    groups.get(position).copied()
}

/// The one box of a kind that is about groups of this type.
fn only<'b>(
    bytes: &'b [u8],
    siblings: &'b [Placed],
    kind: &[u8; 4],
) -> Result<Option<&'b [u8]>, GroupError> {
    let mut found = of_type(bytes, siblings).filter(|one| one.kind.0 == *kind);
    let first = found.next();
    if found.next().is_some() {
        return Err(GroupError("two boxes say how samples are protected"));
    }
    Ok(first.map(|one| bytes.get(one.body.clone()).unwrap_or_default()))
}

fn ended(fields: &Fields<'_>) -> Result<(), GroupError> {
    let is_over = fields.rest().is_empty();
    is_over.then_some(()).ok_or(GroupError("a sample group's box goes on behind its entries"))
}
