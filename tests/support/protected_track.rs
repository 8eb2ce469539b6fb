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
        let constant = constant_size(find(traf.body, b"tfhd").expect("a tfhd").body);
        let sizes = sizes(find(traf.body, b"trun").expect("a trun").body, constant);
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

/// The size of samples that have none of their own.
fn constant_size(tfhd: &[u8]) -> Option<usize> {
    let mut fields = Fields::new(tfhd);
    let (_, flags) = fields.version_and_flags().unwrap();
    fields.take(4).unwrap();
    for (flag, len) in [(1, 8), (2, 4), (8, 4)] {
        if flags & flag != 0 {
            fields.take(len).unwrap();
        }
    }
    (flags & 0x10 != 0).then(|| fields.u32().unwrap() as usize)
}

/// Data offset and the sizes.
fn sizes(trun: &[u8], constant: Option<usize>) -> (usize, Vec<usize>) {
    let mut fields = Fields::new(trun);
    let (_, flags) = fields.version_and_flags().unwrap();
    let count = fields.u32().unwrap();
    assert_eq!(flags & 1, 1, "the data offset is there");
    let offset = fields.u32().unwrap() as usize;
    if flags & 4 != 0 {
        fields.u32().unwrap();
    }
    let size_of = |_| {
        let present = [0x100, 0x200, 0x400, 0x800].into_iter().filter(|flag| flags & flag != 0);
        let values: Vec<_> = present.map(|flag| (flag, fields.u32().unwrap())).collect();
        let own = values.iter().find(|(flag, _)| *flag == 0x200).map(|(_, size)| *size as usize);
        own.or(constant).expect("a size")
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
