use super::*;

/// A template that nothing is known against.
const GOOD: &str = r#"{
    "name": "seasonal_promotion", "language": "en_US", "category": "MARKETING",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Our {{1}} is on!", "example": {"header_text": ["Summer Sale"]}},
        {"type": "BODY", "text": "Shop now through {{1}} and use code {{2}} to get {{3}} off of all of our merchandise.",
         "example": {"body_text": [["the end of August", "25OFF", "25%"]]}},
        {"type": "FOOTER", "text": "Use the buttons below to manage your marketing subscriptions"},
        {"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Unsubscribe from Promos"},
            {"type": "QUICK_REPLY", "text": "Unsubscribe from All"},
            {"type": "URL", "text": "Shop", "url": "https://www.luckyshrub.com/shop?promo={{1}}", "example": ["summer2023"]},
            {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "15550051310"},
            {"type": "COPY_CODE", "example": "250FF"}
        ]}
    ]
}"#;

fn template() -> TemplateDefinition {
    serde_json::from_str(GOOD).expect("a definition")
}

fn found(template: &TemplateDefinition) -> Vec<(String, Issue)> {
    lint(template).into_iter().map(|Finding { place, issue }| (place, issue)).collect()
}

/// What is found in a template whose only change is this component.
fn with(component: ComponentDefinition) -> Vec<(String, Issue)> {
    let mut template = template();
    let place = match &component {
        ComponentDefinition::Header { .. } => 0,
        ComponentDefinition::Body { .. } => 1,
        ComponentDefinition::Footer { .. } => 2,
        ComponentDefinition::Buttons { .. }
        | ComponentDefinition::Carousel { .. }
        | ComponentDefinition::Other => 3,
    };
    template.components[place] = component;
    found(&template)
}

fn examples(values: &[&str]) -> Examples {
    Examples { positional: values.iter().map(|it| (*it).to_owned()).collect(), ..Examples::default() }
}

fn body_with(text: &str, values: &[&str]) -> Vec<(String, Issue)> {
    with(ComponentDefinition::Body { text: Some(text.to_owned()), example: examples(values) })
}

#[track_caller]
fn one(found: Vec<(String, Issue)>, place: &str, issue: Issue) {
    assert_eq!(found, [(place.to_owned(), issue)]);
}

#[track_caller]
fn body(text: &str, values: &[&str], issue: Issue) {
    one(body_with(text, values), "body", issue);
}

fn header(text: &str) -> Vec<(String, Issue)> {
    let text = Some(text.to_owned());
    with(ComponentDefinition::Header { format: HeaderFormat::Text, text, example: examples(&["x"]) })
}

fn buttons(buttons: Vec<ButtonDefinition>) -> Vec<(String, Issue)> {
    with(ComponentDefinition::Buttons { buttons })
}

fn reply(text: &str) -> ButtonDefinition {
    ButtonDefinition::QuickReply { text: text.to_owned() }
}

fn link(url: &str, example: &[&str]) -> ButtonDefinition {
    let example = example.iter().map(|it| (*it).to_owned()).collect();
    ButtonDefinition::Url { text: "Open".to_owned(), url: url.to_owned(), example }
}

#[test]
fn nothing_is_found_in_metas_own_example() {
    assert_eq!(found(&template()), []);
}

#[test]
fn names_languages_and_categories_are_looked_at() {
    let change = |change: fn(&mut TemplateDefinition), place: &str, issue: Issue| {
        let mut template = template();
        change(&mut template);
        one(found(&template), place, issue);
    };
    change(|it| it.name = "Order Update".to_owned(), "name", Issue::Name);
    change(|it| it.name.clear(), "name", Issue::Name);
    change(|it| it.name = "x".repeat(513), "name", Issue::TooLong { chars: 513, most: 512 });
    change(|it| it.language = "english".to_owned(), "language", Issue::Language);
    change(|it| it.category = Category::Service, "category", Issue::Category);
    change(|it| drop(it.components.remove(1)), "body", Issue::Missing);
    change(
        |it| it.components.push(it.components[2].clone()),
        "footer",
        Issue::Count { count: 2, least: 0, most: 1 },
    );
    assert!(serde_json::from_str::<TemplateDefinition>(&GOOD.replace("MARKETING", "OFFERS")).is_err());
}

#[test]
fn texts_are_measured() {
    body(" ", &[], Issue::Missing);
    assert_eq!(body_with(&"ü".repeat(1_024), &[]), []);
    body(&"ü".repeat(1_025), &[], Issue::TooLong { chars: 1_025, most: 1_024 });
    assert_eq!(header(&"h".repeat(60)), []);
    one(header(&"h".repeat(61)), "header", Issue::TooLong { chars: 61, most: 60 });
    let footer = |text: &str| with(ComponentDefinition::Footer { text: Some(text.to_owned()) });
    one(footer(&"f".repeat(61)), "footer", Issue::TooLong { chars: 61, most: 60 });
    one(footer(""), "footer", Issue::Missing);
    one(footer("Hi {{1}} there"), "footer", Issue::TooManyParameters { count: 1, most: 0 });
    one(footer("two\nlines"), "footer", Issue::LineBreak);
}

#[test]
fn placeholders_are_numbered_from_one_without_a_gap() {
    let values = &["a", "b", "c"];
    body("Hi {{1}}, this one is {{3}}, and that is all of it", values, Issue::Gap { missing: 2 });
    body("Hi {{2}}, this is all of it", values, Issue::Gap { missing: 1 });
    // Their order is free, and one may stand twice.
    assert_eq!(body_with("Dear {{2}} of {{1}}, your name is really {{2}} as we all know by now", values), []);
    let malformed = |found: &str| Issue::Malformed { found: found.to_owned() };
    body("Hi {{name}}, this is all of it", values, malformed("{{name}}"));
    body("Hi {{ 1 }}, this is all of it", values, malformed("{{ 1 }}"));
    body("Hi {{0}}, this is all of it", values, malformed("{{0}}"));
    body("Hi {{1, this is all of it", values, malformed("{{"));
    body("Hi 1}}, this is all of it", values, malformed("}}"));
}

#[test]
fn named_placeholders_are_looked_at_by_name() {
    let named = |text: &str, names: &[&str]| {
        let mut template = template();
        template.parameter_format = ParameterFormat::Named;
        let named = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let example = Examples { named, ..Examples::default() };
        template.components = vec![ComponentDefinition::Body { text: Some(text.to_owned()), example }];
        found(&template)
    };
    assert_eq!(named("Dear {{first_name}}, this is all of it", &["first_name"]), []);
    let malformed = Issue::Malformed { found: "{{First}}".to_owned() };
    one(named("Dear {{First}}, this is all of it", &[]), "body", malformed);
    one(named("Dear {{1}}, this is all of it", &[]), "body", Issue::Malformed { found: "{{1}}".to_owned() });
    let no_example = Issue::NoExample { parameter: "first_name".to_owned() };
    one(named("Dear {{first_name}}, this is all of it", &[]), "body", no_example);
    let json = r#"{"body_text_named_params": [{"param_name": "{{order}}", "example": "7"}]}"#;
    let read: Examples = serde_json::from_str(json).expect("examples");
    assert_eq!(read.named["order"], "7");
}

#[test]
fn a_body_starts_and_ends_with_words() {
    body("{{1}}, this is all of it", &["a"], Issue::Leading);
    body("  {{1}}, this is all of it", &["a"], Issue::Leading);
    body("This is all of it, {{1}}", &["a"], Issue::Trailing);
    body("This is all of it, {{1}}.", &["a"], Issue::TrailingPunctuation);
    body("This is {{1}}{{2}} and all of it, really", &["a", "b"], Issue::Adjacent);
    body("This is {{1}} {{2}} and all of it, really", &["a", "b"], Issue::Adjacent);
    // A header may start and end with its placeholder.
    assert_eq!(header("{{1}}"), []);
}

#[test]
fn many_placeholders_need_many_words_and_an_example_each() {
    body("Hi {{1}} and bye now", &[], Issue::NoExample { parameter: "1".to_owned() });
    body("Hi {{1}} and bye now", &[" "], Issue::NoExample { parameter: "1".to_owned() });
    body("Hi {{1}} bye", &["a"], Issue::TooFewWords { words: 2, needed: 3 });
    let three = &["a", "b", "c"];
    assert_eq!(body_with("Dear Guest, {{1}} arriving from {{2}} departs on {{3}} today", three), []);
    let few = Issue::TooFewWords { words: 6, needed: 7 };
    body("Dear Guest, {{1}} arriving {{2}} departs on {{3}} today", three, few);
    one(header("Our {{1}} and {{2}}"), "header", Issue::TooManyParameters { count: 2, most: 1 });
}

#[test]
fn headers_are_one_plain_line_or_a_medium_with_an_example() {
    one(header("Our sale\nis on"), "header", Issue::LineBreak);
    one(header("Our sale 🎉"), "header", Issue::Emoji);
    one(header("Our *sale*"), "header", Issue::Formatting);
    let media = |format, handles: &[&str]| {
        let handles = handles.iter().map(|it| (*it).to_owned()).collect();
        let example = Examples { handles, ..Examples::default() };
        with(ComponentDefinition::Header { format, text: None, example })
    };
    one(media(HeaderFormat::Image, &[]), "header", Issue::NoMediaExample);
    assert_eq!(media(HeaderFormat::Video, &["4::aW"]), []);
    assert_eq!(media(HeaderFormat::Location, &[]), []);
    body("A body may\n\nhave breaks, 🎉 and *bold*\n\n\nbut not so many", &[], Issue::Spacing);
}

#[test]
fn buttons_are_counted_and_grouped() {
    let replies = |count: usize| (0..count).map(|it| reply(&format!("Reply {it}"))).collect::<Vec<_>>();
    assert_eq!(buttons(replies(10)), []);
    one(buttons(replies(11)), "buttons", Issue::Count { count: 11, least: 1, most: 10 });
    one(buttons(Vec::new()), "buttons", Issue::Count { count: 0, least: 1, most: 10 });
    let links = |count: usize| {
        (0..count).map(|it| ButtonDefinition::Url {
            text: format!("Open {it}"),
            url: "https://example.org".to_owned(),
            example: Vec::new(),
        })
    };
    assert_eq!(buttons(links(2).collect()), []);
    one(buttons(links(3).collect()), "buttons.url", Issue::Count { count: 3, least: 0, most: 2 });
    let call = |text: &str| ButtonDefinition::PhoneNumber {
        text: text.to_owned(),
        phone_number: "+1 555 005 1310".to_owned(),
    };
    let two = Issue::Count { count: 2, least: 0, most: 1 };
    one(buttons(vec![call("Call"), call("Ring")]), "buttons.phone_number", two.clone());
    let code = || ButtonDefinition::CopyCode { example: vec!["250FF".to_owned()] };
    one(buttons(vec![code(), code()]), "buttons.copy_code", two);
    let mixed = |order: [ButtonDefinition; 3]| buttons(order.into());
    assert_eq!(mixed([reply("A"), reply("B"), call("Call")]), []);
    assert_eq!(mixed([call("Call"), reply("A"), reply("B")]), []);
    one(mixed([reply("A"), call("Call"), reply("B")]), "buttons", Issue::Grouping);
}

#[test]
fn labels_are_short_plain_and_different() {
    assert_eq!(buttons(vec![reply(&"x".repeat(25))]), []);
    let label = |text: &str, issue: Issue| one(buttons(vec![reply(text)]), "buttons[0].text", issue);
    label(&"x".repeat(26), Issue::TooLong { chars: 26, most: 25 });
    label("", Issue::Missing);
    label("Hi {{1}}", Issue::TooManyParameters { count: 1, most: 0 });
    label("Yes 👍", Issue::Emoji);
    label("Yes\nplease", Issue::LineBreak);
    label("*Yes*", Issue::Formatting);
    one(buttons(vec![reply("A"), reply("A")]), "buttons[1].text", Issue::Repeated);
}

#[test]
fn links_phones_and_codes_are_looked_at() {
    let url = |url: &str, example: &[&str], place: &str, issue: Issue| {
        one(buttons(vec![link(url, example)]), &format!("buttons[0].{place}"), issue);
    };
    assert_eq!(buttons(vec![link("https://example.org/{{1}}", &["a"])]), []);
    url("example.org", &[], "url", Issue::NotALink);
    url("https://", &[], "url", Issue::NotALink);
    let long = format!("https://{}", "x".repeat(1_993));
    url(&long, &[], "url", Issue::TooLong { chars: 2_001, most: 2_000 });
    url("https://example.org/{{1}}", &[], "example", Issue::NoExample { parameter: "1".to_owned() });
    url("https://example.org/{{1}}/menu", &["a"], "url", Issue::LinkParameter);
    url("https://example.org/{{1}}{{2}}", &["a"], "url", Issue::LinkParameter);
    url("https://example.org/{{2}}", &["a"], "url", Issue::Malformed { found: "{{2}}".to_owned() });
    for bad in ["", "call me", "+49 1234 567890 1234 5"] {
        let phone_number = bad.to_owned();
        let call = ButtonDefinition::PhoneNumber { text: "Call".to_owned(), phone_number };
        one(buttons(vec![call]), "buttons[0].phone_number", Issue::Phone);
    }
    let code = |code: &str| buttons(vec![ButtonDefinition::CopyCode { example: vec![code.to_owned()] }]);
    one(code(""), "buttons[0].example", Issue::Missing);
    one(code(&"x".repeat(16)), "buttons[0].example", Issue::TooLong { chars: 16, most: 15 });
}

#[test]
fn one_time_codes_have_the_providers_text_and_a_button() {
    let json = r#"{"name": "code", "language": "de", "category": "authentication", "components": [
        {"type": "body", "add_security_recommendation": true},
        {"type": "footer", "code_expiration_minutes": 10},
        {"type": "buttons", "buttons": [{"type": "otp", "otp_type": "copy_code", "text": "Copy"}]}]}"#;
    let code: TemplateDefinition = serde_json::from_str(json).expect("a definition");
    assert_eq!(found(&code), []);
    let mut own = code.clone();
    own.components[0] = ComponentDefinition::Body {
        text: Some("Your code is here".to_owned()),
        example: Examples::default(),
    };
    one(found(&own), "body", Issue::NotInAuthentication);
    let mut without = code.clone();
    without.components.pop();
    one(found(&without), "buttons", Issue::NeedsCodeButton);
    let mut linked = code;
    let otp = || ButtonDefinition::Otp { text: None };
    linked.components[2] =
        ComponentDefinition::Buttons { buttons: vec![otp(), link("https://example.org", &[])] };
    one(found(&linked), "buttons[1]", Issue::NotInAuthentication);
    one(buttons(vec![otp()]), "buttons[0]", Issue::OnlyInAuthentication);
}

#[test]
fn cards_are_looked_at_like_small_templates() {
    let card = |text: &str| CardDefinition {
        components: vec![
            ComponentDefinition::Body { text: Some(text.to_owned()), example: Examples::default() },
            ComponentDefinition::Buttons { buttons: vec![reply("A")] },
        ],
    };
    let cards = |cards: Vec<CardDefinition>| with(ComponentDefinition::Carousel { cards });
    assert_eq!(cards(vec![card("One"), card("Two")]), []);
    one(cards(vec![card("One")]), "cards", Issue::Count { count: 1, least: 2, most: 10 });
    let long = Issue::TooLong { chars: 161, most: 160 };
    one(cards(vec![card("One"), card(&"x".repeat(161))]), "cards[1].body", long);
    let mut three = card("One");
    three.components[1] = ComponentDefinition::Buttons { buttons: vec![reply("A"), reply("B"), reply("C")] };
    let most = Issue::Count { count: 3, least: 1, most: 2 };
    one(cards(vec![three, card("Two")]), "cards[0].buttons", most);
}

#[test]
fn what_is_not_known_is_left_alone() {
    let json = GOOD
        .replace(r#""type": "COPY_CODE""#, r#""type": "HOLOGRAM""#)
        .replace(r#""type": "FOOTER""#, r#""type": "SOUND""#);
    let unknown: TemplateDefinition = serde_json::from_str(&json).expect("a definition");
    assert_eq!(found(&unknown), []);
}

#[test]
fn findings_say_what_to_do_and_metas_code() {
    let finding = |place: &str, issue: Issue| Finding::new(place, issue);
    for (place, issue, code, severity) in [
        ("body", Issue::TooLong { chars: 2, most: 1 }, Some(2_388_040), Severity::Error),
        ("header", Issue::Emoji, Some(2_388_047), Severity::Error),
        ("body", Issue::Gap { missing: 2 }, Some(2_388_072), Severity::Error),
        ("cards[1].body", Issue::Adjacent, Some(2_388_072), Severity::Error),
        ("footer", Issue::TooManyParameters { count: 1, most: 0 }, Some(2_388_073), Severity::Error),
        ("footer", Issue::Emoji, Some(2_388_073), Severity::Warning),
        ("body", Issue::TooFewWords { words: 1, needed: 3 }, Some(2_388_293), Severity::Warning),
        ("body", Issue::Leading, Some(2_388_299), Severity::Error),
        ("buttons", Issue::Grouping, None, Severity::Error),
    ] {
        let finding = finding(place, issue);
        assert_eq!((finding.code(), finding.severity()), (code, severity), "{finding}");
        assert!(finding.to_string().starts_with(&format!("{place}: ")), "{finding}");
    }
    let shown = finding("body", Issue::Gap { missing: 2 }).to_string();
    assert_eq!(shown, "body: {{2}} is missing; number placeholders from 1 without a gap");
}
