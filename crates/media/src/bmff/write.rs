//! Writing: a box is opened, its body appended, its size set.

/// Appends a box whose body `body` appends.
pub fn plain_box(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    body(out);
    let len = u32::try_from(out.len() - start).expect("a box that is built in memory is small");
    if let Some(size) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *size = len.to_be_bytes();
    }
}

/// Appends a box with version and flags (24 bits).
pub fn full_box(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    plain_box(out, kind, |out| {
        let [_, a, b, c] = flags.to_be_bytes();
        out.extend([version, a, b, c]);
        body(out);
    });
}
