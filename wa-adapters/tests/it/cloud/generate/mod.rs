//! Messages of every kind and shape that the model has, drawn from a seed.
//!
//! An optional field is drawn through `maybe`, which counts how often it was there and how often not.

mod kinds;

use std::collections::BTreeMap;

use serde_json::json;
use wa_core::model::{
    Bsuid, ButtonType, CarouselCard, Category, Component, Content, ContentKind, Currencied, HeaderMedia,
    MediaRef, Parameter, Phone, ProviderMessageId, Recipient, TemplateContent, Text,
};
use wa_core::testing::SeededEntropy;

/// Draws messages, and counts which shapes it drew.
#[derive(Debug)]
pub(super) struct Generator {
    entropy: SeededEntropy,
    pub(super) drawn: BTreeMap<&'static str, u32>,
    /// How many messages of each kind.
    pub(super) kinds: BTreeMap<ContentKind, u32>,
    /// How often each optional field was absent and present.
    pub(super) optional: BTreeMap<&'static str, [u32; 2]>,
}

/// Every shape that must be drawn at least once for the count of messages to mean anything.
pub(super) const SHAPES: [&str; 52] = [
    "to phone",
    "to user id",
    "to both",
    "text",
    "text with preview",
    "text of full length",
    "template",
    "template without components",
    "header",
    "body",
    "button",
    "carousel",
    "limited time offer",
    "parameter text",
    "parameter text by name",
    "parameter currency",
    "parameter date_time",
    "parameter image",
    "parameter video",
    "parameter document",
    "parameter document with file name",
    "parameter location",
    "parameter payload",
    "parameter coupon_code",
    "parameter action",
    "parameter product",
    "media by id",
    "media by link",
    "button quick_reply",
    "button url",
    "button copy_code",
    "button flow",
    "button catalog",
    "button mpm",
    "button order_details",
    "button voice_call",
    "category marketing",
    "category utility",
    "category authentication",
    "empty parameters",
    "text at its limit",
    "flow by id",
    "flow by name",
    "flow navigate",
    "flow data_exchange",
    "carousel of links",
    "carousel of replies",
    "carousel of products",
    "header text",
    "header image",
    "header video",
    "header document",
];

/// How many optional fields there are; a new one is drawn through `maybe` and counted here.
pub(super) const OPTIONAL: usize = 84;

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            entropy: SeededEntropy::new(seed),
            drawn: BTreeMap::new(),
            kinds: BTreeMap::new(),
            optional: BTreeMap::new(),
        }
    }

    /// A message: who gets it, what it says, and what it quotes.
    pub(super) fn message(&mut self) -> (Recipient, Content, Option<ProviderMessageId>) {
        // Texts and templates are drawn more often than others: they have more shapes.
        let kind = match usize::try_from(self.below(40)).expect("small") {
            place if place < ContentKind::ALL.len() => ContentKind::ALL[place],
            place if place < 30 => ContentKind::Text,
            _ => ContentKind::Template,
        };
        let content = self.kind(kind);
        assert_eq!(content.kind(), kind);
        *self.kinds.entry(kind).or_default() += 1;
        let quoted = || "wamid.HBgLMTU1NTAwMDAwMDEVAgASGBQzQUYz".parse().expect("an id");
        let reply_to = if content.may_quote() { self.maybe("context", |_| quoted()) } else { None };
        // A one-time code needs a phone number.
        let needs_phone = content.category() == Category::Authentication;
        let recipient = loop {
            let recipient = self.recipient();
            if recipient.phone().is_some() || !needs_phone {
                break recipient;
            }
        };
        (recipient, content, reply_to)
    }

    fn recipient(&mut self) -> Recipient {
        let digits = 10_000_000_000 + self.below(89_999_999_999);
        let phone = Phone::try_from(digits).expect("eleven digits");
        let bsuid: Bsuid =
            format!("{}{digits}", self.pick(["US.", "IN.ENT.", "DE.a"])).parse().expect("a user id");
        match self.below(4) {
            0 => self.shape("to user id", bsuid.into()),
            1 => self.shape("to both", Recipient::new(Some(phone), Some(bsuid)).expect("two addresses")),
            _ => self.shape("to phone", phone.into()),
        }
    }

    fn template(&mut self) -> Content {
        self.count("template");
        let category = self.pick([Category::Marketing, Category::Utility, Category::Authentication]);
        let category = match category {
            Category::Marketing => self.shape("category marketing", category),
            Category::Utility => self.shape("category utility", category),
            Category::Authentication | Category::Service => self.shape("category authentication", category),
        };
        let components: Vec<_> = (0..self.below(5)).map(|_| self.component(0)).collect();
        if components.is_empty() {
            self.count("template without components");
        }
        let template = TemplateContent {
            name: format!("order_update_{}", self.below(1_000)).parse().expect("a name"),
            language: self.pick(["en_US", "de", "zh_CN", "fil"]).parse().expect("a language"),
            category,
            components,
        };
        template.validate().expect("only valid templates are drawn");
        Content::Template(template)
    }

    fn text_message(&mut self) -> Content {
        let text = if self.below(50) == 0 {
            self.count("text of full length");
            Text::new("ü".repeat(Text::MAX_CHARS))
        } else {
            Text::new(self.words())
        };
        let text = text.expect("a text");
        Content::Text(match self.below(2) {
            0 => self.shape("text", text),
            _ => self.shape("text with preview", text.with_preview()),
        })
    }

    fn component(&mut self, depth: u8) -> Component {
        match self.below(if depth == 0 { 5 } else { 3 }) {
            0 => {
                let parameters = vec![self.header_parameter()];
                self.shape("header", Component::Header { parameters })
            }
            1 => {
                let parameters: Vec<_> = (0..self.below(4)).map(|_| self.body_parameter()).collect();
                if parameters.is_empty() {
                    self.count("empty parameters");
                }
                self.shape("body", Component::Body { parameters })
            }
            2 => {
                let (sub_type, parameters) = self.button();
                let index = u8::try_from(self.below(10)).expect("below ten");
                self.shape("button", Component::Button { sub_type, index, parameters })
            }
            3 => {
                let cards = (0..=self.below(10)).map(|place| self.card(place)).collect();
                self.shape("carousel", Component::Carousel { cards })
            }
            _ => {
                let expiration_time_ms =
                    1_790_000_000_000 + i64::try_from(self.below(1 << 40)).expect("40 bits");
                self.shape("limited time offer", Component::LimitedTimeOffer { expiration_time_ms })
            }
        }
    }

    fn card(&mut self, place: u64) -> CarouselCard {
        let card_index = u8::try_from(place).expect("below ten");
        CarouselCard { card_index, components: (0..=self.below(2)).map(|_| self.component(1)).collect() }
    }

    fn header_parameter(&mut self) -> Parameter {
        match self.below(6) {
            0 => self.text_parameter(),
            1 => {
                let media = self.media(None);
                self.shape("parameter image", Parameter::Image(media))
            }
            2 => {
                let media = self.media(None);
                self.shape("parameter video", Parameter::Video(media))
            }
            3 => {
                let media = self.media(None);
                self.shape("parameter document", Parameter::Document(media))
            }
            4 => {
                let media = self.media(Some("invoice \"1\".pdf".to_owned()));
                self.shape("parameter document with file name", Parameter::Document(media))
            }
            _ => {
                let place = Parameter::Location {
                    latitude: self.pick(["52.5", "-90", "+0.000001"]).to_owned(),
                    longitude: self.pick(["-180.0", "13.4", "0"]).to_owned(),
                    name: self.words(),
                    address: self.words(),
                };
                self.shape("parameter location", place)
            }
        }
    }

    fn body_parameter(&mut self) -> Parameter {
        match self.below(4) {
            0 => {
                let amount = Currencied {
                    fallback_value: self.words(),
                    code: self.pick(["EUR", "USD", "INR"]).parse().expect("a currency"),
                    amount_1000: i64::try_from(self.below(1 << 40)).expect("40 bits"),
                };
                self.shape("parameter currency", Parameter::Currency(amount))
            }
            1 => {
                let fallback_value = self.words();
                self.shape("parameter date_time", Parameter::DateTime { fallback_value })
            }
            _ => self.text_parameter(),
        }
    }

    fn text_parameter(&mut self) -> Parameter {
        let text = self.words();
        if self.below(2) == 0 {
            return self.shape("parameter text", Parameter::Text { text, name: None });
        }
        self.shape("parameter text by name", Parameter::Text { text, name: Some("first_name".to_owned()) })
    }

    fn button(&mut self) -> (ButtonType, Vec<Parameter>) {
        let action = |action| Parameter::Action { action };
        match self.below(8) {
            0 => {
                let payload = Parameter::Payload { payload: self.words() };
                (
                    self.shape("button quick_reply", ButtonType::QuickReply),
                    vec![self.shape("parameter payload", payload)],
                )
            }
            1 => (self.shape("button url", ButtonType::Url), vec![self.text_parameter()]),
            2 => {
                let code = Parameter::CouponCode { code: format!("SAVE{}", self.below(100)) };
                (
                    self.shape("button copy_code", ButtonType::CopyCode),
                    vec![self.shape("parameter coupon_code", code)],
                )
            }
            3 => {
                let flow = action(json!({"flow_token": "t", "flow_action_data": {"id": 7}}));
                (self.shape("button flow", ButtonType::Flow), vec![self.shape("parameter action", flow)])
            }
            4 => {
                let catalog = action(json!({"thumbnail_product_retailer_id": "2lc20305pt"}));
                (
                    self.shape("button catalog", ButtonType::Catalog),
                    vec![self.shape("parameter action", catalog)],
                )
            }
            5 => {
                let product = Parameter::Product {
                    catalog_id: "194836987003835".into(),
                    product_retailer_id: "sku 1".into(),
                };
                (self.shape("button mpm", ButtonType::Mpm), vec![self.shape("parameter product", product)])
            }
            6 => {
                let order = action(json!({"order_details": {"reference_id": "r", "currency": "INR"}}));
                (self.shape("button order_details", ButtonType::OrderDetails), vec![order])
            }
            _ => (self.shape("button voice_call", ButtonType::VoiceCall), Vec::new()),
        }
    }

    fn media(&mut self, filename: Option<String>) -> HeaderMedia {
        let source = match self.below(2) {
            0 => self.shape("media by id", MediaRef::Id("2871834006348767".to_owned())),
            _ => self
                .shape("media by link", MediaRef::Link("https://example.org/a%20b.jpg?x=1&y=2".to_owned())),
        };
        HeaderMedia { source, filename }
    }

    fn words(&mut self) -> String {
        let words = [
            "Ada",
            "naïve",
            "日本語",
            "👩‍👩‍👧",
            "\"quoted\"",
            "a\\b",
            "line\nbreak",
            "{{1}}",
            "</script>",
            "\u{202e}txt",
        ];
        let count = 1 + self.below(6);
        let chosen: Vec<_> = (0..count).map(|_| self.pick(words)).collect();
        chosen.join(" ")
    }

    /// A text of at most so many characters, now and then of exactly as many.
    fn text(&mut self, most: usize) -> String {
        if self.below(20) == 0 {
            self.count("text at its limit");
            return "ü".repeat(most);
        }
        let words: String = self.words().chars().take(most).collect();
        if words.trim().is_empty() { "Ada".to_owned() } else { words }
    }

    /// An optional field, there or not.
    fn maybe<T>(&mut self, field: &'static str, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let is_there = self.below(2) == 1;
        self.optional.entry(field).or_default()[usize::from(is_there)] += 1;
        is_there.then(|| make(self))
    }

    fn pick<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        let place = usize::try_from(self.below(u64::try_from(N).expect("small"))).expect("small");
        *from.get(place).expect("below the length")
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.entropy.next() % limit
    }

    fn shape<T>(&mut self, shape: &'static str, value: T) -> T {
        self.count(shape);
        value
    }

    fn count(&mut self, shape: &'static str) {
        *self.drawn.entry(shape).or_default() += 1;
    }
}
