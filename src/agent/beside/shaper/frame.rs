//! What the shaper must know of a frame: where it goes.

use std::net::IpAddr;

/// Where an Ethernet frame's payload begins.
pub(super) const HEADER: usize = 14;

/// Where a frame of IPv4 or IPv6 goes.
pub(super) fn destination(frame: &[u8]) -> Option<IpAddr> {
    match frame.get(12..HEADER)? {
        [0x08, 0x00] => Some(<[u8; 4]>::try_from(frame.get(30..34)?).ok()?.into()),
        [0x86, 0xdd] => Some(<[u8; 16]>::try_from(frame.get(38..54)?).ok()?.into()),
        _ => None,
    }
}

/// The hardware address that sent it.
pub(super) fn sender(frame: &[u8]) -> Option<[u8; 6]> {
    frame.get(6..12)?.try_into().ok()
}

/// Flips the bit at this share of the frame, behind its Ethernet header: so it arrives, and is wrong.
pub(super) fn flip(frame: &mut [u8], at: f64) {
    let Some(payload) = frame.get_mut(HEADER..).filter(|payload| !payload.is_empty()) else {
        return;
    };
    let bit = ((payload.len() * 8) as f64 * at) as usize;
    if let Some(byte) = payload.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_flip_changes_one_bit_behind_the_header(
            mut frame in prop::collection::vec(any::<u8>(), 15..200), at in 0.0..1.0_f64,
        ) {
            let before = frame.clone();
            flip(&mut frame, at);
            let bits: u32 = frame.iter().zip(&before).map(|(a, b)| (a ^ b).count_ones()).sum();
            prop_assert_eq!(bits, 1);
            prop_assert_eq!(&frame[..HEADER], &before[..HEADER]);
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(mut bytes: Vec<u8>, at in 0.0..1.0_f64) {
            let _ = (destination(&bytes), sender(&bytes));
            flip(&mut bytes, at);
        }
    }
}
