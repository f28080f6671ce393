//! The `interactive` object, kind by kind.
//!
//! An action is put together as a JSON value: each kind has a form of its own, and none of them is
//! sent in such numbers that its allocations would be felt.

use serde::Serialize;
use serde_json::{Map, Value, json};
use wa_core::model::interactive::{
    Action, AddressRequest, Cards, Catalog, Flow, FlowMode, FlowRef, FlowStart, Header, LinkCard, ListMenu,
    ListRow, ListSection, Product, ProductList, ProductSection, ReplyButton, ReplyCard, SavedAddress,
    UrlButton, VoiceCall,
};
use wa_core::model::{Interactive, JsonObject};

use super::media::MediaBody;
use super::{Unsendable, order};

#[derive(Debug, Serialize)]
pub(super) struct InteractiveBody<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<HeaderBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<TextPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    footer: Option<TextPart<'a>>,
    action: Value,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum HeaderBody<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sub_text: Option<&'a str>,
    },
    Image {
        image: MediaBody<'a>,
    },
    Video {
        video: MediaBody<'a>,
    },
    Document {
        document: MediaBody<'a>,
    },
}

#[derive(Debug, Serialize)]
struct TextPart<'a> {
    text: &'a str,
}

/// A JSON object whose optional fields are left out when there is nothing in them.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new() -> Self {
        Self(Map::new())
    }

    pub(super) fn put(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub(super) fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }

    fn some(self) -> Option<Value> {
        (!self.0.is_empty()).then(|| self.done())
    }
}

impl<'a> InteractiveBody<'a> {
    pub(super) fn of(interactive: &'a Interactive) -> Result<Self, Unsendable> {
        Ok(Self {
            r#type: interactive.kind().as_str(),
            header: interactive.header().map(header),
            body: interactive.body().map(|text| TextPart { text }),
            footer: interactive.footer().map(|text| TextPart { text }),
            action: action(interactive.action())?,
        })
    }
}

fn header(header: &Header) -> HeaderBody<'_> {
    match header {
        Header::Text { text, sub_text } => HeaderBody::Text { text, sub_text: sub_text.as_deref() },
        Header::Image { source } => HeaderBody::Image { image: MediaBody::of(source) },
        Header::Video { source } => HeaderBody::Video { video: MediaBody::of(source) },
        Header::Document { source, filename } => {
            HeaderBody::Document { document: MediaBody::named(source, filename.as_deref()) }
        }
    }
}

fn action(action: &Action) -> Result<Value, Unsendable> {
    Ok(match action {
        Action::Buttons(buttons) => json!({ "buttons": buttons.iter().map(reply).collect::<Vec<_>>() }),
        Action::List(menu) => list(menu),
        Action::CtaUrl(button) => cta_url(button),
        Action::Flow(it) => named("flow", flow(it)),
        Action::LocationRequest => json!({ "name": "send_location" }),
        Action::Address(request) => named("address_message", address(request)),
        Action::Carousel(cards) => json!({ "cards": carousel(cards)? }),
        Action::Product(it) => product(it),
        Action::ProductList(list) => products(list),
        Action::Catalog(Catalog { thumbnail_product_retailer_id }) => named(
            "catalog_message",
            json!({ "thumbnail_product_retailer_id": thumbnail_product_retailer_id }),
        ),
        Action::CallPermission => json!({ "name": "call_permission_request" }),
        Action::VoiceCall(VoiceCall { display_text, ttl_minutes, payload }) => {
            let parameters = Fields::new()
                .maybe("display_text", display_text.as_deref())
                .maybe("ttl_minutes", *ttl_minutes)
                .maybe("payload", payload.as_deref());
            Fields::new().put("name", "voice_call").maybe("parameters", parameters.some()).done()
        }
        Action::OrderDetails(details) => named("review_and_pay", order::details(details)),
        Action::OrderStatus(update) => named("review_order", order::status(update)),
        Action::ContactInfo => json!({ "name": "request_contact_info" }),
        // The enum may grow in its own crate; what is not known here is never sent in part.
        _ => return Err(Unsendable("this kind of interactive message")),
    })
}

fn named(name: &str, parameters: Value) -> Value {
    json!({ "name": name, "parameters": parameters })
}

fn reply(button: &ReplyButton) -> Value {
    let ReplyButton { id, title } = button;
    json!({ "type": "reply", "reply": { "id": id, "title": title } })
}

fn cta_url(button: &UrlButton) -> Value {
    let UrlButton { display_text, url } = button;
    named("cta_url", json!({ "display_text": display_text, "url": url }))
}

fn list(menu: &ListMenu) -> Value {
    let ListMenu { button, sections } = menu;
    let row = |row: &ListRow| {
        let ListRow { id, title, description } = row;
        Fields::new()
            .put("id", id.as_str())
            .put("title", title.as_str())
            .maybe("description", description.as_deref())
            .done()
    };
    let section = |section: &ListSection| {
        let ListSection { title, rows } = section;
        let rows: Vec<_> = rows.iter().map(row).collect();
        Fields::new().maybe("title", title.as_deref()).put("rows", rows).done()
    };
    json!({ "button": button, "sections": sections.iter().map(section).collect::<Vec<_>>() })
}

fn flow(flow: &Flow) -> Value {
    let Flow { flow, cta, token, mode, start } = flow;
    let fields = Fields::new().put("flow_message_version", "3").put("flow_cta", cta.as_str());
    let fields = match flow {
        FlowRef::Id(id) => fields.put("flow_id", id.as_str()),
        FlowRef::Name(name) => fields.put("flow_name", name.as_str()),
    };
    let mode = mode.map(|mode| match mode {
        FlowMode::Draft => "draft",
        FlowMode::Published => "published",
    });
    let fields = fields.maybe("flow_token", token.as_deref()).maybe("mode", mode);
    match start {
        None => fields,
        Some(FlowStart::DataExchange) => fields.put("flow_action", "data_exchange"),
        Some(FlowStart::Navigate { screen, data }) => {
            let payload =
                Fields::new().maybe("screen", screen.as_deref()).maybe("data", data.as_ref().map(object));
            fields.put("flow_action", "navigate").maybe("flow_action_payload", payload.some())
        }
    }
    .done()
}

pub(super) fn object(object: &JsonObject) -> Value {
    Value::Object(object.as_map().clone())
}

fn address(request: &AddressRequest) -> Value {
    let AddressRequest { country, values, saved_addresses, validation_errors } = request;
    let saved: Vec<_> = saved_addresses
        .iter()
        .map(|SavedAddress { id, value }| json!({ "id": id, "value": value }))
        .collect();
    Fields::new()
        .put("country", country.as_str())
        .maybe("values", (!values.is_empty()).then(|| json!(values)))
        .maybe("saved_addresses", (!saved.is_empty()).then_some(saved))
        .maybe("validation_errors", (!validation_errors.is_empty()).then(|| json!(validation_errors)))
        .done()
}

fn product(product: &Product) -> Value {
    let Product { catalog_id, product_retailer_id } = product;
    json!({ "catalog_id": catalog_id, "product_retailer_id": product_retailer_id })
}

fn products(list: &ProductList) -> Value {
    let ProductList { catalog_id, sections } = list;
    let section = |section: &ProductSection| {
        let ProductSection { title, products } = section;
        let items: Vec<_> = products.iter().map(|id| json!({ "product_retailer_id": id })).collect();
        Fields::new().maybe("title", title.as_deref()).put("product_items", items).done()
    };
    json!({ "catalog_id": catalog_id, "sections": sections.iter().map(section).collect::<Vec<_>>() })
}

fn carousel(cards: &Cards) -> Result<Vec<Value>, Unsendable> {
    let text = |text: &String| json!({ "text": text });
    Ok(match cards {
        Cards::Links(cards) => {
            let card = |(index, card): (usize, &LinkCard)| {
                let LinkCard { header: above, body, button } = card;
                Fields::new()
                    .put("card_index", index)
                    .put("type", "cta_url")
                    .put("header", json!(header(above)))
                    .maybe("body", body.as_ref().map(text))
                    .put("action", cta_url(button))
                    .done()
            };
            cards.iter().enumerate().map(card).collect()
        }
        Cards::Replies(cards) => {
            let quick = |button: &ReplyButton| {
                let ReplyButton { id, title } = button;
                json!({ "type": "quick_reply", "quick_reply": { "id": id, "title": title } })
            };
            let card = |(index, card): (usize, &ReplyCard)| {
                let ReplyCard { header: above, body, buttons } = card;
                let buttons: Vec<_> = buttons.iter().map(quick).collect();
                // Unconfirmed: a card with replies has the type of one with a link; its action tells them apart.
                Fields::new()
                    .put("card_index", index)
                    .put("type", "cta_url")
                    .put("header", json!(header(above)))
                    .maybe("body", body.as_ref().map(text))
                    .put("action", json!({ "buttons": buttons }))
                    .done()
            };
            cards.iter().enumerate().map(card).collect()
        }
        Cards::Products(cards) => {
            let card =
                |(index, card)| json!({ "card_index": index, "type": "product", "action": product(card) });
            cards.iter().enumerate().map(card).collect()
        }
        _ => return Err(Unsendable("this kind of carousel")),
    })
}
