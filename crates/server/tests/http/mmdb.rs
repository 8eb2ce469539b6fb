//! A country database of one network, in MaxMind's format 2.0.

/// One IPv4 /24 in one country; every other address is unknown.
pub fn country(network: [u8; 3], code: &str) -> Vec<u8> {
    const NODES: u32 = 24;
    let mut file = vec![];
    for depth in 0..NODES {
        let byte = network[usize::try_from(depth / 8).unwrap()];
        let bit = byte >> (7 - depth % 8) & 1;
        // After the last bit: the first record of the data section.
        let onward = if depth + 1 == NODES { NODES + 16 } else { depth + 1 };
        for side in 0..2 {
            let record = if side == bit { onward } else { NODES };
            file.extend(&record.to_be_bytes()[1..]);
        }
    }
    file.extend([0; 16]);
    file.push(7 << 5 | 1);
    text(&mut file, "country_code");
    text(&mut file, code);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.push(7 << 5 | 9);
    for (name, value) in [
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
        ("ip_version", 4),
        ("record_size", 24),
    ] {
        text(&mut file, name);
        file.extend([5 << 5 | 1, value]);
    }
    text(&mut file, "node_count");
    file.extend([6 << 5 | 1, 24]);
    text(&mut file, "build_epoch");
    file.extend([1, 2, 1]);
    text(&mut file, "database_type");
    text(&mut file, "country");
    text(&mut file, "description");
    file.push(7 << 5);
    text(&mut file, "languages");
    file.extend([0, 4]);
    file
}

fn text(file: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 29);
    file.push(2 << 5 | length);
    file.extend(text.bytes());
}
