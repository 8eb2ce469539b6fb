//! A sample entry without what it says of rates: an encoder that begins again writes other figures
//! there, and nothing that a decoder needs.

use crate::bmff::{FourCc, boxes};
use crate::codec::{AUDIO_FIELDS, VISUAL_FIELDS};

/// Bytes of an object type, a stream type and a buffer size (ISO/IEC 14496-1, 7.2.6.6), behind
/// which the two rates stand.
const BEFORE_RATES: usize = 5;

/// The body of a sample entry without `btrt` (ISO/IEC 14496-12, 8.5.2.2), and with rates of 0,
/// which are those that nobody knows, in `esds`.
pub(crate) fn without_rates(body: &[u8], is_video: bool) -> Vec<u8> {
    let fields = if is_video { VISUAL_FIELDS } else { AUDIO_FIELDS };
    let Some((head, children)) = body.split_at_checked(fields) else { return body.to_vec() };
    let mut kept = head.to_vec();
    for child in boxes(children) {
        let Ok(child) = child else { return body.to_vec() };
        match &child.kind {
            FourCc([b'b', b't', b'r', b't']) => {}
            FourCc([b'e', b's', b'd', b's']) => {
                let from = kept.len() + (child.whole.len() - child.body.len());
                kept.extend_from_slice(child.whole);
                let rates = rates_of(child.body).and_then(|at| {
                    let at = from.checked_add(at)?;
                    kept.get_mut(at..at.checked_add(8)?)
                });
                rates.into_iter().for_each(|rates| rates.fill(0));
            }
            _ => kept.extend_from_slice(child.whole),
        }
    }
    kept
}

/// Where both rates stand in an `esds` of the plain form, without the optional fields.
fn rates_of(esds: &[u8]) -> Option<usize> {
    let at = descriptor(esds, 4, 3)?;
    let flags = *esds.get(at.checked_add(2)?)?;
    let decoder = (flags & 0xe0 == 0).then_some(at.checked_add(3)?)?;
    descriptor(esds, decoder, 4)?.checked_add(BEFORE_RATES)
}

/// Where the content of the descriptor at `at` begins (ISO/IEC 14496-1, 8.3.3).
fn descriptor(bytes: &[u8], at: usize, tag: u8) -> Option<usize> {
    let (first, rest) = bytes.get(at..)?.split_first()?;
    let len = rest.iter().take(4).position(|group| group & 0x80 == 0)?;
    (*first == tag).then_some(at.checked_add(len)?.checked_add(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmff::{full_box, plain_box};

    fn entry(rate: u32, has_btrt: bool, config: u8) -> Vec<u8> {
        let mut body = vec![0; AUDIO_FIELDS];
        full_box(&mut body, b"esds", 0, 0, |out| {
            out.extend([3, 0x80, 0x80, 25, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0]);
            out.extend(rate.to_be_bytes());
            out.extend(rate.to_be_bytes());
            out.extend([5, 2, 0x11, config]);
        });
        if has_btrt {
            plain_box(&mut body, b"btrt", |out| out.extend([1; 12]));
        }
        body
    }

    #[test]
    fn only_rates_are_taken_away() {
        let plain = without_rates(&entry(96_000, true, 0x90), false);
        assert_eq!(plain, without_rates(&entry(128_000, false, 0x90), false));
        assert_eq!(plain, entry(0, false, 0x90));
        assert_ne!(plain, without_rates(&entry(96_000, true, 0x88), false));
    }

    #[test]
    fn what_is_cut_off_stays_as_it_is() {
        let whole = entry(1, true, 0x90);
        for len in 0..whole.len() {
            let cut = &whole[..len];
            assert!(without_rates(cut, false).len() <= cut.len());
        }
    }
}
