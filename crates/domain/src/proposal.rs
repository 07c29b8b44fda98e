//! Which mappings suggest themselves: the address that the PBX has of a user is the sign-in name of a Microsoft user.

use std::collections::HashMap;

/// A PBX user as far as a proposal looks at it, and whatever says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person<W> {
    /// Its address, in lower case.
    pub email: Option<String>,
    /// It has a mapping.
    pub mapped: bool,
    /// Who it is.
    pub who: W,
}

/// Pairs people with whoever signs in with its address. `free` are the Microsoft users that
/// can be mapped, by sign-in name in lower case.
///
/// An address that several PBX users have says of none of them who it is, so all `people` of the account have to be
/// here, also those with a mapping.
#[must_use]
pub fn propose<W, M>(people: Vec<Person<W>>, free: &HashMap<String, M>) -> Vec<(W, &M)> {
    let mut holders: HashMap<&str, u32> = HashMap::new();
    for email in people.iter().filter_map(|person| person.email.as_deref()) {
        *holders.entry(email).or_default() += 1;
    }
    let one = |person: &Person<W>| {
        let email = person.email.as_deref().filter(|_| !person.mapped)?;
        free.get(email).filter(|_| holders.get(email) == Some(&1))
    };
    let found: Vec<Option<&M>> = people.iter().map(one).collect();
    people.into_iter().zip(found).filter_map(|(person, found)| Some((person.who, found?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(who: char, email: &str, mapped: bool) -> Person<char> {
        Person { email: (!email.is_empty()).then(|| email.to_owned()), mapped, who }
    }

    #[test]
    fn an_address_that_is_a_sign_in_name_suggests_a_mapping() {
        let free = HashMap::from([("anna@a.example".to_owned(), 1), ("ben@a.example".to_owned(), 2)]);
        let people = vec![
            person('z', "", false),
            person('b', "ben@a.example", false),
            person('o', "other@a.example", false),
        ];
        assert_eq!(propose(people, &free), [('b', &2)]);
    }

    #[test]
    fn nobody_is_proposed_by_an_address_of_two() {
        let free = HashMap::from([("desk@a.example".to_owned(), 1)]);
        let people = vec![person('a', "desk@a.example", false), person('b', "desk@a.example", true)];
        assert_eq!(propose(people, &free), []);
    }

    #[test]
    fn whoever_is_mapped_needs_no_proposal() {
        let free = HashMap::from([("anna@a.example".to_owned(), 1)]);
        assert_eq!(propose(vec![person('a', "anna@a.example", true)], &free), []);
    }
}
