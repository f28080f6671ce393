//! Every kind but text and template.

use serde_json::json;
use wa_core::model::interactive::{
    Action, AddressRequest, Amount, Cards, Catalog, DescribedAmount, Discount, Flow, FlowMode, FlowRef,
    FlowStart, Goods, Header, LinkCard, ListMenu, ListRow, ListSection, Order, OrderDetails, OrderExpiration,
    OrderItem, OrderStatus, OrderStatusUpdate, Product, ProductList, ProductSection, ReplyButton, ReplyCard,
    SavedAddress, UrlButton, VoiceCall,
};
use wa_core::model::{
    CardAddress, CardEmail, CardName, CardOrg, CardPhone, CardUrl, ContactCard, ContactCards, Content,
    ContentKind, Interactive, JsonObject, Location, Media, MediaKind, MediaRef, Reaction,
};

use super::Generator;

impl Generator {
    pub(super) fn kind(&mut self, kind: ContentKind) -> Content {
        match kind {
            ContentKind::Text => self.text_message(),
            ContentKind::Template => self.template(),
            ContentKind::Image => self.media_message(MediaKind::Image),
            ContentKind::Video => self.media_message(MediaKind::Video),
            ContentKind::Audio => self.media_message(MediaKind::Audio),
            ContentKind::Document => self.media_message(MediaKind::Document),
            ContentKind::Sticker => self.media_message(MediaKind::Sticker),
            ContentKind::Location => self.location(),
            ContentKind::Contacts => self.contacts(),
            ContentKind::Reaction => self.reaction(),
            _ => self.interactive(kind),
        }
    }

    fn media_message(&mut self, kind: MediaKind) -> Content {
        let source = self.source();
        let mut media = Media::new(kind, source).expect("a medium");
        let (caption, filename) = match kind {
            MediaKind::Image => (self.maybe("image.caption", |it| it.text(1_024)), None),
            MediaKind::Video => (self.maybe("video.caption", |it| it.text(1_024)), None),
            MediaKind::Document => {
                let caption = self.maybe("document.caption", |it| it.text(1_024));
                (caption, self.maybe("document.filename", |it| it.text(255)))
            }
            MediaKind::Audio => {
                if self.maybe("audio.voice", |_| ()).is_some() {
                    media = media.as_voice().expect("an audio file");
                }
                (None, None)
            }
            MediaKind::Sticker => (None, None),
        };
        if let Some(caption) = caption {
            media = media.with_caption(caption).expect("a caption");
        }
        if let Some(filename) = filename {
            media = media.with_filename(filename).expect("a file name");
        }
        media.into()
    }

    fn location(&mut self) -> Content {
        let latitude = self.pick(["37.758056", "-90", "+0.000001", "007.5", "0"]);
        let longitude = self.pick(["-122.425332", "180.000", "-0", "13"]);
        let mut place = Location::new(latitude, longitude).expect("a place");
        if let Some(name) = self.maybe("location.name", |it| it.text(1_024)) {
            place = place.with_name(name).expect("a name");
        }
        if let Some(address) = self.maybe("location.address", |it| it.text(1_024)) {
            place = place.with_address(address).expect("an address");
        }
        place.into()
    }

    fn reaction(&mut self) -> Content {
        let message = "wamid.HBgLMTU1NTAwMDAwMDE=".parse().expect("an id");
        match self.maybe("reaction.emoji", |it| it.pick(["👍", "❤️", "👩‍👩‍👧", "1️⃣"]))
        {
            Some(emoji) => Reaction::set(message, emoji).expect("an emoji").into(),
            None => Reaction::remove(message).into(),
        }
    }

    fn contacts(&mut self) -> Content {
        let cards = (0..=self.below(5)).map(|_| self.card_of_contact()).collect();
        ContactCards::new(cards).expect("only valid cards are drawn").into()
    }

    fn card_of_contact(&mut self) -> ContactCard {
        ContactCard {
            name: CardName {
                formatted_name: self.text(1_024),
                first_name: self.words_or_none("contacts.name.first_name"),
                last_name: self.words_or_none("contacts.name.last_name"),
                middle_name: self.words_or_none("contacts.name.middle_name"),
                suffix: self.words_or_none("contacts.name.suffix"),
                prefix: self.words_or_none("contacts.name.prefix"),
            },
            phones: self.list("contacts.phones", |it| {
                let wa_id = it.maybe("contacts.phones.wa_id", |_| "16505551234".to_owned());
                let phone = it.maybe("contacts.phones.phone", |_| "+1 (650) 555-1234".to_owned());
                let phone = if wa_id.is_none() { Some("+1 650".to_owned()) } else { phone };
                CardPhone { phone, kind: it.words_or_none("contacts.phones.type"), wa_id }
            }),
            emails: self.list("contacts.emails", |it| CardEmail {
                email: "ada@example.org".to_owned(),
                kind: it.words_or_none("contacts.emails.type"),
            }),
            addresses: self.list("contacts.addresses", |it| {
                let street = it.words_or_none("contacts.addresses.street");
                let city = it.words_or_none("contacts.addresses.city");
                CardAddress {
                    city: if street.is_none() { Some("Berlin".to_owned()) } else { city },
                    street,
                    state: it.words_or_none("contacts.addresses.state"),
                    zip: it.words_or_none("contacts.addresses.zip"),
                    country: it.words_or_none("contacts.addresses.country"),
                    country_code: it.words_or_none("contacts.addresses.country_code"),
                    kind: it.words_or_none("contacts.addresses.type"),
                }
            }),
            org: self.maybe("contacts.org", |it| {
                let company = it.words_or_none("contacts.org.company");
                let department = it.words_or_none("contacts.org.department");
                let title = it.words_or_none("contacts.org.title");
                let nothing = company.is_none() && department.is_none();
                CardOrg {
                    title: if nothing { Some("Miller".to_owned()) } else { title },
                    company,
                    department,
                }
            }),
            urls: self.list("contacts.urls", |it| CardUrl {
                url: "https://example.org/?a=1&b=2".to_owned(),
                kind: it.words_or_none("contacts.urls.type"),
            }),
            birthday: self.maybe("contacts.birthday", |_| "2012-08-18".parse().expect("a day")),
        }
    }

    fn interactive(&mut self, kind: ContentKind) -> Content {
        let action = self.action(kind);
        // The published schema allows lists no longer body than others, though Meta's page does.
        let mut message = Interactive::builder(action);
        let body = match kind {
            ContentKind::Product => self.maybe("product.body", |it| it.text(1_024)),
            ContentKind::CallPermission => self.maybe("call_permission_request.body", |it| it.text(1_024)),
            _ => Some(self.text(1_024)),
        };
        if let Some(body) = body {
            message = message.body(body);
        }
        let header = match kind {
            ContentKind::Button => self.maybe("button.header", Self::any_header),
            ContentKind::CtaUrl => self.maybe("cta_url.header", Self::any_header),
            ContentKind::Flow => self.maybe("flow.header", Self::any_header),
            ContentKind::Address => self.maybe("address_message.header", Self::any_header),
            ContentKind::List => self.maybe("list.header", Self::text_header),
            ContentKind::VoiceCall => self.maybe("voice_call.header", Self::text_header),
            ContentKind::ProductList => Some(self.text_header()),
            ContentKind::OrderDetails => self.maybe("order_details.header", Self::media_header),
            _ => None,
        };
        if let Some(header) = header {
            message = message.header(header);
        }
        let footer = match kind {
            ContentKind::Button => "button.footer",
            ContentKind::CtaUrl => "cta_url.footer",
            ContentKind::Flow => "flow.footer",
            ContentKind::Address => "address_message.footer",
            ContentKind::List => "list.footer",
            ContentKind::Product => "product.footer",
            ContentKind::ProductList => "product_list.footer",
            ContentKind::Catalog => "catalog_message.footer",
            ContentKind::OrderDetails => "order_details.footer",
            ContentKind::OrderStatus => "order_status.footer",
            _ => "",
        };
        if !footer.is_empty()
            && let Some(footer) = self.maybe(footer, |it| it.text(60))
        {
            message = message.footer(footer);
        }
        message.build().expect("only valid messages are drawn").into()
    }

    fn action(&mut self, kind: ContentKind) -> Action {
        match kind {
            ContentKind::Button => {
                let count = 1 + self.below(3);
                Action::Buttons(self.buttons(count))
            }
            ContentKind::List => Action::List(self.menu()),
            ContentKind::CtaUrl => Action::CtaUrl(self.url_button()),
            ContentKind::Flow => Action::Flow(self.flow()),
            ContentKind::LocationRequest => Action::LocationRequest,
            ContentKind::Address => Action::Address(self.address()),
            ContentKind::Carousel => Action::Carousel(self.carousel()),
            ContentKind::Product => Action::Product(self.product()),
            ContentKind::ProductList => Action::ProductList(self.products()),
            ContentKind::Catalog => {
                Action::Catalog(Catalog { thumbnail_product_retailer_id: "2lc20305pt".to_owned() })
            }
            ContentKind::CallPermission => Action::CallPermission,
            ContentKind::VoiceCall => Action::VoiceCall(VoiceCall {
                display_text: self.maybe("voice_call.display_text", |it| it.text(20)),
                ttl_minutes: self.maybe("voice_call.ttl_minutes", |it| it.pick([1, 100, 43_200])),
                payload: self.maybe("voice_call.payload", |it| it.text(512)),
            }),
            ContentKind::OrderDetails => Action::OrderDetails(Box::new(self.order_details())),
            ContentKind::OrderStatus => Action::OrderStatus(OrderStatusUpdate {
                reference_id: self.text(60),
                status: self.order_status(),
                description: self.maybe("order_status.description", |it| it.text(120)),
            }),
            ContentKind::ContactInfo => Action::ContactInfo,
            other => panic!("{other} is no interactive kind that is drawn here"),
        }
    }

    fn buttons(&mut self, count: u64) -> Vec<ReplyButton> {
        let button = |place| {
            let id = format!("{place}{}", self.text(255)).trim().to_owned();
            ReplyButton::new(id, format!("{place}{}", self.text(19)))
        };
        (0..count).map(button).collect()
    }

    fn url_button(&mut self) -> UrlButton {
        UrlButton { display_text: self.text(20), url: "https://example.org/a%20b?x=1&y=%22".to_owned() }
    }

    fn menu(&mut self) -> ListMenu {
        let count = 1 + self.below(3);
        let mut row = 0;
        let sections = (0..count).map(|_| ListSection {
            title: if count > 1 {
                Some(self.text(24))
            } else {
                self.maybe("list.sections.title", |it| it.text(24))
            },
            rows: (0..=self.below(3))
                .map(|_| {
                    row += 1;
                    ListRow {
                        id: format!("{row} {}", self.text(190)),
                        title: self.text(24),
                        description: self.maybe("list.sections.rows.description", |it| it.text(72)),
                    }
                })
                .collect(),
        });
        let sections = sections.collect();
        ListMenu { button: self.text(20), sections }
    }

    fn flow(&mut self) -> Flow {
        let flow = match self.below(2) {
            0 => self.shape("flow by id", FlowRef::Id("1".to_owned())),
            _ => self.shape("flow by name", FlowRef::Name("sign_up".to_owned())),
        };
        let data = json!({"table": 7, "guests": ["Ada", null], "deep": {"ok": true}});
        let start = self.maybe("flow.flow_action", |it| match it.below(3) {
            0 => it.shape("flow data_exchange", FlowStart::DataExchange),
            _ => {
                let screen = it.maybe("flow.screen", |it| it.text(100));
                let data = it.maybe("flow.data", |_| JsonObject::try_from(data).expect("an object"));
                it.shape("flow navigate", FlowStart::Navigate { screen, data })
            }
        });
        Flow {
            flow,
            cta: self.text(30),
            token: self.maybe("flow.flow_token", |it| it.text(100)),
            mode: self.maybe("flow.mode", |it| it.pick([FlowMode::Draft, FlowMode::Published])),
            start,
        }
    }

    fn address(&mut self) -> AddressRequest {
        let fields = |text: String| [("name".to_owned(), text), ("city".to_owned(), String::new())].into();
        AddressRequest {
            country: self.pick(["IN", "SG"]).to_owned(),
            values: self.maybe("address_message.values", |it| fields(it.words())).unwrap_or_default(),
            saved_addresses: self.list("address_message.saved_addresses", |it| SavedAddress {
                id: "address1".to_owned(),
                value: fields(it.words()),
            }),
            validation_errors: self
                .maybe("address_message.validation_errors", |it| fields(it.words()))
                .unwrap_or_default(),
        }
    }

    fn carousel(&mut self) -> Cards {
        let count = 2 + self.below(9);
        let video = self.below(2) == 0;
        let header = |it: &mut Self| match video {
            true => Header::video(it.source()),
            false => Header::image(it.source()),
        };
        match self.below(3) {
            0 => {
                let card = |_| LinkCard {
                    header: header(self),
                    body: self.maybe("carousel.cards.body", |it| it.short(160)),
                    button: self.url_button(),
                };
                let cards = (0..count).map(card).collect();
                self.shape("carousel of links", Cards::Links(cards))
            }
            1 => {
                let buttons = 1 + self.below(2);
                let card = |_| ReplyCard {
                    header: header(self),
                    body: self.maybe("carousel.cards.body", |it| it.short(160)),
                    buttons: self.buttons(buttons),
                };
                let cards = (0..count).map(card).collect();
                self.shape("carousel of replies", Cards::Replies(cards))
            }
            _ => {
                let cards = (0..count).map(|_| self.product()).collect();
                self.shape("carousel of products", Cards::Products(cards))
            }
        }
    }

    fn product(&mut self) -> Product {
        Product { catalog_id: "367025965434465".to_owned(), product_retailer_id: self.text(50) }
    }

    fn products(&mut self) -> ProductList {
        let count = 1 + self.below(3);
        let sections = (0..count).map(|_| ProductSection {
            title: if count > 1 {
                Some(self.text(24))
            } else {
                self.maybe("product_list.sections.title", |it| it.text(24))
            },
            products: (0..=self.below(10)).map(|_| self.text(50)).collect(),
        });
        ProductList { catalog_id: "146265584024623".to_owned(), sections: sections.collect() }
    }

    fn order_status(&mut self) -> OrderStatus {
        self.pick([
            OrderStatus::Pending,
            OrderStatus::Processing,
            OrderStatus::PartiallyShipped,
            OrderStatus::Shipped,
            OrderStatus::Completed,
            OrderStatus::Canceled,
        ])
    }

    fn order_details(&mut self) -> OrderDetails {
        let amount = |value: u64| Amount::hundredths(i64::try_from(value).expect("small"));
        let items: Vec<_> = (0..=self.below(3))
            .map(|_| OrderItem {
                retailer_id: self.text(50),
                name: self.text(60),
                amount: amount(1_000),
                quantity: 2,
                sale_amount: self.maybe("order_details.items.sale_amount", |_| amount(900)),
            })
            .collect();
        let sum: i64 = items.iter().map(|item| 2 * item.sale_amount.unwrap_or(item.amount).value).sum();
        let tax = DescribedAmount {
            amount: amount(7),
            description: self.maybe("order_details.tax.description", |it| it.text(60)),
        };
        let shipping = self.maybe("order_details.shipping", |it| DescribedAmount {
            amount: amount(20),
            description: it.maybe("order_details.shipping.description", |it| it.text(60)),
        });
        let discount = self.maybe("order_details.discount", |it| Discount {
            amount: amount(5),
            description: it.maybe("order_details.discount.description", |it| it.text(60)),
            program_name: it.maybe("order_details.discount.program_name", |it| it.text(60)),
        });
        let total = sum + 7 + shipping.as_ref().map_or(0, |_| 20) - discount.as_ref().map_or(0, |_| 5);
        let settings = json!({"type": "payment_gateway", "payment_gateway": {"type": "razorpay"}});
        OrderDetails {
            reference_id: self.text(60),
            goods: self.pick([Goods::DigitalGoods, Goods::PhysicalGoods]),
            currency: "INR".parse().expect("a currency"),
            total: Amount::hundredths(total),
            order: Order {
                status: self.order_status(),
                catalog_id: self.maybe("order_details.catalog_id", |it| it.text(50)),
                expiration: self.maybe("order_details.expiration", |it| OrderExpiration {
                    timestamp: 1_790_000_000,
                    description: it.text(120),
                }),
                items,
                subtotal: Amount::hundredths(sum),
                tax,
                shipping,
                discount,
            },
            payment_type: self.maybe("order_details.payment_type", |_| "upi".to_owned()),
            payment_configuration: self.maybe("order_details.payment_configuration", |it| it.text(60)),
            payment_settings: self.list("order_details.payment_settings", |_| {
                JsonObject::try_from(settings.clone()).expect("an object")
            }),
        }
    }

    fn source(&mut self) -> MediaRef {
        match self.below(2) {
            0 => self.shape("media by id", MediaRef::id("2871834006348767")),
            _ => self.shape("media by link", MediaRef::link("https://example.org/a%20b.jpg?x=1&y=2")),
        }
    }

    fn any_header(&mut self) -> Header {
        if self.below(2) == 0 { self.text_header() } else { self.media_header() }
    }

    fn text_header(&mut self) -> Header {
        let text = self.text(60);
        let sub_text = self.maybe("header.sub_text", |it| it.text(60));
        self.shape("header text", Header::Text { text, sub_text })
    }

    fn media_header(&mut self) -> Header {
        let source = self.source();
        match self.below(3) {
            0 => self.shape("header image", Header::image(source)),
            1 => self.shape("header video", Header::video(source)),
            _ => {
                let filename = self.maybe("header.document.filename", |it| it.text(255));
                self.shape("header document", Header::Document { source, filename })
            }
        }
    }

    /// A text without line breaks.
    fn short(&mut self, most: usize) -> String {
        self.text(most).replace('\n', " ")
    }

    fn words_or_none(&mut self, field: &'static str) -> Option<String> {
        self.maybe(field, |it| it.words())
    }

    /// Nothing, or one to three.
    fn list<T>(&mut self, field: &'static str, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let some = self.maybe(field, |it| (0..=it.below(3)).map(|_| make(it)).collect());
        some.unwrap_or_default()
    }
}
