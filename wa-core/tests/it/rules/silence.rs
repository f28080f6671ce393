//! What counts as silence, and when a number counts as deaf.

use wa_core::model::{Fact, RejectClass};
use wa_core::rules::silence::{Ear, Heard, hear};

use super::{only, refused};

#[test]
fn only_what_was_taken_and_never_heard_of_is_silent() {
    assert_eq!(hear(&only(Fact::Accepted)), Heard::Silence);
    for status in [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed] {
        assert_eq!(hear(&only(status)), Heard::Status);
    }
    for unknown in [only(Fact::InDoubt), only(Fact::NotSent), refused(RejectClass::Retry)] {
        assert_eq!(hear(&unknown), Heard::Nothing);
    }
}

#[test]
fn a_number_becomes_deaf_once_until_it_is_heard_of() {
    let mut ear = Ear::default();
    let mut listen = |heard| ear.listen(heard, 3);
    assert!(!listen(Heard::Silence) && !listen(Heard::Nothing) && !listen(Heard::Silence));
    assert!(listen(Heard::Silence), "the third in a row");
    assert!(!listen(Heard::Silence), "told once");
    assert!(!listen(Heard::Status));
    assert!(!listen(Heard::Silence) && !listen(Heard::Silence));
    assert!(listen(Heard::Silence), "and again after it was heard of");
    let mut off = Ear::default();
    assert!((0..1_000).all(|_| !off.listen(Heard::Silence, 0)));
}
