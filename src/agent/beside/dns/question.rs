//! What becomes of a message to a resolver: the name that it asks for decides; and what the agent's answers say.
//!
//! Invariant: whatever the bytes are, there is a fate; what is no plain question is for the resolver to judge.

use std::net::IpAddr;

use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::message_builder::{AnswerBuilder, MessageBuilder, PushError};
use domain::base::{Message, Question, ToName, Ttl};
use domain::rdata::{A, Aaaa};

use crate::condition::{Dns, Resolution};

/// How long a wrong address may be remembered: hardly beyond the heal.
const WRONG_FOR: Ttl = Ttl::from_secs(1);
/// The longest message over UDP that fits any network, as resolvers say it since the DNS flag day of 2020.
const DATAGRAM: u16 = 1232;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes to the resolver as it is.
    Forward,
    /// It is never answered.
    Silence,
    /// This is answered in the resolver's place.
    Answer(Vec<u8>),
}

/// The fate of a message to a resolver.
pub(super) fn fate(message: &[u8], dns: &Dns) -> Fate {
    struck(message, dns).unwrap_or(Fate::Forward)
}

fn struck(bytes: &[u8], dns: &Dns) -> Option<Fate> {
    if dns.is_healthy() {
        return None;
    }
    let message = Message::from_slice(bytes).ok()?;
    let header = message.header();
    if header.qr() || header.opcode() != Opcode::QUERY {
        return None;
    }
    let question = message.sole_question().ok()?;
    let name = question.qname().to_string();
    let answered = match dns.resolution(name.trim_end_matches('.'))? {
        Resolution::Silence => return Some(Fate::Silence),
        Resolution::Error => answer(message, Rcode::SERVFAIL, |_| Ok(())),
        Resolution::Wrong(address) => answer(message, Rcode::NOERROR, |m| match address {
            IpAddr::V4(v4) if question.qtype() == Rtype::A => {
                m.push((question.qname(), question.qclass(), WRONG_FOR, A::new(v4)))
            }
            IpAddr::V6(v6) if question.qtype() == Rtype::AAAA => {
                m.push((question.qname(), question.qclass(), WRONG_FOR, Aaaa::new(v6)))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
        }),
    };
    answered.ok().map(Fate::Answer)
}

/// An answer to a message; one that speaks EDNS is answered so (RFC 6891, section 6.1.1).
fn answer(
    to: &Message<[u8]>,
    code: Rcode,
    fill: impl FnOnce(&mut AnswerBuilder<Vec<u8>>) -> Result<(), PushError>,
) -> Result<Vec<u8>, PushError> {
    let mut answer = MessageBuilder::new_vec().start_answer(to, code)?;
    answer.header_mut().set_ra(true);
    fill(&mut answer)?;
    let mut rest = answer.additional();
    if to.opt().is_some() {
        rest.opt(|opt| {
            opt.set_udp_payload_size(DATAGRAM);
            Ok(())
        })?;
    }
    Ok(rest.finish())
}

/// A question for the addresses of one family.
pub(super) fn ask(id: u16, name: &impl ToName, kind: Rtype) -> Option<Vec<u8>> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut question = message.question();
    question.push(Question::new_in(name, kind)).ok()?;
    Some(question.finish())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use domain::base::Name;
    use domain::rdata::AllRecordData;
    use proptest::prelude::*;

    use super::*;

    fn dns(resolution: Resolution) -> Dns {
        Dns { names: [("*.example.com".parse().unwrap(), resolution)].into() }
    }

    fn asked(name: &str, kind: Rtype) -> Vec<u8> {
        ask(7, &Name::vec_from_str(name).unwrap(), kind).unwrap()
    }

    fn answered(question: &[u8], resolution: Resolution) -> Message<Vec<u8>> {
        match fate(question, &dns(resolution)) {
            Fate::Answer(bytes) => Message::from_octets(bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn addresses(message: &Message<Vec<u8>>) -> Vec<String> {
        let records = message.answer().unwrap().limit_to::<AllRecordData<_, _>>();
        records.map(|record| record.unwrap().data().to_string()).collect()
    }

    #[test]
    fn an_error_repeats_the_question_as_it_was_asked() {
        let question = asked("Db.EXAMPLE.com", Rtype::A);
        let answer = answered(&question, Resolution::Error);
        let header = answer.header();
        assert!(header.qr() && header.rd() && header.ra() && !header.tc());
        assert_eq!((header.id(), header.rcode()), (7, Rcode::SERVFAIL));
        // All behind the header: name, case and all.
        assert_eq!(answer.as_slice()[12..], question[12..]);
        assert!(answer.is_answer(&Message::from_octets(question).unwrap()));
    }

    #[test]
    fn a_wrong_address_is_the_only_thing_that_a_name_has() {
        let v4 = Resolution::Wrong(Ipv4Addr::new(10, 6, 6, 6).into());
        let v6 = Resolution::Wrong(Ipv6Addr::LOCALHOST.into());
        for (resolution, kind, has) in [
            (v4, Rtype::A, vec!["10.6.6.6"]),
            (v4, Rtype::AAAA, vec![]),
            (v4, Rtype::HTTPS, vec![]),
            (v6, Rtype::A, vec![]),
            (v6, Rtype::AAAA, vec!["::1"]),
            (v6, Rtype::from_int(65_000), vec![]),
        ] {
            let answer = answered(&asked("db.example.com", kind), resolution);
            assert_eq!(answer.header().rcode(), Rcode::NOERROR);
            assert_eq!(addresses(&answer), has, "{resolution:?} {kind}");
        }
    }

    #[test]
    fn who_speaks_edns_is_answered_so() {
        let mut with = MessageBuilder::new_vec().question();
        let name = Name::vec_from_str("db.example.com").unwrap();
        with.push(Question::new_in(name, Rtype::A)).unwrap();
        let mut with = with.additional();
        with.opt(|opt| {
            opt.set_udp_payload_size(4096);
            Ok(())
        })
        .unwrap();
        let with = with.finish();
        assert!(answered(&with, Resolution::Error).opt().is_some());
        let without = asked("db.example.com", Rtype::A);
        assert!(answered(&without, Resolution::Error).opt().is_none());
    }

    #[test]
    fn silence_is_silence() {
        let question = asked("a.b.example.com", Rtype::A);
        assert_eq!(fate(&question, &dns(Resolution::Silence)), Fate::Silence);
    }

    #[test]
    fn what_suffers_nothing_is_forwarded() {
        let held = dns(Resolution::Silence);
        assert_eq!(fate(&asked("example.com", Rtype::A), &held), Fate::Forward);
        assert_eq!(fate(&asked("db.example.com", Rtype::A), &Dns::default()), Fate::Forward);
        let mut answer = asked("db.example.com", Rtype::A);
        answer[2] |= 0x80;
        assert_eq!(fate(&answer, &held), Fate::Forward);
        let mut notify = asked("db.example.com", Rtype::A);
        notify[2] |= 4 << 3;
        assert_eq!(fate(&notify, &held), Fate::Forward);
        let mut two = asked("db.example.com", Rtype::A);
        two[5] = 2;
        assert_eq!(fate(&two, &held), Fate::Forward);
    }

    #[test]
    fn a_question_counts_whatever_follows_it() {
        let mut question = asked("db.example.com", Rtype::A);
        question[11] = 1; // an additional record that is not there
        assert_eq!(fate(&question, &dns(Resolution::Silence)), Fate::Silence);
        assert!(matches!(fate(&question, &dns(Resolution::Error)), Fate::Answer(_)));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_there_is_a_fate(
            mut bytes in prop::collection::vec(any::<u8>(), 0..80), plain: bool,
        ) {
            // Random headers are rarely a question's.
            if let (true, Some(header)) = (plain, bytes.get_mut(2..12)) {
                header.copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
            }
            let all = Dns { names: [("*".parse().unwrap(), Resolution::Error)].into() };
            let struck = fate(&bytes, &all);
            prop_assert!(struck != Fate::Silence);
            if let Fate::Answer(answer) = struck {
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert!(answer.len() <= bytes.len() + 256 + 11);
            }
        }
    }
}
