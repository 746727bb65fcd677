//! The nearest known name.

/// The longest list of names that is shown beside a suggestion.
const LIST_MAX: usize = 200;

/// The remedy for an unknown name: the nearest known one if one is near, and what is known.
pub fn remedy<S: AsRef<str>>(found: &str, known: &[S]) -> Option<String> {
    if known.is_empty() {
        return None;
    }
    let list = known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    Some(match nearest(found, known) {
        // A list that nobody reads to its end hides the one name that matters.
        Some(near) if list.len() > LIST_MAX => {
            format!("did you mean `{near}`? it is one of {} known names", known.len())
        }
        Some(near) => format!("did you mean `{near}`? known: {list}"),
        None => format!("known: {list}"),
    })
}

fn nearest<'a, S: AsRef<str>>(found: &str, known: &'a [S]) -> Option<&'a str> {
    // Names that are longer than any known one could be are not worth the quadratic comparison.
    if found.len() > 64 {
        return None;
    }
    let found = found.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&found, name.as_ref()), name.as_ref()))
        .filter(|(distance, name)| *distance <= 1.max(name.len().max(found.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name_and_another_word_does_not() {
        let known = ["latency", "jitter", "direction"];
        assert_eq!(nearest("jiter", &known), Some("jitter"));
        assert_eq!(nearest("Latancy", &known), Some("latency"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(remedy("x", &[] as &[&str]), None);
    }
}
