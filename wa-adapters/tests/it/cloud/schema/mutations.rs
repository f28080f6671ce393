//! Ways in which a body breaks Meta's contract.

use serde_json::{Map, Value, json};

pub(super) type Mutation = (&'static str, fn(&mut Value) -> Option<()>);

/// Each gives `None` where it does not apply.
pub(super) const MUTATIONS: &[Mutation] = &[
    ("without messaging_product", |body| drop_key(body, "messaging_product")),
    ("for another product", |body| set(body, "messaging_product", json!("sms"))),
    ("without an address", |body| {
        object(body)?.remove("recipient");
        object(body)?.remove("to");
        Some(())
    }),
    ("with an empty address", |body| set(body, "to", json!(""))),
    ("to a number that is not text", |body| set(body, "to", json!(15_550_000_001_u64))),
    ("to an unknown kind of recipient", |body| set(body, "recipient_type", json!("everyone"))),
    ("with an unknown field", |body| set(body, "idempotency_key", json!("1"))),
    ("with a tag of 513 characters", |body| set(body, "biz_opaque_callback_data", json!("x".repeat(513)))),
    ("of another type than its body", |body| {
        let other = if body["type"] == "sticker" { "video" } else { "sticker" };
        set(body, "type", json!(other))
    }),
    ("with a quote of nothing", |body| drop_key(body.get_mut("context")?, "message_id")),
    ("with a quote of more than an id", |body| set(body.get_mut("context")?, "from", json!("1"))),
    ("without its text", |body| drop_key(body, "text")),
    ("with an empty text", |body| set(body.get_mut("text")?, "body", json!(""))),
    ("with a text of 4,097 characters", |body| set(body.get_mut("text")?, "body", json!("x".repeat(4_097)))),
    ("with a preview that is not a boolean", |body| set(body.get_mut("text")?, "preview_url", json!("yes"))),
    ("without its template", |body| drop_key(body, "template")),
    ("without the template's name", |body| drop_key(body.get_mut("template")?, "name")),
    ("without the template's language", |body| drop_key(body.get_mut("template")?, "language")),
    ("with a component of no type", |body| drop_key(first(body, |_| true)?, "type")),
    ("with a component of an unknown type", |body| set(first(body, |_| true)?, "type", json!("heading"))),
    ("with a button of no kind", |body| drop_key(first(body, is_button)?, "sub_type")),
    ("with a button of an unknown kind", |body| {
        set(first(body, is_button)?, "sub_type", json!("quickreply"))
    }),
    ("with a button of no index", |body| drop_key(first(body, is_button)?, "index")),
    ("with a button at a negative index", |body| set(first(body, is_button)?, "index", json!("-1"))),
    ("with a parameter of no type", |body| drop_key(first_parameter(body, "text")?, "type")),
    ("with a parameter of an unknown type", |body| set(first_parameter(body, "text")?, "type", json!("txt"))),
    ("with a text parameter without text", |body| drop_key(first_parameter(body, "text")?, "text")),
    ("with a payload parameter without payload", |body| {
        drop_key(first_parameter(body, "payload")?, "payload")
    }),
    ("with an image parameter without image", |body| drop_key(first_parameter(body, "image")?, "image")),
    ("with a card whose button has no index", |body| {
        let cards =
            first(body, |component| component["type"] == "carousel")?.get_mut("cards")?.as_array_mut()?;
        let components =
            cards.iter_mut().filter_map(|card| card.get_mut("components")?.as_array_mut()).flatten();
        drop_key(components.into_iter().find(|component| is_button(component))?, "index")
    }),
    ("with a medium from nowhere", |body| {
        let medium = medium(body)?;
        medium.remove("id");
        medium.remove("link");
        Some(())
    }),
    ("with a medium from two places", |body| {
        let medium = medium(body)?;
        medium.insert("id".to_owned(), json!("1"));
        medium.insert("link".to_owned(), json!("https://example.org"));
        Some(())
    }),
    ("with a medium of no web address", |body| {
        medium(body)?.get_mut("link").map(|link| *link = json!("ftp://example.org"))
    }),
    ("with a medium of an unknown field", |body| set(member(body, MEDIA)?, "mime_type", json!("image/png"))),
    ("with a caption of 1,025 characters", |body| {
        medium(body)?.get_mut("caption").map(|caption| *caption = json!("x".repeat(1_025)))
    }),
    ("with a caption on a sticker", |body| set(body.get_mut("sticker")?, "caption", json!("x"))),
    ("with a file name on an image", |body| set(body.get_mut("image")?, "filename", json!("x"))),
    ("with a voice that is not a boolean", |body| set(body.get_mut("audio")?, "voice", json!("yes"))),
    ("without latitude", |body| drop_key(body.get_mut("location")?, "latitude")),
    ("with a longitude in words", |body| set(body.get_mut("location")?, "longitude", json!("east"))),
    ("without contacts", |body| body.get_mut("contacts").map(|cards| *cards = json!([]))),
    ("with six contacts", |body| {
        let card = body.get("contacts")?.get(0)?.clone();
        body.get_mut("contacts").map(|cards| *cards = json!(vec![card; 6]))
    }),
    ("with a contact without name", |body| drop_key(card(body)?, "name")),
    ("with a contact without formatted name", |body| {
        drop_key(card(body)?.get_mut("name")?, "formatted_name")
    }),
    ("with a contact of an unknown field", |body| set(card(body)?, "nickname", json!("x"))),
    ("with a contact's mail without address", |body| {
        drop_key(card(body)?.get_mut("emails")?.get_mut(0)?, "email")
    }),
    ("with a contact's page without address", |body| {
        drop_key(card(body)?.get_mut("urls")?.get_mut(0)?, "url")
    }),
    ("with a reaction to nothing", |body| drop_key(body.get_mut("reaction")?, "message_id")),
    ("with a reaction without emoji", |body| drop_key(body.get_mut("reaction")?, "emoji")),
    ("without its action", |body| drop_key(body.get_mut("interactive")?, "action")),
    ("of an unknown interactive type", |body| set(body.get_mut("interactive")?, "type", json!("poll"))),
    ("with a body without text", |body| drop_key(part(body, "body")?, "text")),
    ("with a body of 1,025 characters", |body| set(part(body, "body")?, "text", json!("x".repeat(1_025)))),
    ("with a footer of 61 characters", |body| set(part(body, "footer")?, "text", json!("x".repeat(61)))),
    ("with a header of no type", |body| drop_key(part(body, "header")?, "type")),
    ("with a header of an unknown type", |body| set(part(body, "header")?, "type", json!("sticker"))),
    ("with a header text of 61 characters", |body| {
        part(body, "header")?.get_mut("text").map(|text| *text = json!("x".repeat(61)))
    }),
    ("with buttons without body", |body| {
        body["interactive"]["action"]["buttons"].as_array()?;
        drop_key(body.get_mut("interactive")?, "body")
    }),
    ("with four buttons", |body| {
        let button = part(body, "action")?.get("buttons")?.get(0)?.clone();
        set(part(body, "action")?, "buttons", json!(vec![button; 4]))
    }),
    ("with a button of 21 characters", |body| {
        let button = part(body, "action")?.get_mut("buttons")?.get_mut(0)?;
        set(button.get_mut("reply")?, "title", json!("x".repeat(21)))
    }),
    ("with a menu without label", |body| {
        part(body, "action")?.get("button")?;
        drop_key(part(body, "action")?, "button")
    }),
    ("with a row of 25 characters", |body| set(row(body)?, "title", json!("x".repeat(25)))),
    ("with a row without id", |body| drop_key(row(body)?, "id")),
    ("with a row's description of 73 characters", |body| {
        set(row(body)?, "description", json!("x".repeat(73)))
    }),
    ("with eleven sections", |body| {
        let section = part(body, "action")?.get("sections")?.get(0)?.clone();
        set(part(body, "action")?, "sections", json!(vec![section; 11]))
    }),
    ("with a link of 21 characters", |body| {
        parameters(body, "cta_url").and_then(|it| set(it, "display_text", json!("x".repeat(21))))
    }),
    ("with a link to no web address", |body| {
        parameters(body, "cta_url").and_then(|it| set(it, "url", json!("mailto:ada@example.org")))
    }),
    ("with a flow of version 2", |body| {
        parameters(body, "flow").and_then(|it| set(it, "flow_message_version", json!("2")))
    }),
    ("with a flow by id and by name", |body| {
        let flow = parameters(body, "flow")?;
        set(flow, "flow_id", json!("1"))?;
        set(flow, "flow_name", json!("sign_up"))
    }),
    ("with a flow without label", |body| parameters(body, "flow").and_then(|it| drop_key(it, "flow_cta"))),
    ("with a flow's payload that is no object", |body| {
        parameters(body, "flow").and_then(|it| set(it, "flow_action_payload", json!("x")))
    }),
    ("with a catalogue without picture", |body| {
        parameters(body, "catalog_message").and_then(|it| drop_key(it, "thumbnail_product_retailer_id"))
    }),
    ("with a product of no catalogue", |body| {
        part(body, "action")?.get("product_retailer_id")?;
        drop_key(part(body, "action")?, "catalog_id")
    }),
    ("with a carousel of one card", |body| {
        part(body, "action")?.get_mut("cards")?.as_array_mut().map(|cards| cards.truncate(1))
    }),
    ("with an action of an unknown name", |body| {
        part(body, "action")?.get_mut("name").map(|name| *name = json!("dance"))
    }),
];

const MEDIA: &[&str] = &["image", "video", "audio", "document", "sticker"];

fn member<'a>(body: &'a mut Value, of: &[&str]) -> Option<&'a mut Value> {
    let key = *of.iter().find(|key| body.get(**key).is_some())?;
    body.get_mut(key)
}

fn medium(body: &mut Value) -> Option<&mut Map<String, Value>> {
    member(body, MEDIA)?.as_object_mut()
}

fn card(body: &mut Value) -> Option<&mut Value> {
    body.get_mut("contacts")?.get_mut(0)
}

fn part<'a>(body: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    body.get_mut("interactive")?.get_mut(name)
}

fn row(body: &mut Value) -> Option<&mut Value> {
    part(body, "action")?.get_mut("sections")?.get_mut(0)?.get_mut("rows")?.get_mut(0)
}

fn parameters<'a>(body: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let action = part(body, "action")?;
    if action["name"] == name { action.get_mut("parameters") } else { None }
}

fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.as_object_mut()
}

fn drop_key(value: &mut Value, key: &str) -> Option<()> {
    object(value)?.remove(key).map(|_| ())
}

fn set(value: &mut Value, key: &str, new: Value) -> Option<()> {
    object(value)?.insert(key.to_owned(), new);
    Some(())
}

fn is_button(component: &Value) -> bool {
    component["type"] == "button"
}

fn first(body: &mut Value, fits: fn(&Value) -> bool) -> Option<&mut Value> {
    body.get_mut("template")?
        .get_mut("components")?
        .as_array_mut()?
        .iter_mut()
        .find(|component| fits(component))
}

fn first_parameter<'a>(body: &'a mut Value, kind: &str) -> Option<&'a mut Value> {
    let components = body.get_mut("template")?.get_mut("components")?.as_array_mut()?;
    let parameters =
        components.iter_mut().filter_map(|part| part.get_mut("parameters")?.as_array_mut()).flatten();
    parameters.into_iter().find(|parameter| parameter["type"] == kind)
}
