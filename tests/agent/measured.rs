//! What shaping comes to, held against what was asked: times never below it, shares on both sides of it, rates never
//! above it. The figures are printed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use firedrill::condition::Link;
use firedrill::quantity::{Bandwidth, Ratio, Span};

use crate::lab::*;

/// How many datagrams are sent before those that have come are counted: as many as a socket holds.
const BATCH: u32 = 50;
/// How long each is: so that hardly any bit of its frame is one that nobody looks at.
const LENGTH: usize = 500;

/// Sends numbered datagrams, and says how often each came, until nothing more comes.
fn arrivals(near: &UdpSocket, far: &UdpSocket, count: u32) -> BTreeMap<u32, u32> {
    let mut came = BTreeMap::new();
    let mut hear = |patience| {
        far.set_read_timeout(Some(patience)).unwrap();
        let mut bytes = [0; LENGTH];
        while far.hear(&mut bytes).is_ok() {
            let number = bytes[..4].try_into().map(u32::from_be_bytes);
            *came.entry(number.unwrap()).or_default() += 1;
        }
    };
    for number in 0..count {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        near.send(&bytes).unwrap();
        if (number + 1) % BATCH == 0 {
            hear(Duration::from_millis(10));
        }
    }
    hear(Duration::from_secs(2));
    came
}

/// That a share of `count` is what was asked, within six standard deviations. In bursts chance varies more.
#[track_caller]
fn assert_share(found: usize, count: u32, asked: f64, correlation: f64, what: &str) {
    let (n, found) = (f64::from(count), found as f64);
    let bursts = ((1.0 + correlation) / (1.0 - correlation)).sqrt();
    let slack = 6.0 * (n * asked * (1.0 - asked)).sqrt() * bursts + 1.0;
    println!("{what}: asked {asked} (correlation {correlation}), measured {:.4}", found / n);
    assert!((found - n * asked).abs() < slack, "{what}: {found} of {n}, asked {asked}");
}

#[test]
fn latency_is_what_is_asked() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    for asked in [10, 50, 200] {
        let asked = Span::millis(asked);
        agent.hold(&shaped(Link { latency: asked, ..Link::default() }));
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut took: Vec<Duration> = (0..15)
            .map(|_| {
                let sent = Instant::now();
                near.send(b"x").unwrap();
                far.hear(&mut [0; 8]).unwrap();
                sent.elapsed()
            })
            .collect();
        took.sort_unstable();
        println!(
            "latency: asked {asked}, measured {:?} to {:?}, median {:?}",
            took[0], took[14], took[7]
        );
        assert!(took[0] >= asked.0, "{took:?}");
        // Later by as much as a machine that emulates another may be, and no more.
        assert!(took[7] < asked.0 + Duration::from_millis(100), "{took:?}");
    }
}

#[test]
fn jitter_spreads_to_both_sides() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let (latency, jitter) = (Span::millis(100), Span::millis(80));
    agent.hold(&shaped(Link { latency, jitter, ..Link::default() }));
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let took: Vec<Duration> = (0..40)
        .map(|_| {
            let sent = Instant::now();
            near.send(b"x").unwrap();
            far.hear(&mut [0; 8]).unwrap();
            sent.elapsed()
        })
        .collect();
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    println!("jitter: asked 100 ms +- 80 ms, measured {least:?} to {most:?}");
    assert!(*least >= Duration::from_millis(20), "{took:?}");
    // That none of 40 comes early is a chance of one in a million.
    assert!(*least < Duration::from_millis(75) && *most > Duration::from_millis(125), "{took:?}");
}

#[test]
fn loss_is_what_is_asked() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let count = 4000;
    for (asked, correlation) in [(0.01, 0.0), (0.1, 0.0), (0.3, 0.0), (0.1, 0.5), (0.3, 0.5)] {
        let (loss, bursts) = (Ratio::new(asked), Ratio::new(correlation));
        let latency = Span::millis(1);
        agent.hold(&shaped(Link { latency, loss, correlation: bursts, ..Link::default() }));
        let came = arrivals(&near, &far, count);
        let lost: Vec<u32> = (0..count).filter(|number| !came.contains_key(number)).collect();
        assert_share(lost.len(), count, asked, correlation, "loss");
        assert!(came.values().all(|times| *times == 1), "some came twice");
        // How often the one behind a lost one is lost, too.
        let again = lost.windows(2).filter(|w| w[0] + 1 == w[1]).count();
        let expected = correlation + (1.0 - correlation) * asked;
        if asked > 0.05 {
            assert_share(again, lost.len() as u32, expected, correlation, "loss after a loss");
        }
    }
    let (loss, latency) = (Ratio::new(1.0), Span::millis(1));
    let (duplicate, correlation) = (Ratio::new(0.9), Ratio::new(0.5));
    agent.hold(&shaped(Link { loss, latency, duplicate, correlation, ..Link::default() }));
    assert_eq!(arrivals(&near, &far, 200).len(), 0, "a certain loss");
}

#[test]
fn duplicates_corruption_and_overtaking_are_what_is_asked() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let count = 3000;
    for correlation in [0.0, 0.5] {
        let (asked, bursts) = (0.3, Ratio::new(correlation));
        let share = Ratio::new(asked);
        let kind = Link { latency: Span::millis(1), correlation: bursts, ..Link::default() };
        agent.hold(&shaped(Link { duplicate: share, ..kind }));
        let came = arrivals(&near, &far, count);
        assert_eq!(came.len(), count as usize, "some are lost");
        let twice = came.values().filter(|times| **times == 2).count();
        assert_share(twice, count, asked, correlation, "duplicates");
        agent.hold(&shaped(Link { corrupt: share, ..kind }));
        // One bit flipped is a checksum that does not fit, but for a bit that none covers.
        let came = arrivals(&near, &far, count).len();
        assert_share(count as usize - came, count, asked, correlation, "corruption");
        // So late that all others are ahead, and few enough to wait all at once.
        let (latency, count) = (Span::secs(2), 250_u32);
        agent.hold(&shaped(Link { reorder: share, latency, ..kind }));
        (0..count).for_each(|n| assert_eq!(near.send(&n.to_be_bytes()).unwrap(), 4));
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let order: Vec<u32> = (0..count)
            .map(|_| {
                let mut bytes = [0; 4];
                far.hear(&mut bytes).unwrap();
                u32::from_be_bytes(bytes)
            })
            .collect();
        let behind = order.iter().rev().zip(order.iter().rev().skip(1));
        let late = 1 + behind.take_while(|(after, before)| before < after).count();
        assert_share(count as usize - late, count, asked, correlation, "overtaking");
    }
    // Of both, each has its share: a duplicate does not make up for a loss.
    let (loss, duplicate) = (Ratio::new(0.5), Ratio::new(0.5));
    let latency = Span::millis(1);
    agent.hold(&shaped(Link { loss, duplicate, latency, ..Link::default() }));
    let came = arrivals(&near, &far, count);
    assert_share(count as usize - came.len(), count, 0.5, 0.0, "loss beside duplicates");
    let twice = came.values().filter(|times| **times == 2).count();
    assert_share(twice, came.len() as u32, 0.5, 0.0, "duplicates beside loss");
}

#[test]
fn bandwidth_is_what_is_asked() {
    let Some((lab, mut agent)) = shaping() else { return };
    for (mbit, bytes) in [(1, 200_000), (10, 1_500_000)] {
        let (mut near, mut far) = lab.connect(&lab.listener(FAR[0])).unwrap();
        let bandwidth = Some(Bandwidth::bits(mbit * 1_000_000));
        agent.hold(&shaped(Link { bandwidth, ..Link::default() }));
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| near.write_all(&vec![7; bytes]).unwrap());
            far.read_exact(&mut vec![0; bytes]).unwrap();
        });
        let took = began.elapsed().as_secs_f64();
        let rate = bytes as f64 * 8.0 / 1e6 / took;
        println!("bandwidth: asked {mbit} Mbit/s, measured {rate:.2}");
        assert!(rate <= mbit as f64, "{rate} of {mbit}");
        // A machine that emulates another may be busy.
        assert!(rate > mbit as f64 * 0.2, "{rate} of {mbit}");
        agent.hold(&[]);
    }
}

#[test]
fn a_limit_makes_wait_for_a_quarter_of_a_second_and_loses_the_rest() {
    let Some((lab, mut agent)) = shaping() else { return };
    let (near, far) = lab.udp_pair(0);
    let mbit = 1;
    let bandwidth = Some(Bandwidth::bits(mbit * 1_000_000));
    // What is spared the added time is not spared the limit.
    for reorder in [0.0, 0.5] {
        agent.hold(&shaped(Link { bandwidth, reorder: Ratio::new(reorder), ..Link::default() }));
        // Some times as much as passes, even where a machine that emulates another is slow to send it.
        let (sent, frame) = (800, [7; 1400]);
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let (came, over) = std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..sent {
                    assert_eq!(near.send(&frame).unwrap(), frame.len());
                    if n % 5 == 0 {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
            let mut came = vec![];
            while far.hear(&mut [0; 1500]).is_ok() {
                came.push(Instant::now());
                far.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            }
            (came.len(), *came.last().unwrap() - came[0])
        });
        let rate = (came - 1) as f64 * (frame.len() + 42) as f64 * 8.0 / 1e6 / over.as_secs_f64();
        println!(
            "limit: {came} of {sent} found room (reorder {reorder}), {rate:.2} of {mbit} Mbit/s"
        );
        assert!(rate < mbit as f64 * 1.4, "{rate}");
        assert!(came > 40 && came < sent * 9 / 10, "{came}");
    }
}
