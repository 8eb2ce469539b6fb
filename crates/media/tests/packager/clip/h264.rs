//! Pictures whose headers are real and whose content is made up.

use media::bmff::plain_box;

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(mut self, width: u32, value: u32) -> Self {
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let width = u32::BITS - (value + 1).leading_zeros();
        self.u(width - 1, 0).u(width, value + 1)
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.push(true);
        self.0.resize(self.0.len().next_multiple_of(8), false);
        let byte = |bits: &[bool]| bits.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit));
        self.0.chunks(8).map(byte).collect()
    }
}

fn nal(header: u8, payload: &[u8]) -> Vec<u8> {
    [&[header], payload].concat()
}

/// Main profile, frames only, order count implied; cropped to any even size.
fn sps((width, height): (u16, u16)) -> Vec<u8> {
    let (width, height) = (u32::from(width.max(16)), u32::from(height.max(16)));
    let (across, down) = (width.div_ceil(16), height.div_ceil(16));
    let bits = Bits::default().u(24, 0x4d_0028).ue(0).ue(0).ue(2).ue(1).u(1, 0);
    let bits = bits.ue(across - 1).ue(down - 1).u(2, 3).u(1, 1);
    let bits = bits.ue(0).ue((across * 16 - width) / 2).ue(0).ue((down * 16 - height) / 2);
    nal(0x67, &bits.u(1, 0).bytes())
}

fn pps() -> Vec<u8> {
    let bits = Bits::default().ue(0).ue(0).u(2, 0).ue(0).ue(0).ue(0).u(3, 0);
    nal(0x68, &bits.ue(0).ue(0).ue(0).u(3, 0).bytes())
}

fn slice(is_sync: bool, len: usize, seed: usize) -> Vec<u8> {
    let bits = Bits::default().ue(0);
    let bits = if is_sync {
        bits.ue(7).ue(0).u(4, 0).ue(1).u(2, 0)
    } else {
        bits.ue(5).ue(0).u(4, 1).u(1, 0).u(1, 0).u(1, 0)
    };
    let content = (0..len).map(|byte| (byte * 31 + seed * 7) as u8 | 1);
    let header = bits.ue(0).bytes();
    nal(if is_sync { 0x65 } else { 0x41 }, &header.into_iter().chain(content).collect::<Vec<_>>())
}

/// A sample with NAL lengths of 4 bytes.
pub fn picture(at: usize, is_sync: bool, size: (u16, u16), len: usize) -> Vec<u8> {
    let mut nals = vec![nal(9, &[0x10])];
    if is_sync {
        nals.extend([sps(size), pps()]);
    }
    if at % 4 == 2 {
        // An SEI so long that its clear bytes need two entries.
        nals.push(nal(6, &vec![5; if at % 40 == 2 { 70_000 } else { 60 }]));
    }
    let slices = 1 + at % 3;
    nals.extend((0..slices).map(|slice_at| slice(is_sync, len / slices + slice_at, at)));
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

/// Body of an `avc1`.
pub fn sample_entry(size: (u16, u16), out: &mut Vec<u8>) {
    out.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    out.extend([0; 16]);
    out.extend(size.0.to_be_bytes());
    out.extend(size.1.to_be_bytes());
    out.extend([0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1]);
    out.extend([0; 32]);
    out.extend([0, 24, 0xff, 0xff]);
    plain_box(out, b"avcC", |out| {
        let (sps, pps) = (sps(size), pps());
        out.extend([1, sps[1], sps[2], sps[3], 0xff, 0xe1]);
        out.extend((sps.len() as u16).to_be_bytes());
        out.extend(sps);
        out.push(1);
        out.extend((pps.len() as u16).to_be_bytes());
        out.extend(pps);
    });
}
