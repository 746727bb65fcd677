//! Trees over places in a row: how often each is covered, and the largest number at any of them. Each operation takes
//! O(log n).

/// How often each place is covered.
pub(super) struct Cover {
    size: usize,
    /// The least below, without what the nodes above add.
    least: Vec<i32>,
    /// What is added to all below.
    added: Vec<i32>,
}

impl Cover {
    /// From how it changes from place to place.
    pub fn of(changes: &[i32]) -> Cover {
        let size = changes.len().next_power_of_two();
        let (mut least, mut now) = (vec![i32::MAX / 2; 2 * size], 0);
        for (at, change) in changes.iter().enumerate() {
            now += change;
            least[size + at] = now;
        }
        for node in (1..size).rev() {
            least[node] = least[2 * node].min(least[2 * node + 1]);
        }
        Cover { size, least, added: vec![0; size] }
    }

    /// Covers the places from the first to before the last one so many times more.
    pub fn change(&mut self, from: u32, to: u32, by: i32) {
        let (mut left, mut right) = (self.size + from as usize, self.size + to as usize);
        let (first, last) = (left, right - 1);
        while left < right {
            if left % 2 == 1 {
                self.add(left, by);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.add(right, by);
            }
            left /= 2;
            right /= 2;
        }
        self.sum_up(first);
        self.sum_up(last);
    }

    fn add(&mut self, node: usize, by: i32) {
        self.least[node] += by;
        if let Some(added) = self.added.get_mut(node) {
            *added += by;
        }
    }

    fn sum_up(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            let below = self.least[2 * node].min(self.least[2 * node + 1]);
            self.least[node] = below + self.added[node];
        }
    }

    /// The first place that is not covered, from the first to before the last one.
    pub fn first_free(&self, from: u32, to: u32) -> Option<u32> {
        self.free(1, 0, self.size, 0, from as usize, to as usize).map(|place| place as u32)
    }

    fn free(
        &self,
        node: usize,
        begin: usize,
        end: usize,
        above: i32,
        from: usize,
        to: usize,
    ) -> Option<usize> {
        if to <= begin || end <= from || self.least[node] + above > 0 {
            return None;
        }
        if node >= self.size {
            return Some(begin);
        }
        let (middle, above) = (begin.midpoint(end), above + self.added[node]);
        self.free(2 * node, begin, middle, above, from, to)
            .or_else(|| self.free(2 * node + 1, middle, end, above, from, to))
    }
}

/// A number at each place, 0 at first.
pub(super) struct Latest {
    size: usize,
    most: Vec<u32>,
}

impl Latest {
    pub fn new(places: usize) -> Latest {
        let size = places.next_power_of_two();
        Latest { size, most: vec![0; 2 * size] }
    }

    pub fn set(&mut self, place: u32, number: u32) {
        let mut node = self.size + place as usize;
        self.most[node] = number;
        while node > 1 {
            node /= 2;
            self.most[node] = self.most[2 * node].max(self.most[2 * node + 1]);
        }
    }

    /// The first place, from the first to before the last one, with more than this.
    pub fn first_above(&self, from: u32, to: u32, bound: u32) -> Option<u32> {
        self.above(1, 0, self.size, bound, from as usize, to as usize).map(|place| place as u32)
    }

    fn above(
        &self,
        node: usize,
        begin: usize,
        end: usize,
        bound: u32,
        from: usize,
        to: usize,
    ) -> Option<usize> {
        if to <= begin || end <= from || self.most[node] <= bound {
            return None;
        }
        if node >= self.size {
            return Some(begin);
        }
        let middle = begin.midpoint(end);
        self.above(2 * node, begin, middle, bound, from, to)
            .or_else(|| self.above(2 * node + 1, middle, end, bound, from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_say_what_counting_says() {
        let (mut state, places) = (5_u64, 37);
        let mut random = |n: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u32 % n
        };
        let mut cover = Cover::of(&vec![0; places as usize]);
        let mut latest = Latest::new(places as usize);
        let (mut counts, mut numbers) = (vec![0; places as usize], vec![0; places as usize]);
        let mut open = vec![];
        for _ in 0..20_000 {
            let from = random(places);
            let to = from + 1 + random(places - from);
            if open.len() < 6 && random(2) == 0 {
                cover.change(from, to, 1);
                counts[from as usize..to as usize].iter_mut().for_each(|n| *n += 1);
                open.push((from, to));
            } else if !open.is_empty() {
                let (from, to) = open.swap_remove(random(open.len() as u32) as usize);
                cover.change(from, to, -1);
                counts[from as usize..to as usize].iter_mut().for_each(|n| *n -= 1);
            }
            let free = (from..to).find(|at| counts[*at as usize] == 0);
            assert_eq!(cover.first_free(from, to), free);
            let (place, bound) = (random(places), random(9));
            numbers[place as usize] = random(9);
            latest.set(place, numbers[place as usize]);
            let above = (from..to).find(|at| numbers[*at as usize] > bound);
            assert_eq!(latest.first_above(from, to, bound), above);
        }
    }
}
