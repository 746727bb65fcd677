//! A set of slots of operations in flight: one word as long as 64 suffice, more words where they do not.

/// See the module. Equal sets are equal values: there are no zero words at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Mask {
    low: u64,
    high: Vec<u64>,
}

impl Mask {
    pub fn has(&self, slot: u32) -> bool {
        let bit = 1 << (slot % 64);
        match (slot / 64) as usize {
            0 => self.low & bit != 0,
            word => self.high.get(word - 1).is_some_and(|word| word & bit != 0),
        }
    }

    pub fn set(&mut self, slot: u32) {
        let bit = 1 << (slot % 64);
        match (slot / 64) as usize {
            0 => self.low |= bit,
            word => {
                if self.high.len() < word {
                    self.high.resize(word, 0);
                }
                self.high[word - 1] |= bit;
            }
        }
    }

    pub fn clear(&mut self, slot: u32) {
        let bit = 1 << (slot % 64);
        match (slot / 64) as usize {
            0 => self.low &= !bit,
            word => {
                if let Some(word) = self.high.get_mut(word - 1) {
                    *word &= !bit;
                }
                while self.high.last() == Some(&0) {
                    self.high.pop();
                }
            }
        }
    }

    /// What it takes beside itself.
    pub fn bytes(&self) -> usize {
        size_of_val(self.high.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set_of_any_width_and_equal_sets_are_equal() {
        let mut mask = Mask::default();
        for slot in [0, 63, 64, 127, 128, 500] {
            assert!(!mask.has(slot));
            mask.set(slot);
            assert!(mask.has(slot) && !mask.has(slot + 1), "{slot}");
        }
        for slot in [500, 64, 128, 127, 0, 63] {
            mask.clear(slot);
            assert!(!mask.has(slot), "{slot}");
        }
        mask.clear(9_999);
        assert_eq!(mask, Mask::default());
    }
}
