//! A walk over spans of time: which of them are there between one change and the next.

use super::MAX_AT_ONCE;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The first span with which more than [`MAX_AT_ONCE`] would be there at a time.
pub(crate) fn crowd(spans: &[(u64, u64)]) -> Option<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|at| spans.get(*at).map(|span| span.0));
    let mut ends = BinaryHeap::new();
    for at in order {
        let (begin, end) = *spans.get(at)?;
        while ends.peek().is_some_and(|Reverse(end)| *end <= begin) {
            ends.pop();
        }
        ends.push(Reverse(end));
        if ends.len() > MAX_AT_ONCE {
            return Some(at);
        }
    }
    None
}

/// Walks spans that are sorted by their begin.
pub(crate) struct Sweep {
    spans: Vec<(u64, u64)>,
    /// The first span that has not begun.
    next: usize,
    /// Spans that have begun and not ended, by number.
    active: Vec<usize>,
}

/// A stretch in which the same spans are there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub from: u64,
    pub to: u64,
    /// Numbers of the spans.
    pub active: Vec<usize>,
}

impl Sweep {
    pub const fn new(spans: Vec<(u64, u64)>) -> Self {
        Self { spans, next: 0, active: Vec::new() }
    }

    /// The stretches from `from` to `to`; `from` is where the call before ended.
    pub fn until(&mut self, from: u64, to: u64) -> Vec<Stretch> {
        let mut found = Vec::new();
        let mut at = from;
        while at < to {
            let spans = &self.spans;
            let end = |number: &usize| spans.get(*number).map_or(0, |span| span.1);
            self.active.retain(|number| end(number) > at);
            while let Some((_, end)) = spans.get(self.next).filter(|span| span.0 <= at) {
                if *end > at {
                    self.active.push(self.next);
                }
                self.next += 1;
            }
            let first_end = self.active.iter().map(end).min();
            let next_begin = spans.get(self.next).map(|span| span.0);
            let stop = first_end.into_iter().chain(next_begin).min().unwrap_or(to).min(to);
            found.push(Stretch { from: at, to: stop, active: self.active.clone() });
            at = stop;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_fill_the_time_and_name_what_is_there() {
        let mut sweep = Sweep::new(vec![(0, 10), (5, 15), (5, 30), (40, 41)]);
        let stretch = |from, to, active: &[usize]| Stretch { from, to, active: active.to_vec() };
        assert_eq!(
            sweep.until(0, 20),
            [
                stretch(0, 5, &[0]),
                stretch(5, 10, &[0, 1, 2]),
                stretch(10, 15, &[1, 2]),
                stretch(15, 20, &[2])
            ]
        );
        assert_eq!(sweep.until(20, 25), [stretch(20, 25, &[2])]);
        assert_eq!(
            sweep.until(25, 50),
            [
                stretch(25, 30, &[2]),
                stretch(30, 40, &[]),
                stretch(40, 41, &[3]),
                stretch(41, 50, &[])
            ]
        );
        assert_eq!(sweep.until(50, 50), []);
    }

    #[test]
    fn a_crowd_is_found_and_a_queue_is_none() {
        let queue: Vec<_> = (0..1000).map(|at| (at, at + 1)).collect();
        assert_eq!(crowd(&queue), None);
        assert_eq!(crowd(&[(0, 5); MAX_AT_ONCE]), None);
        assert_eq!(crowd(&[(0, 5); MAX_AT_ONCE + 1]), Some(MAX_AT_ONCE));
    }
}
