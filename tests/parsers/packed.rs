//! Histories packed by gzip and by Zstandard: cut, damaged, and such as unpack to far more than they are.

use std::io::Write;
use std::path::Path;

use firedrill::check::objects;
use firedrill::history::{foreign, transactions};

use crate::mutate::Chance;
use crate::reading::{Came, Way, read};
use crate::seeds::SEEDS;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 19).unwrap()
}

type Packer = fn(&[u8]) -> Vec<u8>;

const PACKERS: [Packer; 2] = [gzip, zstd];

/// Whether a text begins as what is packed does.
pub fn is(text: &[u8]) -> bool {
    text.starts_with(b"\x1f\x8b") || text.starts_with(b"\x28\xb5\x2f\xfd")
}

fn came(way: Way, path: &Path, text: &[u8]) -> Came {
    std::fs::write(path, text).unwrap();
    read(way, path)
}

#[test]
fn what_was_packed_and_cut_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    for seed in SEEDS.iter().step_by(3) {
        for packer in PACKERS {
            let packed = packer(seed.text.as_bytes());
            assert!(matches!(came(seed.way, &path, &packed), Came::Read(_)), "{}", seed.name);
            for end in (1..packed.len()).rev().step_by(7) {
                let read = matches!(came(seed.way, &path, &packed[..end]), Came::Read(_));
                assert!(!read, "{}, {end} bytes of {}", seed.name, packed.len());
            }
        }
    }
}

#[test]
fn what_was_packed_and_damaged_does_not_make_it_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    for n in 0..400 {
        let mut chance = Chance(n);
        let seed = chance.of(SEEDS);
        let mut packed = chance.of(&PACKERS)(seed.text.as_bytes());
        for _ in 0..=chance.below(3) {
            let at = chance.below(packed.len());
            packed[at] ^= 1 << chance.below(8);
        }
        if let Came::Wrong { told, .. } | Came::Unreadable(told) = came(seed.way, &path, &packed) {
            assert!(!told.chars().any(char::is_control), "case {n}: {told:?}");
        }
    }
}

/// Texts that unpack to 1.5 GiB, by packed parts one behind the other.
pub fn bombs() -> impl Iterator<Item = (&'static str, Way, Vec<u8>)> {
    let ways = [
        ("registers, JSON lines", Way::Operations(Some(foreign::Format::JsonLines))),
        ("calls", Way::Operations(Some(foreign::Format::Calls))),
        ("EDN", Way::Operations(Some(foreign::Format::Jepsen))),
        ("transactions", Way::Transactions(Some(transactions::Format::JsonLines))),
        ("intervals", Way::Object(Some(objects::Format::Intervals))),
        ("texts by key", Way::Object(Some(objects::Format::Store))),
        ("a drill", Way::Record),
    ];
    ways.into_iter().enumerate().map(|(n, (name, way))| {
        let part = PACKERS[n % 2](&vec![b' '; 1 << 24]);
        (name, way, part.repeat(96))
    })
}
