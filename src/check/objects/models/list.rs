//! A list that is changed at one end and shares all else with the lists it came from: a copy, a push and a pop take
//! O(1) time and memory.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct List(Option<Rc<Cell>>);

#[derive(Debug)]
struct Cell {
    value: i64,
    below: List,
    depth: usize,
    /// Of all values from the bottom to here.
    hash: u64,
}

impl List {
    /// With one more value at its end.
    pub fn push(&self, value: i64) -> List {
        let (depth, hash) = self.0.as_ref().map_or((0, 0), |cell| (cell.depth, cell.hash));
        let mixed = (hash.rotate_left(29) ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (below, depth, hash) = (self.clone(), depth + 1, mixed ^ (mixed >> 32));
        List(Some(Rc::new(Cell { value, below, depth, hash })))
    }

    /// The value at its end, and what is left without it.
    pub fn pop(&self) -> Option<(i64, &List)> {
        self.0.as_ref().map(|cell| (cell.value, &cell.below))
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |cell| cell.depth)
    }

    /// Whether these are its values, from the bottom.
    pub fn is(&self, values: &[i64]) -> bool {
        let (mut own, mut rest) = (self, values.iter().rev());
        self.len() == values.len()
            && std::iter::from_fn(|| {
                let (value, below) = own.pop()?;
                own = below;
                Some(value)
            })
            .all(|value| rest.next() == Some(&value))
    }
}

impl PartialEq for List {
    fn eq(&self, other: &List) -> bool {
        let (mut a, mut b) = (self, other);
        loop {
            match (&a.0, &b.0) {
                (None, None) => return true,
                (Some(x), Some(y)) if Rc::ptr_eq(x, y) => return true,
                (Some(x), Some(y)) if (x.hash, x.depth, x.value) == (y.hash, y.depth, y.value) => {
                    (a, b) = (&x.below, &y.below);
                }
                _ => return false,
            }
        }
    }
}
impl Eq for List {}

impl Hash for List {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.0.as_ref().map_or(0, |cell| cell.hash));
    }
}

/// One cell after the other: a list may be longer than the stack is deep.
impl Drop for List {
    fn drop(&mut self) {
        let mut own = self.0.take();
        while let Some(mut cell) = own.and_then(Rc::into_inner) {
            own = cell.below.0.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_are_equal_however_they_came_about() {
        let a = List::default().push(1).push(2);
        let b = List::default().push(1).push(3).pop().unwrap().1.push(2);
        assert!(a == b && a.is(&[1, 2]) && !a.is(&[2, 1]) && !a.is(&[1, 2, 3]) && !a.is(&[]));
        assert!(a != List::default().push(2).push(1) && a != a.push(1));
        assert!(List::default().is(&[]));
    }

    #[test]
    fn a_long_one_ends_without_ado() {
        let mut list = List::default();
        for value in 0..1_000_000 {
            list = list.push(value);
        }
        assert_eq!(list.len(), 1_000_000);
    }
}
