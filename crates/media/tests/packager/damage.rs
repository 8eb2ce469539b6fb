//! A source cut off or flipped anywhere never panics and never gives a package that is shorter
//! than the source said; a target that spoils what it is given never gives one at all.

use crate::clip::{Counter, Memory, Shape, audio, file, keys, plan, run, video};
use media::package::{Layout, PackageError};
use model::{Entropy as _, Scheme};

fn number(entropy: &mut Counter, below: usize) -> usize {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    (u64::from_be_bytes(bytes) % below as u64) as usize
}

fn shapes() -> Vec<(Shape, Vec<u8>)> {
    let tracks = [video((640, 360), 3, 25), audio(b"eng", 3)];
    [Shape::MoovFirst, Shape::MoovLast, Shape::Fragmented(20)]
        .map(|shape| (shape, file(&tracks, shape)))
        .into()
}

#[test]
fn no_truncation_gives_a_package() {
    let mut entropy = Counter(5);
    for (shape, source) in shapes() {
        for _ in 0..100 {
            let len = number(&mut entropy, source.len());
            let mut memory = Memory::default();
            let plan = plan(Layout::Segments, &[Scheme::Cbcs]);
            let packaged = run(&[&source[..len]], &plan, &keys(), &mut memory);
            // A fragmented source that ends between two fragments cannot be told from a shorter
            // one; its own header says no length.
            if let Ok(event) = packaged {
                let between = &source[len + 4..len + 8];
                assert!(
                    matches!(shape, Shape::Fragmented(_)) && between == b"moof",
                    "{shape:?} {len}"
                );
                assert!(event.duration_ms < 3_000);
            }
        }
    }
}

#[test]
fn flipped_bits_never_shorten_a_package() {
    let mut entropy = Counter(6);
    let mut packaged = 0;
    for (shape, source) in shapes() {
        let media = source.windows(4).position(|four| four == b"mdat").unwrap();
        for round in 0..300 {
            // Two thirds of the flips hit the boxes, where they hurt.
            let boxes = if shape == Shape::MoovLast { source.len() - 4_000 } else { 0 };
            let at = match round % 3 {
                0 => number(&mut entropy, source.len()),
                _ if shape == Shape::MoovLast => boxes + number(&mut entropy, 4_000),
                _ => number(&mut entropy, media),
            };
            let mut damaged = source.clone();
            damaged[at] ^= 1 << number(&mut entropy, 8);
            let mut memory = Memory::default();
            let plan = plan(Layout::SingleFile, &Scheme::ALL);
            if let Ok(event) = run(&[&damaged], &plan, &keys(), &mut memory) {
                packaged += 1;
                let sizes = event.variants.iter().map(|variant| variant.size_bytes).min().unwrap();
                assert!(event.duration_ms >= 2_000 && sizes > 3_000, "{shape:?}: bit flip at {at}");
            }
        }
    }
    assert!(packaged > 100, "flips in the picture itself are not found: {packaged}");
}

#[test]
fn a_target_that_spoils_a_byte_is_found_out() {
    let source = file(&[video((640, 360), 3, 25), audio(b"eng", 3)], Shape::MoovFirst);
    let plan = plan(Layout::SingleFile, &[Scheme::Cbcs]);
    // Byte 0 of the first file and what follows is its init; the last bytes are manifests.
    for at in [0, 30, 300, 600, 700] {
        let mut memory = Memory { spoil_at: Some(at), ..Memory::default() };
        let refused = run(&[&source], &plan, &keys(), &mut memory).unwrap_err();
        assert!(matches!(refused, PackageError::Verification { .. }), "{at}: {refused}");
        assert!(!memory.files.contains_key("package.json"));
    }
}
