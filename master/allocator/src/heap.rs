//! A binary heap in a plain vector. The order is given with each call, and whoever is moved is told of it.

/// Moves the item at `at` up or down to where it belongs.
pub(crate) fn settle<T: Copy>(
    heap: &mut [T],
    at: usize,
    is_before: impl Fn(&T, &T) -> bool,
    mut moved: impl FnMut(&T, usize),
) {
    if sift_up(heap, at, 0, &is_before, &mut moved) == at {
        sift_down(heap, at, &is_before, &mut moved);
    }
}

/// Brings a vector in any order into the order of a heap.
pub(crate) fn build<T: Copy>(heap: &mut [T], is_before: impl Fn(&T, &T) -> bool, mut moved: impl FnMut(&T, usize)) {
    for at in (0..heap.len()).rev() {
        moved(&heap[at], at);
        sift_down(heap, at, &is_before, &mut moved);
    }
}

/// Where the item at `at` ends, not above `top`.
#[inline]
fn sift_up<T: Copy>(
    heap: &mut [T],
    mut at: usize,
    top: usize,
    is_before: &impl Fn(&T, &T) -> bool,
    moved: &mut impl FnMut(&T, usize),
) -> usize {
    let item = heap[at];
    while at > top {
        let above = (at - 1) / 2;
        let other = heap[above];
        if !is_before(&item, &other) {
            break;
        }
        heap[at] = other;
        moved(&other, at);
        at = above;
    }
    heap[at] = item;
    moved(&item, at);
    at
}

/// An item that moves at all mostly moves far: it goes to the bottom at one comparison a level, and back up from there.
#[inline]
fn sift_down<T: Copy>(
    heap: &mut [T],
    top: usize,
    is_before: &impl Fn(&T, &T) -> bool,
    moved: &mut impl FnMut(&T, usize),
) {
    let item = heap[top];
    let mut at = top;
    loop {
        let below = 2 * at + 1;
        let least = match heap.get(below..) {
            Some([left, right, ..]) => below + usize::from(is_before(right, left)),
            Some([_]) => below,
            _ => break,
        };
        let next = heap[least];
        if at == top && !is_before(&next, &item) {
            return;
        }
        heap[at] = next;
        moved(&next, at);
        at = least;
    }
    heap[at] = item;
    sift_up(heap, at, top, is_before, moved);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_always_the_least(changes in proptest::collection::vec((0usize..20, 0u32..50), 1..200)) {
            let mut values = [0_u32; 20];
            let mut places = [0; 20];
            let mut heap: Vec<usize> = (0..20).collect();
            build(&mut heap, |a, b| values[*a] < values[*b], |item, at| places[*item] = at);
            for (item, value) in changes {
                values[item] = value;
                let at = places[item];
                settle(&mut heap, at, |a, b| values[*a] < values[*b], |item, at| places[*item] = at);
                prop_assert_eq!(values[heap[0]], *values.iter().min().unwrap());
                prop_assert!(heap.iter().enumerate().all(|(at, item)| places[*item] == at));
            }
        }
    }
}
