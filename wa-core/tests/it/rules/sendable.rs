//! One check for what a transport can send.

use wa_core::model::{
    Bsuid, Category, Content, ContentKind, ContentKinds, Phone, Reaction, Recipient, SkipReason,
    TemplateContent,
};
use wa_core::port::Capabilities;
use wa_core::rules::sendable::{Quote, unsendable};

fn phone() -> Recipient {
    Phone::try_from(4_915_100_000_001).expect("a phone").into()
}

fn user() -> Recipient {
    "US.13491208655302741918".parse::<Bsuid>().expect("a user id").into()
}

fn template(category: Category) -> Content {
    let (name, language) = ("code".parse().expect("a name"), "en_US".parse().expect("a language"));
    TemplateContent::with_body(name, language, category, []).expect("a template").into()
}

#[test]
fn what_is_not_in_the_set_is_unsupported() {
    let text = Content::text("hi").expect("a text");
    for kind in ContentKind::ALL {
        let can = Capabilities { content: ContentKinds::of(&[*kind]), ..Capabilities::ALL };
        let fits = *kind == ContentKind::Text;
        let expected = (!fits).then_some(SkipReason::Unsupported);
        assert_eq!(unsendable(&text, &phone(), Quote::Plain, &can), expected, "{kind}");
    }
}

#[test]
fn a_quote_needs_a_transport_that_shows_it_and_content_that_may_have_one() {
    let text = Content::text("hi").expect("a text");
    let reaction = Content::from(Reaction::remove("wamid.1".parse().expect("an id")));
    let mute = Capabilities { quotes: false, ..Capabilities::ALL };
    for (content, quote, can, expected) in [
        (&text, Quote::Quotes, Capabilities::ALL, None),
        (&text, Quote::Quotes, mute, Some(SkipReason::Unsupported)),
        (&text, Quote::Plain, mute, None),
        (&reaction, Quote::Quotes, Capabilities::ALL, Some(SkipReason::Unsupported)),
        (&reaction, Quote::Plain, mute, None),
    ] {
        assert_eq!(unsendable(content, &phone(), quote, &can), expected, "{content:?} {quote:?}");
    }
}

#[test]
fn a_one_time_code_to_a_user_id_needs_a_phone_unless_the_transport_says_otherwise() {
    let strict = Capabilities { codes_to_user_ids: false, ..Capabilities::ALL };
    let both = Recipient::new(phone().phone(), user().bsuid().cloned()).expect("two addresses");
    for (category, to, can, expected) in [
        (Category::Authentication, user(), strict, Some(SkipReason::NeedsPhone)),
        (Category::Authentication, user(), Capabilities::ALL, None),
        (Category::Authentication, phone(), strict, None),
        (Category::Authentication, both, strict, None),
        (Category::Utility, user(), strict, None),
        (Category::Marketing, user(), strict, None),
    ] {
        let found = unsendable(&template(category), &to, Quote::Plain, &can);
        assert_eq!(found, expected, "{category:?} {to:?}");
    }
}
