//! Who is who: the names of the simulated people, and what they want.

use std::collections::{HashMap, HashSet};

use super::clock::Micros;

/// All people of whom something is known.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// Business-scoped user id to the person's key: the phone where one is known.
    keys: HashMap<String, String>,
    opted_out: HashSet<String>,
    /// Since when the webhook receiver knows of a stop.
    told: HashMap<String, Micros>,
    /// Phone numbers that their users have left.
    left: HashSet<String>,
}

impl People {
    pub(crate) fn new(keys: HashMap<String, String>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// The person's key: all meters and windows go by it.
    pub(crate) fn key<'a>(&'a self, name: &'a str) -> &'a str {
        self.keys.get(name).map_or(name, String::as_str)
    }

    /// Two names are one person. Returns the key that is no longer one, if there was another.
    pub(crate) fn meet(&mut self, user_id: &str, person: &str) -> Option<String> {
        let key = self.key(person).to_owned();
        let before = self.keys.insert(user_id.to_owned(), key.clone()).unwrap_or_else(|| user_id.to_owned());
        if before == key {
            return None;
        }
        for other in self.keys.values_mut().filter(|other| **other == before) {
            other.clone_from(&key);
        }
        self.copy_wishes(&before, &key);
        Some(before)
    }

    /// A user has another phone number; the old one reaches nobody. What the user wants goes along.
    pub(crate) fn move_on(&mut self, from: &str, to: &str) {
        self.copy_wishes(from, to);
        // The ids of before stay with the old number: a new number has a new id.
        self.left.insert(from.to_owned());
        self.left.remove(to);
    }

    pub(crate) fn has_left(&self, key: &str) -> bool {
        self.left.contains(key)
    }

    pub(crate) fn prefer(&mut self, name: &str, stop: bool) {
        let key = self.key(name).to_owned();
        if stop {
            self.opted_out.insert(key);
        } else {
            self.opted_out.remove(&key);
        }
    }

    pub(crate) fn has_opted_out(&self, key: &str) -> bool {
        self.opted_out.contains(key)
    }

    /// The receiver has learned what the user wants.
    pub(crate) fn tell(&mut self, name: &str, stop: bool, at: Micros) {
        let key = self.key(name).to_owned();
        if stop {
            self.told.entry(key).or_insert(at);
        } else {
            self.told.remove(&key);
        }
    }

    /// Since when the receiver knows of the user's stop.
    pub(crate) fn told_at(&self, key: &str) -> Option<Micros> {
        self.told.get(key).copied()
    }

    fn copy_wishes(&mut self, from: &str, to: &str) {
        if self.opted_out.contains(from) {
            self.opted_out.insert(to.to_owned());
        }
        if let Some(at) = self.told.get(from).copied() {
            self.told.entry(to.to_owned()).or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_ids_leads_to_one_key() {
        let mut people = People::default();
        assert_eq!(people.meet("US.2", "US.1").as_deref(), Some("US.2"));
        assert_eq!(people.key("US.2"), "US.1");
        people.prefer("US.2", true);
        assert_eq!(people.meet("US.1", "15551234567").as_deref(), Some("US.1"));
        assert_eq!((people.key("US.1"), people.key("US.2")), ("15551234567", "15551234567"));
        assert!(people.has_opted_out("15551234567"));
        assert_eq!(people.meet("US.2", "15551234567"), None);
    }

    #[test]
    fn a_stop_goes_along_to_the_new_number() {
        let mut people = People::default();
        people.prefer("15551234567", true);
        people.tell("15551234567", true, 7);
        people.move_on("15551234567", "15557654321");
        assert!(people.has_left("15551234567") && !people.has_left("15557654321"));
        assert_eq!((people.has_opted_out("15557654321"), people.told_at("15557654321")), (true, Some(7)));
        people.prefer("15557654321", false);
        people.tell("15557654321", false, 9);
        assert_eq!((people.has_opted_out("15557654321"), people.told_at("15557654321")), (false, None));
    }
}
