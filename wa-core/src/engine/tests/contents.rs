//! What a transport cannot send is left out before it begins; what it can arrives whole.

use std::time::Duration;

use futures::executor::block_on;

use super::stage::Stage;
use crate::model::*;
use crate::port::Capabilities;
use crate::service::{EngineConfig, KitError, Message};

fn stage(can: Capabilities) -> Stage {
    let stage = Stage::new(80, EngineConfig::default());
    stage.transport.set_capabilities(can);
    stage
}

fn quoted() -> ProviderMessageId {
    "wamid.HBgLMTU1NTAwMDAwMDE=".parse().expect("an id")
}

fn template(category: Category) -> Content {
    let (name, language) = ("notice".parse().expect("a name"), "en_US".parse().expect("a language"));
    Content::Template(TemplateContent::with_body(name, language, category, []).expect("a template"))
}

/// Why a message was skipped; `None` when it was sent.
fn skipped(stage: &mut Stage, message: Message) -> Option<SkipReason> {
    let before = stage.transport.sent().len();
    let id = stage.send(message);
    stage.wake();
    stage.run_for(Duration::from_secs(1));
    let view = stage.view(id);
    let sent = stage.transport.sent().len() - before;
    assert_eq!(sent, view.attempts.len(), "{view:?}");
    assert_eq!(sent == 0, view.skipped.is_some(), "{view:?}");
    view.skipped
}

#[test]
fn a_kind_that_the_transport_does_not_send_is_skipped_before_it_begins() {
    let templates = ContentKinds::of(&[ContentKind::Template]);
    let mut stage = stage(Capabilities { content: templates, ..Capabilities::ALL });
    let place = Location::new("52.5", "13.4").expect("a place");
    let message =
        Message::new(stage.session, Phone::try_from(4_915_100_000_001).expect("a phone"), place.into());
    assert_eq!(skipped(&mut stage, message), Some(SkipReason::Unsupported));
    let single = stage.single(4_915_100_000_002);
    assert_eq!(skipped(&mut stage, single), None);
}

#[test]
fn a_quote_arrives_with_its_message_or_the_message_is_skipped() {
    let mut can = stage(Capabilities::ALL);
    let reply = can.single(4_915_100_000_001).reply_to(quoted());
    assert_eq!(skipped(&mut can, reply), None);
    assert_eq!(can.transport.sent()[0].reply_to, Some(quoted()));
    let plain = can.single(4_915_100_000_002);
    assert_eq!(skipped(&mut can, plain), None);
    assert_eq!(can.transport.sent()[1].reply_to, None);

    let mut cannot = stage(Capabilities { quotes: false, ..Capabilities::ALL });
    let reply = cannot.single(4_915_100_000_001).reply_to(quoted());
    assert_eq!(skipped(&mut cannot, reply), Some(SkipReason::Unsupported));
}

#[test]
fn a_fallback_quotes_nothing() {
    let mut stage = stage(Capabilities::ALL);
    let settings = TenantSettings { outside_window: OutsideWindow::Fallback, ..TenantSettings::default() };
    block_on(stage.tenant.put_settings(&settings)).expect("settings");
    let Content::Template(reminder) = template(Category::Utility) else { unreachable!("it is a template") };
    let to = Phone::try_from(4_915_100_000_001).expect("a phone");
    let hello = Content::text("Hello!").expect("a text");
    let reply = Message::new(stage.session, to, hello).reply_to(quoted()).fallback(reminder);
    assert_eq!(skipped(&mut stage, reply), None);
    let sent = &stage.transport.sent()[0];
    assert_eq!((sent.content.kind(), &sent.reply_to), (ContentKind::Template, &None));
}

#[test]
fn a_one_time_code_needs_a_phone_number_where_the_provider_says_so() {
    let bsuid: Bsuid = "US.13491208655302741918".parse().expect("a user id");
    let to = |stage: &Stage, category| Message::new(stage.session, bsuid.clone(), template(category));
    let mut stage = stage(Capabilities { codes_to_user_ids: false, ..Capabilities::ALL });
    let code = to(&stage, Category::Authentication);
    assert_eq!(skipped(&mut stage, code), Some(SkipReason::NeedsPhone));
    let notice = to(&stage, Category::Utility);
    assert_eq!(skipped(&mut stage, notice), None);
    let phone = Phone::try_from(4_915_100_000_001).expect("a phone");
    let code = Message::new(stage.session, phone, template(Category::Authentication));
    assert_eq!(skipped(&mut stage, code), None);
}

#[test]
fn a_reaction_that_quotes_is_refused_when_it_is_handed_in() {
    let stage = stage(Capabilities::ALL);
    let phone = Phone::try_from(4_915_100_000_001).expect("a phone");
    let reaction = Reaction::set(quoted(), "👍").expect("a reaction");
    let message = Message::new(stage.session, phone, reaction.into());
    let refused = block_on(stage.tenant.messages().send(message.clone().reply_to(quoted())));
    assert!(matches!(refused, Err(KitError::Content(ContentError::ReactionQuotes))), "{refused:?}");
    assert!(block_on(stage.tenant.messages().send(message)).is_ok());
}

#[test]
fn a_free_form_campaign_is_judged_by_its_windows() {
    let mut stage = stage(Capabilities::ALL);
    let image = Media::new(MediaKind::Image, MediaRef::link("https://example.org/{{name}}.jpg"));
    let image = image.and_then(|image| image.with_caption("For {{name}}")).expect("an image");
    let pattern = CampaignContent::new(image.into());
    let campaign = stage.launch("pictures", stage.session, 3, |spec| spec.content = pattern.clone());
    stage.wake();
    stage.run_for(Duration::from_secs(2));
    let counts = stage.counts(campaign);
    assert_eq!(counts.reasons.get("skipped:window_closed"), Some(&3), "{counts:?}");
}
