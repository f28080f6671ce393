//! Meta's own request examples, made from the model.
//!
//! Each example's message is written down here as content; what leaves must be the example, as a JSON
//! value. Not compared are the recipient, which is a placeholder in most examples, the tag, and
//! `recipient_type` and `type` where an example leaves them out as defaults.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use wa_core::model::interactive::{
    Action, Amount, Catalog, DescribedAmount, Discount, Flow, FlowMode, FlowRef, FlowStart, Goods, Header,
    ListMenu, ListRow, ListSection, Order, OrderDetails, OrderItem, OrderStatus, OrderStatusUpdate, Product,
    ProductList, ProductSection, ReplyButton,
};
use wa_core::model::{
    ButtonType, CardAddress, CardEmail, CardName, CardOrg, CardPhone, CardUrl, Category, Component,
    ContactCard, ContactCards, Content, Interactive, JsonObject, Location, Media, MediaKind, MediaRef,
    Parameter, Reaction, TemplateContent, Text,
};
use wa_core::port::Transport;
use wa_core::testing::quoting;

use super::super::support::{Behaviour, Server, answer, meta_data, permit_to, phone};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn media(kind: MediaKind, source: &str) -> Media {
    let source = if source.starts_with("https://") { MediaRef::link(source) } else { MediaRef::id(source) };
    Media::new(kind, source).expect("a medium")
}

fn captioned(kind: MediaKind, source: &str, caption: &str) -> Media {
    media(kind, source).with_caption(caption).expect("a caption")
}

fn contact() -> Content {
    let address = |street: &str, kind: &str| CardAddress {
        street: some(street),
        city: some("Menlo Park"),
        state: some("CA"),
        zip: some("94025"),
        country: some("United States"),
        country_code: some("us"),
        kind: some(kind),
    };
    let phone = |phone: &str, kind: &str, wa_id: Option<String>| CardPhone {
        phone: some(phone),
        kind: some(kind),
        wa_id,
    };
    let email = |email: &str, kind: &str| CardEmail { email: email.to_owned(), kind: some(kind) };
    let url = |url: &str, kind: &str| CardUrl { url: url.to_owned(), kind: some(kind) };
    let card = ContactCard {
        name: CardName {
            formatted_name: "John Smith".to_owned(),
            first_name: some("John"),
            last_name: some("Smith"),
            middle_name: some("D."),
            suffix: some("Jr"),
            prefix: some("Dr"),
        },
        phones: vec![
            phone("+1 (940) 555-1234", "HOME", None),
            phone("+1 (650) 555-1234", "WORK", some("16505551234")),
        ],
        emails: vec![email("test@fb.com", "WORK"), email("test@whatsapp.com", "HOME")],
        addresses: vec![address("1 Hacker Way", "HOME"), address("200 Jefferson Dr", "WORK")],
        org: Some(CardOrg { company: some("WhatsApp"), department: some("Design"), title: some("Manager") }),
        urls: vec![url("https://www.facebook.com", "WORK"), url("https://www.whatsapp.com", "HOME")],
        birthday: Some("2012-08-18".parse().expect("a day")),
    };
    ContactCards::new(vec![card]).expect("a card").into()
}

fn list() -> Content {
    let row = |section: u8, row: u8| ListRow {
        id: format!("<LIST_SECTION_{section}_ROW_{row}_ID>"),
        title: format!("<SECTION_{section}_ROW_{row}_TITLE>"),
        description: Some(format!("<SECTION_{section}_ROW_{row}_DESC>")),
    };
    let section = |place: u8| ListSection {
        title: Some(format!("<LIST_SECTION_{place}_TITLE>")),
        rows: vec![row(place, 1), row(place, 2)],
    };
    let menu = ListMenu { button: "<BUTTON_TEXT>".to_owned(), sections: vec![section(1), section(2)] };
    let message = Interactive::builder(Action::List(menu)).header(Header::text("<HEADER_TEXT>"));
    message.body("<BODY_TEXT>").footer("<FOOTER_TEXT>").build().expect("a list").into()
}

fn flow(flow: FlowRef, mode: Option<FlowMode>) -> Content {
    let hidden = "Not shown in draft mode";
    let (cta, header, body, footer) = match mode {
        Some(_) => (hidden, hidden, hidden, hidden),
        None => ("Open Flow!", "<HEADER_TEXT>", "<BODY_TEXT>", "<FOOTER_TEXT>"),
    };
    let data = JsonObject::try_from(json!({"<CUSTOM_KEY>": "<CUSTOM_VALUE>"})).expect("an object");
    let start = Some(FlowStart::Navigate { screen: some("<SCREEN_ID>"), data: Some(data) });
    let flow = Flow { flow, cta: cta.to_owned(), token: some("<FLOW_TOKEN>"), mode, start };
    let message = Interactive::builder(Action::Flow(flow)).header(Header::text(header));
    message.body(body).footer(footer).build().expect("a flow").into()
}

fn order_details() -> Content {
    let hundredths = Amount::hundredths;
    let described = |value| DescribedAmount { amount: hundredths(value), description: some("optional_text") };
    let order = Order {
        status: OrderStatus::Pending,
        catalog_id: None,
        expiration: None,
        items: vec![OrderItem {
            retailer_id: "1234567".to_owned(),
            name: "bread".to_owned(),
            amount: hundredths(1_500),
            quantity: 1,
            sale_amount: Some(hundredths(1_000)),
        }],
        subtotal: hundredths(1_000),
        tax: described(100),
        shipping: Some(described(100)),
        discount: Some(Discount {
            amount: hundredths(100),
            description: some("optional_text"),
            program_name: some("optional_text"),
        }),
    };
    let details = OrderDetails {
        reference_id: "unique-reference-id".to_owned(),
        goods: Goods::DigitalGoods,
        currency: "INR".parse().expect("a currency"),
        total: hundredths(1_100),
        order,
        payment_type: some("upi"),
        payment_configuration: some("my-payment-config-name"),
        payment_settings: Vec::new(),
    };
    let picture = "https://upload.wikimedia.org/wikipedia/commons/thumb/3/3b/\
                   Home_made_sour_dough_bread.jpg/640px-Home_made_sour_dough_bread.jpg";
    let message = Interactive::builder(Action::OrderDetails(Box::new(details)))
        .header(Header::image(MediaRef::link(picture)));
    let message = message.body("your-text-body-content").footer("your-text-footer-content");
    message.build().expect("an order").into()
}

fn interactive() -> Vec<(&'static str, Content)> {
    let built = |message: wa_core::model::interactive::InteractiveBuilder| {
        Content::from(message.build().expect("an interactive message"))
    };
    let button =
        |place| ReplyButton::new(format!("<UNIQUE_BUTTON_ID_{place}>"), format!("<BUTTON_TITLE_{place}>"));
    let catalog = Catalog { thumbnail_product_retailer_id: "2lc20305pt".to_owned() };
    let product = Product {
        catalog_id: "367025965434465".to_owned(),
        product_retailer_id: "<ID_TEST_ITEM_1>".to_owned(),
    };
    let section = |place: u8| ProductSection {
        title: Some(format!("<SECTION{place}_TITLE>")),
        products: vec![
            format!("<YOUR_PRODUCT{place}_SKU_IN_CATALOG>"),
            format!("<YOUR_SECOND_PRODUCT{place}_SKU_IN_CATALOG>"),
        ],
    };
    let products =
        ProductList { catalog_id: "146265584024623".to_owned(), sections: vec![section(1), section(2)] };
    let status = OrderStatusUpdate {
        reference_id: "unique-reference-id-from-order-details-msg".to_owned(),
        status: OrderStatus::Processing,
        description: some("optional-text"),
    };
    let (id, name) = (|| FlowRef::Id("{{Flow-ID}}".to_owned()), || FlowRef::Name("{{Flow-Name}}".to_owned()));
    vec![
        (
            "send_reply_button",
            built(Interactive::builder(Action::Buttons(vec![button(1), button(2)])).body("<BUTTON_TEXT>")),
        ),
        ("send_list_message", list()),
        (
            "send_catalog_message",
            built(
                Interactive::builder(Action::Catalog(catalog))
                    .body(
                        "Hello! Thanks for your interest. Ordering is easy. Just visit our catalog and add \
                         items to purchase.",
                    )
                    .footer("Best grocery deals on WhatsApp!"),
            ),
        ),
        (
            "send_single_product_message",
            built(
                Interactive::builder(Action::Product(product))
                    .body("<OPTIONAL_BODY_TEXT>")
                    .footer("<OPTIONAL_FOOTER_TEXT>"),
            ),
        ),
        (
            "send_multi_product_message",
            built(
                Interactive::builder(Action::ProductList(products))
                    .header(Header::text("<YOUR_TEXT_HEADER_CONTENT>"))
                    .body("<YOUR_TEXT_BODY_CONTENT>")
                    .footer("<YOUR_TEXT_FOOTER_CONTENT>"),
            ),
        ),
        ("send_order_details_message", order_details()),
        (
            "send_order_status_message",
            built(Interactive::builder(Action::OrderStatus(status)).body("your-text-body-content")),
        ),
        ("send_draft_flow_by_id", flow(id(), Some(FlowMode::Draft))),
        ("send_draft_flow_by_name", flow(name(), Some(FlowMode::Draft))),
        ("send_published_flow_by_id", flow(id(), None)),
        ("send_published_flow_by_name", flow(name(), None)),
    ]
}

fn template(name: &str, components: Vec<Component>) -> Content {
    Content::Template(TemplateContent {
        name: name.parse().expect("a name"),
        language: "en_US".parse().expect("a language"),
        category: Category::Utility,
        components,
    })
}

fn plain() -> Vec<(&'static str, Content)> {
    let place = Location::new("37.758056", "-122.425332")
        .and_then(|place| place.with_name("META HQ"))
        .and_then(|place| place.with_address("1 Hacker Way, Menlo Park, CA 94025"));
    let document = captioned(MediaKind::Document, "<DOCUMENT_OBJECT_ID>", "<DOCUMENT_CAPTION_TO_SEND>");
    let document = document.with_filename("<DOCUMENT_FILENAME>").expect("a name");
    let preview = Text::new("Please visit https://youtu.be/hpltvTEiRrY.").expect("a text").with_preview();
    let wamid = "wamid.HBgLM...".parse().expect("an id");
    vec![
        ("send_text_message", Content::text("text-message-content").expect("a text")),
        ("send_text_message_with_preview_url", preview.into()),
        ("send_reply_to_text_message", Content::text("<TEXT_MSG_CONTENT>").expect("a text")),
        ("send_test_message", template("hello_world", Vec::new())),
        ("send_image_message_by_id", media(MediaKind::Image, "<IMAGE_OBJECT_ID>").into()),
        ("send_image_message_by_url", media(MediaKind::Image, "https://image-url").into()),
        ("send_audio_message_by_id", media(MediaKind::Audio, "<AUDIO_OBJECT_ID>").into()),
        ("send_audio_message_by_url", media(MediaKind::Audio, "https://audio-url>").into()),
        ("send_reply_to_audio_message_by_url", media(MediaKind::Audio, "https://audio-url").into()),
        (
            "send_video_message_by_id",
            captioned(MediaKind::Video, "<VIDEO_OBJECT_ID>", "<VIDEO_CAPTION_TEXT>").into(),
        ),
        (
            "send_video_message_by_url",
            captioned(MediaKind::Video, "https://video-url>", "<VIDEO_CAPTION_TEXT>").into(),
        ),
        ("send_document_message_by_id", document.into()),
        (
            "send_document_message_by_url",
            captioned(MediaKind::Document, "https://document-url>", "<DOCUMENT-CAPTION-TEXT>").into(),
        ),
        (
            "send_reply_to_document_message_by_url",
            captioned(MediaKind::Document, "https://document-url>", "<DOCUMENT_CAPTION_TEXT>").into(),
        ),
        ("send_sticker_message_by_id", media(MediaKind::Sticker, "<MEDIA_OBJECT_ID>").into()),
        ("send_sticker_message_by_url", media(MediaKind::Sticker, "https://sticker-url>").into()),
        ("send_location_message", place.expect("a place").into()),
        ("send_contact_message", contact()),
        ("send_reply_with_reaction_message", Reaction::set(wamid, "😀").expect("an emoji").into()),
        (
            "send_catalog_template_message",
            template(
                "intro_catalog_offer",
                vec![
                    Component::Body {
                        parameters: ["100", "400", "3"]
                            .map(|text| Parameter::Text { text: text.to_owned(), name: None })
                            .into(),
                    },
                    Component::Button {
                        sub_type: ButtonType::Catalog,
                        index: 0,
                        parameters: vec![Parameter::Action {
                            action: json!({"thumbnail_product_retailer_id": "2lc20305pt"}),
                        }],
                    },
                ],
            ),
        ),
    ]
}

/// Examples that the model does not make as they are, and why.
const NOT_PRODUCIBLE: &[(&str, &str)] = &[
    ("send_catalog_template_message", "its button is of type CATALOG at 0; catalog at \"0\" is written"),
    ("send_flow_template_message", "its template's name is a placeholder; see a_flow_button_…"),
    ("send_message_template_interactive", "parts of a date that Meta ignores, and placeholders as names"),
    ("send_message_template_media", "parts of a date that Meta ignores, and placeholders as names"),
    ("send_message_template_text", "parts of a date that Meta ignores, and placeholders as names"),
    ("send_multi_product_message", "its header's type is a placeholder"),
    ("send_sample_issue_resolution_template", "booleans as texts, and a policy that is of no use any more"),
    ("send_sample_shipping_confirmation_template", "parts of a date that Meta ignores, placeholders"),
    ("send_sample_text_message", "parts of a date that Meta ignores, and placeholders as names"),
];

#[tokio::test]
async fn metas_own_examples_are_made_from_the_model() {
    let Some(data) = meta_data() else { return };
    let folder = data.join("requests/facebook-openapi");
    let mut contents: BTreeMap<&str, Content> = plain().into_iter().chain(interactive()).collect();
    let replies: Vec<_> = contents.iter().map(|(name, content)| (*name, content.clone())).collect();
    let server = Server::start(Behaviour::Answer(answer(200, "", "{}"))).await;
    let transport = server.transport();
    let (mut produced, mut others, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a folder").map(|it| it.expect("a file").path()).collect();
    files.sort();
    for file in &files {
        let name = file.file_stem().expect("a name").to_str().expect("ASCII").to_owned();
        let example: Value =
            serde_json::from_str(&fs::read_to_string(file).expect("an example")).expect("JSON");
        if example["status"] == "read" {
            others.push((name, "a read receipt: made, and compared by its own test"));
            continue;
        }
        // A reply says what the plain example says; its own content goes first where it differs.
        let plain_name = name.replacen("send_reply_to_", "send_", 1);
        let content = contents.remove(name.as_str()).or_else(|| {
            replies.iter().find(|(known, _)| *known == plain_name).map(|(_, content)| content.clone())
        });
        let reason = NOT_PRODUCIBLE.iter().find(|(known, _)| *known == name).map(|(_, reason)| *reason);
        let Some(content) = content else {
            match reason {
                Some(reason) => others.push((name, reason)),
                None => wrong.push(format!("{name}: nobody wrote it down as content")),
            }
            continue;
        };
        let permit = permit_to(phone().into(), content, 1);
        let quoted = example["context"]["message_id"].as_str();
        let permit = match quoted {
            Some(quoted) => quoting(permit, quoted.parse().expect("an id")),
            None => permit,
        };
        let before = server.requests().len();
        transport.send(permit).await;
        let written: Value = serde_json::from_slice(&server.requests()[before].body).expect("JSON");
        // What the example leaves out because it is the default is left out of the comparison.
        let message = |body: &Value| {
            let mut body = body.as_object().expect("an object").clone();
            body.retain(|key, _| match key.as_str() {
                "to" | "biz_opaque_callback_data" => false,
                "type" | "recipient_type" => example.get(key).is_some(),
                _ => true,
            });
            Value::Object(body)
        };
        match (message(&written) == message(&example), reason) {
            (true, None) => produced.push(name),
            (false, Some(reason)) => others.push((name, reason)),
            (false, None) => wrong.push(format!("{name}: {written:#}\nis not\n{example:#}")),
            (true, Some(_)) => wrong.push(format!("{name} is produced after all")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = contents.keys().collect();
    assert!(unused.is_empty(), "no example for {unused:?}");
    for name in &produced {
        println!("produced          {name}");
    }
    for (name, reason) in &others {
        println!("not producible    {name}: {reason}");
    }
    println!("{} examples: {} produced, {} not", files.len(), produced.len(), others.len());
}
