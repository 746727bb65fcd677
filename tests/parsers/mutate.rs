//! What is done to a valid text: at random from a seed, and to all seeds alike.

use crate::contradictions::HEADER;
use crate::reading::Way;

/// A small generator of numbers (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Numbers at the bounds of what types hold, and beyond; and what is nearly a number.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "255",
    "65536",
    "1048575",
    "1048576",
    "4294967295",
    "4294967296",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "-9223372036854775807",
    "-92233720368",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551614",
    "340282366920938463463374607431768211456",
    "999999999999999999",
    "-999999999999999999",
    "1e308",
    "1e309",
    "-1e308",
    "1e999999999",
    "1e-999999999",
    "1.5",
    "0x7f",
    "0x",
    "1_000",
    "NaN",
    "Infinity",
    "-",
    "+1",
    "007",
    "7N",
    "1/0",
    "١",
];

/// The least that every number is replaced by.
const BOUNDS: &[&str] = &[
    "0",
    "-1",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e308",
];

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "nil",
    "null",
    "true",
    "[]",
    "{}",
    "()",
    "#{}",
    "[[]]",
    "{:a 1}",
    "\"\"",
    ":",
    "::",
    ":invoke",
    ":ok",
    ":fail",
    ":info",
    ":process",
    ":value",
    ":type",
    ":f",
    ":index",
    ":time",
    ":key",
    ":txn",
    ":read",
    ":write",
    ":cas",
    ":add",
    "\"ok\"",
    "\"info\"",
    "\"fail\"",
    "\"t1\"",
    "#_",
    "#",
    "#inst",
    "\\",
    "\"\\",
    "\\u0000",
    "\"\\ud800\"",
    "// x",
    ";",
    "; x\n",
    "# x\n",
    "-----\n",
    "=====\n",
    "call",
    "return",
    "empty",
    "e",
    "# stack\n",
    "# set\n",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "\u{202e}",
    "\u{1b}[2J",
    "é",
    "x-9223372036854775808",
    "-9223372036854775808x",
    "\"a\nb\"",
    "\"a\\nb\"",
    "[1 2 3]",
    "[[:r 1 nil]]",
    "[\"r\",1,null]",
    ",",
    ",,",
    "}",
    "]",
    ")",
    "{",
    "[",
    "(",
    "\"",
];

const NO_UTF8: &[&[u8]] =
    &[b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"];

/// Ways to put a part in many times over.
const DEEP: &[&str] = &[
    "[", "{", "(", "#{", "\"", "#", "#_", "#_[", "#a ", "{:a ", "[[:r 1 ", "\\", "{\"a\":", "\n",
    "1", "\u{e9}", ";", ",", "#_ #_ ",
];

/// The parts of a text, by their bounds: words, numbers, and whatever else stands alone.
fn parts(text: &[u8]) -> Vec<(usize, usize)> {
    let is_word = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || byte >= 0x80
    };
    let (mut all, mut at) = (vec![], 0);
    while at < text.len() {
        let from = at;
        at += 1;
        while is_word(text[from]) && at < text.len() && is_word(text[at]) {
            at += 1;
        }
        if !text[from].is_ascii_whitespace() || text[from] == b'\n' {
            all.push((from, at));
        }
    }
    all
}

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// One to four changes of a text; `other`: another one, of which parts may be taken.
pub fn mutated(chance: &mut Chance, text: &[u8], other: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=chance.below(4) {
        text = match chance.below(16) {
            0..=3 => by_lines(chance, &text, other),
            4 | 5 => by_bytes(chance, text),
            6 => whole(chance, text),
            _ => by_parts(chance, &text, other),
        };
    }
    text
}

fn by_lines(chance: &mut Chance, text: &[u8], other: &[u8]) -> Vec<u8> {
    let mut all = lines(text);
    if all.is_empty() {
        return other.to_vec();
    }
    let (a, b) = (chance.below(all.len()), chance.below(all.len()));
    match chance.below(5) {
        0 => drop(all.remove(a)),
        1 => all.insert(b, all[a].clone()),
        2 => all.swap(a, b),
        3 => all.insert(a, chance.of(&lines(other)).clone()),
        _ => all.truncate(a),
    }
    all.concat()
}

fn by_parts(chance: &mut Chance, text: &[u8], other: &[u8]) -> Vec<u8> {
    let all = parts(text);
    if all.is_empty() {
        return other.to_vec();
    }
    let numbers: Vec<_> = all
        .iter()
        .filter(|(from, _)| text[*from].is_ascii_digit() || text[*from] == b'-')
        .collect();
    let place = match numbers.is_empty() || chance.below(2) == 0 {
        true => *chance.of(&all),
        false => **chance.of(&numbers),
    };
    let other_place = *chance.of(&all);
    let put = |(from, to): (usize, usize), part: &[u8]| [&text[..from], part, &text[to..]].concat();
    let part = |(from, to): (usize, usize)| &text[from..to];
    match chance.below(9) {
        0 => put(place, b""),
        1 => put((place.0, place.0), &[part(other_place), b" "].concat()),
        2 => put(place, part(other_place)),
        3..=5 => put(place, chance.of(NUMBERS).as_bytes()),
        6 => put(place, chance.of(WORDS).as_bytes()),
        7 => {
            let theirs = parts(other);
            let (from, to) = *chance.of(&theirs);
            put(place, &other[from..to])
        }
        _ => put((place.1, place.1), chance.of(WORDS).as_bytes()),
    }
}

fn by_bytes(chance: &mut Chance, mut text: Vec<u8>) -> Vec<u8> {
    let at = chance.below(text.len());
    match chance.below(5) {
        0 if !text.is_empty() => text[at] ^= 1 << chance.below(8),
        1 if !text.is_empty() => drop(text.remove(at)),
        2 => text.truncate(at),
        3 => drop(text.splice(at..at, chance.of(NO_UTF8).iter().copied())),
        _ => text.insert(at, chance.below(256) as u8),
    }
    text
}

fn whole(chance: &mut Chance, text: Vec<u8>) -> Vec<u8> {
    match chance.below(5) {
        0 => [b"\xef\xbb\xbf".as_slice(), &text].concat(),
        1 => lines(&text).join(b"\r".as_slice()),
        2 => text
            .iter()
            .flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] })
            .collect(),
        3 => {
            let at = chance.below(text.len());
            let many = chance.of(DEEP).repeat(1 + chance.below(2000));
            [&text[..at], many.as_bytes(), &text[at..]].concat()
        }
        _ => text.repeat(1 + chance.below(4)),
    }
}

/// Each number of a text replaced by those at the bounds of what types hold.
pub fn numbers(text: &'static [u8]) -> impl Iterator<Item = Vec<u8>> {
    let digits = |(from, to): &(usize, usize)| text[*from..*to].iter().all(u8::is_ascii_digit);
    let places: Vec<_> = parts(text).into_iter().filter(digits).collect();
    let put =
        move |(from, to), number: &str| [&text[..from], number.as_bytes(), &text[to..]].concat();
    places.into_iter().flat_map(move |place| BOUNDS.iter().map(move |number| put(place, number)))
}

/// One part 100,000 times over, at the beginning and behind some parts of a text.
pub fn shapes(text: &'static [u8]) -> impl Iterator<Item = Vec<u8>> {
    let all = parts(text);
    let places = [0, all[all.len() / 3].0, all[all.len() * 2 / 3].1];
    DEEP.iter().enumerate().map(move |(n, part)| {
        let at = places[n % places.len()];
        [&text[..at], part.repeat(100_000 / part.len().max(2)).as_bytes(), &text[at..]].concat()
    })
}

/// Many lines in pairs: in a good order, and in one for which a reader that looks through all that came before would
/// take far longer.
pub fn long() -> impl Iterator<Item = (&'static str, Way, Vec<u8>)> {
    const MANY: u32 = 80_000;
    let invoke = |id: u32| {
        format!(
            "{{\"i\":{{\"id\":{id},\"p\":{id},\"s\":0,\"t\":0,\"c\":{{\"f\":\"read\",\"key\":0}}}}}}\n"
        )
    };
    let drill = |lines: String| (HEADER.to_string() + &lines).into_bytes();
    let event =
        |kind: &str, key: u32| format!("{{:type :{kind} :process 0 :value [[:w {key} 1]]}}\n");
    let ended = |key: u32| event("invoke", key) + &event("ok", key);
    let open = (0..MANY).map(|key| event("invoke", key));
    let open: String = open.chain((0..MANY).rev().map(|key| event("ok", key))).collect();
    let jepsen = Way::Transactions(None);
    [
        ("numbers that ascend", Way::Record, drill((0..MANY).map(invoke).collect())),
        ("numbers that descend", Way::Record, drill((0..MANY).rev().map(invoke).collect())),
        ("one process, one by one", jepsen, (0..MANY).map(ended).collect::<String>().into_bytes()),
        ("one process, all at once", jepsen, open.into_bytes()),
    ]
    .into_iter()
}
