//! A walk over an encrypted single file that shares no code with the packager beyond the frame
//! of a box: what is stored for each sample.

use media::bmff::{Child, Fields, boxes};

/// What is stored for one sample.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    pub bytes: Vec<u8>,
    /// Its entry in `senc`: IV and subsamples.
    pub info: Vec<u8>,
}

/// Every sample of the file's one track.
pub fn stored_samples(file: &[u8], iv_size: usize) -> Vec<Stored> {
    let mut samples = Vec::new();
    for moof in boxes(file).map(|child| child.expect("whole boxes")) {
        if moof.kind.0 != *b"moof" {
            continue;
        }
        let traf = find(moof.body, b"traf").expect("a traf");
        let sizes = sizes(find(traf.body, b"trun").expect("a trun").body);
        let infos = infos(find(traf.body, b"senc").expect("a senc").body, iv_size);
        assert_eq!(sizes.1.len(), infos.len());
        let mut at = moof.offset + sizes.0;
        for (size, info) in sizes.1.into_iter().zip(infos) {
            samples.push(Stored { bytes: file[at..at + size].to_vec(), info });
            at += size;
        }
    }
    samples
}

fn find<'b>(siblings: &'b [u8], kind: &[u8; 4]) -> Option<Child<'b>> {
    boxes(siblings).flatten().find(|child| child.kind.0 == *kind)
}

/// Data offset and the sizes.
fn sizes(trun: &[u8]) -> (usize, Vec<usize>) {
    let mut fields = Fields::new(trun);
    let (_, flags) = fields.version_and_flags().unwrap();
    let count = fields.u32().unwrap();
    assert_eq!(flags & 0x201, 0x201, "data offset and sizes are there");
    let offset = fields.u32().unwrap() as usize;
    if flags & 4 != 0 {
        fields.u32().unwrap();
    }
    let size_of = |_| {
        let present = [0x100, 0x200, 0x400, 0x800].into_iter().filter(|flag| flags & flag != 0);
        let values: Vec<_> = present.map(|flag| (flag, fields.u32().unwrap())).collect();
        values.iter().find(|(flag, _)| *flag == 0x200).unwrap().1 as usize
    };
    (offset, (0..count).map(size_of).collect())
}

fn infos(senc: &[u8], iv_size: usize) -> Vec<Vec<u8>> {
    let mut fields = Fields::new(senc);
    let (_, flags) = fields.version_and_flags().unwrap();
    let count = fields.u32().unwrap();
    let info = |_| {
        let mut info = fields.take(iv_size).unwrap().to_vec();
        if flags & 2 != 0 {
            let runs = fields.u16().unwrap();
            info.extend(runs.to_be_bytes());
            info.extend(fields.take(usize::from(runs) * 6).unwrap());
        }
        info
    };
    let infos = (0..count).map(info).collect();
    assert!(fields.rest().is_empty(), "senc holds its entries and nothing else");
    infos
}
