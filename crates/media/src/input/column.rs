//! Columns of numbers that are small or alike: a day of samples fits some 40 MiB.

/// Numbers in groups of 7 bits, read from the front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed(Vec<u8>);

impl Packed {
    pub fn push(&mut self, mut value: u64) {
        loop {
            let group = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                self.0.push(group);
                return;
            }
            self.0.push(group | 0x80);
        }
    }

    pub fn push_signed(&mut self, value: i64) {
        // Zigzag: small numbers of either sign are short.
        self.push((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub fn iter(&self) -> PackedWalk<'_> {
        PackedWalk(self.0.iter())
    }
}

/// The numbers of a [`Packed`].
#[derive(Clone, Debug, Default)]
pub(super) struct PackedWalk<'a>(std::slice::Iter<'a, u8>);

impl Iterator for PackedWalk<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let group = *self.0.next()?;
            value |= u64::from(group & 0x7f) << shift;
            shift += 7;
            if group & 0x80 == 0 {
                return Some(value);
            }
        }
    }
}

impl PackedWalk<'_> {
    pub fn next_signed(&mut self) -> Option<i64> {
        self.next().map(|value| (value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub fn next_u32(&mut self) -> Option<u32> {
        self.next().and_then(|value| u32::try_from(value).ok())
    }
}

/// A column with equal neighbors merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Runs that have ended: count, value.
    ended: Packed,
    /// The run that may still grow.
    open: Option<(u32, i64)>,
    count: u64,
}

impl Runs {
    pub fn push(&mut self, count: u32, value: i64) {
        self.count += u64::from(count);
        let grown = match self.open {
            Some((before, same)) if same == value => before.checked_add(count),
            _ => None,
        };
        match grown {
            Some(sum) => self.open = Some((sum, value)),
            None if count > 0 => {
                self.end_run();
                self.open = Some((count, value));
            }
            None => {}
        }
    }

    fn end_run(&mut self) {
        if let Some((count, value)) = self.open.take() {
            self.ended.push(u64::from(count));
            self.ended.push_signed(value);
        }
    }

    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The last number.
    pub fn last(&self) -> Option<i64> {
        self.open.map(|(_, value)| value)
    }

    /// Replaces the last number.
    pub fn replace_last(&mut self, value: i64) {
        if let Some((count, old)) = self.open {
            self.count -= 1;
            self.open = (count > 1).then_some((count - 1, old));
            self.push(1, value);
        }
    }

    /// Runs of count and number.
    pub fn runs(&self) -> impl Iterator<Item = (u32, i64)> {
        let mut ended = self.ended.iter();
        let ended = std::iter::from_fn(move || Some((ended.next_u32()?, ended.next_signed()?)));
        ended.chain(self.open)
    }

    pub fn iter(&self) -> RunsWalk<'_> {
        RunsWalk { ended: self.ended.iter(), open: self.open, left: 0, value: 0 }
    }
}

/// The numbers of a [`Runs`].
#[derive(Clone, Debug)]
pub(super) struct RunsWalk<'a> {
    ended: PackedWalk<'a>,
    open: Option<(u32, i64)>,
    left: u32,
    value: i64,
}

impl Iterator for RunsWalk<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if self.left == 0 {
            let ended = self.ended.next_u32().zip(self.ended.next_signed());
            (self.left, self.value) = ended.or_else(|| self.open.take())?;
        }
        self.left = self.left.checked_sub(1)?;
        Some(self.value)
    }
}

/// Where samples lie: only the places where one does not follow the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Samples since the place before, then how far the jump goes.
    jumps: Packed,
    last: u32,
    /// Offset behind the last sample.
    end: u64,
}

impl Places {
    /// The sample with index `first` lies at `offset`.
    pub fn push(&mut self, first: u32, offset: u64) {
        if offset != self.end {
            self.jumps.push(u64::from(first - self.last));
            self.jumps.push_signed(offset.wrapping_sub(self.end).cast_signed());
            self.last = first;
            self.end = offset;
        }
    }

    /// The next sample follows `bytes` further on.
    pub fn advance(&mut self, bytes: u64) {
        self.end = self.end.saturating_add(bytes);
    }

    pub fn iter(&self) -> PlacesWalk<'_> {
        let mut walk = PlacesWalk { jumps: self.jumps.iter(), next: None, offset: 0 };
        walk.load(0);
        walk
    }
}

/// The offsets of a [`Places`], sample by sample.
#[derive(Clone, Debug)]
pub(super) struct PlacesWalk<'a> {
    jumps: PackedWalk<'a>,
    /// Index at which the next jump is, and how far it goes.
    next: Option<(u32, i64)>,
    offset: u64,
}

impl PlacesWalk<'_> {
    fn load(&mut self, from: u32) {
        let jump = self.jumps.next_u32().zip(self.jumps.next_signed());
        self.next = jump.map(|(samples, by)| (from.saturating_add(samples), by));
    }

    /// Offset of the sample `index`, of `size` bytes; to be asked in order.
    pub fn next(&mut self, index: u32, size: u32) -> u64 {
        while let Some((at, by)) = self.next.filter(|(at, _)| *at == index) {
            self.offset = self.offset.wrapping_add_signed(by);
            self.load(at);
        }
        let offset = self.offset;
        self.offset = offset.saturating_add(u64::from(size));
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(values: Vec<u64>, signed: Vec<i64>) {
            let mut packed = Packed::default();
            values.iter().for_each(|value| packed.push(*value));
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), values);
            let mut packed = Packed::default();
            signed.iter().for_each(|value| packed.push_signed(*value));
            let mut walk = packed.iter();
            let read: Vec<_> = std::iter::from_fn(|| walk.next_signed()).collect();
            prop_assert_eq!(read, signed);
        }

        #[test]
        fn runs_come_back(
            runs in proptest::collection::vec((0_u32..4, -2_i64..3), 0..30),
            last in proptest::option::of(-2_i64..3),
        ) {
            let mut column = Runs::default();
            let mut plain = Vec::new();
            for (count, value) in &runs {
                column.push(*count, *value);
                plain.extend((0..*count).map(|_| *value));
            }
            if let (Some(value), Some(place)) = (last, plain.last_mut()) {
                *place = value;
                column.replace_last(value);
            }
            prop_assert_eq!(column.count(), plain.len() as u64);
            prop_assert_eq!(column.last(), plain.last().copied());
            prop_assert_eq!(column.iter().collect::<Vec<_>>(), plain);
        }

        #[test]
        fn places_come_back(
            runs in proptest::collection::vec((any::<u64>(), proptest::collection::vec(1_u32..99, 0..4)), 0..20),
        ) {
            let mut places = Places::default();
            let mut plain = Vec::new();
            for (offset, sizes) in &runs {
                let mut offset = *offset >> 1;
                places.push(u32::try_from(plain.len()).unwrap(), offset);
                for size in sizes {
                    plain.push((offset, *size));
                    offset += u64::from(*size);
                    places.advance(u64::from(*size));
                }
            }
            let mut walk = places.iter();
            for (index, (offset, size)) in (0..).zip(plain) {
                prop_assert_eq!(walk.next(index, size), offset);
            }
        }
    }
}
