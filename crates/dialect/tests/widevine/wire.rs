//! A writer and a reader of Protocol Buffers of their own, so that what is not written by the
//! code under test can be written, and what it writes is not read by itself.

/// A number of any size (base 128, lowest group first).
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field that holds a number.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that holds bytes, text or a message.
pub fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let length = u64::try_from(value.len()).unwrap();
    [&varint(field << 3 | 2), &varint(length), value].concat()
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message, in order.
pub fn fields(mut message: &[u8]) -> Vec<(u64, Value)> {
    let mut found = vec![];
    while !message.is_empty() {
        let tag = take_varint(&mut message);
        let value = match tag & 7 {
            0 => Value::Number(take_varint(&mut message)),
            2 => {
                let length = usize::try_from(take_varint(&mut message)).unwrap();
                let (value, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(value.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, value));
    }
    found
}

fn take_varint(message: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return value;
        }
    }
}

/// The bytes of one field.
pub fn bytes_of(message: &[u8], field: u64) -> Vec<u8> {
    let found = fields(message).into_iter().find(|(number, _)| *number == field);
    match found {
        Some((_, Value::Bytes(bytes))) => bytes,
        other => panic!("field {field}: {other:?}"),
    }
}

/// The message without one field.
pub fn without(message: &[u8], field: u64) -> Vec<u8> {
    fields(message)
        .into_iter()
        .filter(|(number, _)| *number != field)
        .flat_map(|(number, value)| match value {
            Value::Number(value) => self::number(number, value),
            Value::Bytes(value) => bytes(number, &value),
        })
        .collect()
}
