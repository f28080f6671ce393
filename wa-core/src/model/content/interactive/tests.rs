use super::*;
use crate::model::MediaRef;

fn video() -> Header {
    Header::video(MediaRef::id("1"))
}

fn button(id: usize) -> ReplyButton {
    ReplyButton::new(format!("id {id}"), format!("Title {id}"))
}

fn row(id: usize) -> ListRow {
    ListRow { id: id.to_string(), title: format!("Row {id}"), description: None }
}

fn menu(sections: &[usize]) -> ListMenu {
    let mut next = 0;
    let mut rows = |count| {
        (0..count)
            .map(|_| {
                next += 1;
                row(next)
            })
            .collect()
    };
    let sections =
        sections.iter().map(|count| ListSection { title: Some("S".to_owned()), rows: rows(*count) });
    ListMenu { button: "Choose".to_owned(), sections: sections.collect() }
}

fn order() -> OrderDetails {
    let amount = Amount::hundredths;
    let described = |value| DescribedAmount { amount: amount(value), description: None };
    OrderDetails {
        reference_id: "r-1".to_owned(),
        goods: Goods::DigitalGoods,
        currency: "INR".parse().expect("a currency"),
        total: amount(2_100),
        order: Order {
            status: OrderStatus::Pending,
            catalog_id: None,
            expiration: None,
            items: vec![OrderItem {
                retailer_id: "1".to_owned(),
                name: "bread".to_owned(),
                amount: amount(1_500),
                quantity: 2,
                sale_amount: Some(amount(1_000)),
            }],
            subtotal: amount(2_000),
            tax: described(100),
            shipping: Some(described(100)),
            discount: Some(Discount { amount: amount(100), description: None, program_name: None }),
        },
        payment_type: Some("upi".to_owned()),
        payment_configuration: None,
        payment_settings: Vec::new(),
    }
}

fn flow() -> Flow {
    let flow = FlowRef::Id("1".to_owned());
    Flow { flow, cta: "Start".to_owned(), token: None, mode: None, start: None }
}

fn place_of(built: Result<Interactive, InvalidContent>) -> String {
    built.expect_err("refused").place().to_owned()
}

#[test]
fn each_action_takes_the_header_body_and_footer_that_it_has() {
    let links = LinkCard {
        header: video(),
        body: None,
        button: UrlButton { display_text: "Open".to_owned(), url: "https://example.org".to_owned() },
    };
    let product = || Product { catalog_id: "1".to_owned(), product_retailer_id: "2".to_owned() };
    let section = ProductSection { title: None, products: vec!["2".to_owned()] };
    let address = AddressRequest {
        country: "IN".to_owned(),
        values: [("city".to_owned(), String::new())].into(),
        saved_addresses: Vec::new(),
        validation_errors: std::collections::BTreeMap::new(),
    };
    let status =
        OrderStatusUpdate { reference_id: "r".to_owned(), status: OrderStatus::Shipped, description: None };
    // Text header, media header, needs a body, footer.
    for (action, text, media, body, footer) in [
        (Action::Buttons(vec![button(1)]), true, true, true, true),
        (Action::List(menu(&[1])), true, false, true, true),
        (Action::CtaUrl(links.button.clone()), true, true, true, true),
        (Action::Flow(flow()), true, true, true, true),
        (Action::LocationRequest, false, false, true, false),
        (Action::Address(address), true, true, true, true),
        (Action::Carousel(Cards::Links(vec![links.clone(), links])), false, false, true, false),
        (Action::Product(product()), false, false, false, true),
        (
            Action::Catalog(Catalog { thumbnail_product_retailer_id: "2".to_owned() }),
            false,
            false,
            true,
            true,
        ),
        (Action::CallPermission, false, false, false, false),
        (Action::VoiceCall(VoiceCall::default()), true, false, true, false),
        (Action::OrderDetails(Box::new(order())), false, true, true, true),
        (Action::OrderStatus(status), false, false, true, true),
        (Action::ContactInfo, false, false, true, false),
    ] {
        let shown = format!("{action:?}");
        let with_body = || Interactive::builder(action.clone()).body("b");
        assert!(with_body().build().is_ok(), "{shown}: {:?}", with_body().build());
        assert_eq!(with_body().header(Header::text("h")).build().is_ok(), text, "{shown}");
        assert_eq!(with_body().header(video()).build().is_ok(), media, "{shown}");
        assert_eq!(with_body().footer("f").build().is_ok(), footer, "{shown}");
        assert_eq!(Interactive::builder(action).build().is_err(), body, "{shown}");
    }
    let list = Action::ProductList(ProductList { catalog_id: "1".to_owned(), sections: vec![section] });
    assert_eq!(place_of(Interactive::builder(list.clone()).body("b").build()), "header");
    assert!(Interactive::builder(list).header(Header::text("h")).body("b").build().is_ok());
}

#[test]
fn texts_around_an_action_keep_their_limits() {
    let long = |chars| "ü".repeat(chars);
    let buttons = || Interactive::builder(Action::Buttons(vec![button(1)]));
    assert!(buttons().body(long(1_024)).header(Header::text(long(60))).footer(long(60)).build().is_ok());
    assert_eq!(place_of(buttons().body(long(1_025)).build()), "body");
    assert_eq!(place_of(buttons().body("b").header(Header::text(long(61))).build()), "header.text");
    assert_eq!(place_of(buttons().body("b").footer(long(61)).build()), "footer");
    // The page on list messages allows more than the published schema does.
    assert!(Interactive::builder(Action::List(menu(&[1]))).body(long(4_096)).build().is_ok());
    assert_eq!(place_of(Interactive::builder(Action::List(menu(&[1]))).body(long(4_097)).build()), "body");
}

fn check(action: Action, place: &str) {
    assert_eq!(place_of(Interactive::builder(action).body("b").build()), place);
}

#[test]
fn buttons_and_rows_are_counted_and_told_apart() {
    check(Action::Buttons(Vec::new()), "action.buttons");
    check(Action::Buttons((0..4).map(button).collect()), "action.buttons");
    check(Action::Buttons(vec![button(1), ReplyButton::new("id 1", "x")]), "action.buttons[1].id");
    check(Action::Buttons(vec![button(1), ReplyButton::new("x", "Title 1")]), "action.buttons[1].title");
    check(Action::Buttons(vec![ReplyButton::new(" x", "x")]), "action.buttons[0].id");
    assert!(Interactive::builder(Action::List(menu(&[5, 5]))).body("b").build().is_ok());
    check(Action::List(menu(&[5, 6])), "action.sections.rows");
    check(Action::List(menu(&[0])), "action.sections[0].rows");
    check(Action::List(menu(&[])), "action.sections");
    let mut untitled = menu(&[1, 1]);
    untitled.sections[1].title = None;
    check(Action::List(untitled), "action.sections[1].title");
    let mut twice = menu(&[1, 1]);
    twice.sections[1].rows[0].id = "1".to_owned();
    check(Action::List(twice), "action.sections[1].rows[0].id");
    let mut long = menu(&[1]);
    long.sections[0].rows[0].description = Some("x".repeat(73));
    check(Action::List(long), "action.sections[0].rows[0].description");
}

#[test]
fn cards_of_a_carousel_are_all_of_one_make() {
    let card = |header, buttons| ReplyCard { header, body: None, buttons };
    let image = || Header::image(MediaRef::id("1"));
    let replies = |cards| Action::Carousel(Cards::Replies(cards));
    let built =
        Interactive::builder(replies(vec![card(video(), vec![button(1)]), card(video(), vec![button(1)])]));
    assert!(built.body("b").build().is_ok());
    check(replies(vec![card(video(), vec![button(1)])]), "action.cards");
    let mixed = vec![card(video(), vec![button(1)]), card(image(), vec![button(1)])];
    check(replies(mixed), "action.cards[1].header");
    let uneven = vec![card(video(), vec![button(1)]), card(video(), vec![button(1), button(2)])];
    check(replies(uneven), "action.cards[1].buttons");
    let texts = vec![card(Header::text("h"), vec![button(1)]), card(video(), vec![button(1)])];
    check(replies(texts), "action.cards[0].header");
    let mut broken = card(video(), vec![button(1)]);
    broken.body = Some("a\nb\nc\nd".to_owned());
    check(replies(vec![broken.clone(), broken]), "action.cards[0].body");
    let product =
        |catalog: &str| Product { catalog_id: catalog.to_owned(), product_retailer_id: "p".to_owned() };
    let two = Action::Carousel(Cards::Products(vec![product("1"), product("2")]));
    check(two, "action.cards[1].action.catalog_id");
}

#[test]
fn an_order_adds_up() {
    let with = |change: fn(&mut OrderDetails)| {
        let mut order = order();
        change(&mut order);
        Action::OrderDetails(Box::new(order))
    };
    assert!(Interactive::builder(with(|_| {})).body("b").build().is_ok());
    check(with(|it| it.total.value += 1), "action.parameters.total_amount");
    check(with(|it| it.order.subtotal.value += 1), "action.parameters.order.subtotal");
    check(with(|it| it.order.items[0].quantity = 3), "action.parameters.order.subtotal");
    check(with(|it| it.order.items[0].quantity = 0), "action.parameters.order.items[0].quantity");
    check(
        with(|it| it.order.items[0].sale_amount = Some(Amount::hundredths(1_501))),
        "action.parameters.order.items[0].sale_amount",
    );
    check(with(|it| it.order.tax.amount.offset = 10), "action.parameters.total_amount");
    check(with(|it| it.order.items.clear()), "action.parameters.order.items");
    let overflow = with(|it| {
        it.order.items[0].sale_amount = None;
        it.order.items[0].amount.value = i64::MAX;
    });
    check(overflow, "action.parameters.order.subtotal");
}

#[test]
fn flows_addresses_and_calls_keep_their_limits() {
    let mut long = flow();
    long.cta = "x".repeat(31);
    check(Action::Flow(long), "action.parameters.flow_cta");
    let mut nameless = flow();
    nameless.flow = FlowRef::Name(String::new());
    check(Action::Flow(nameless), "action.parameters.flow_name");
    let call = |ttl_minutes| VoiceCall { ttl_minutes: Some(ttl_minutes), ..VoiceCall::default() };
    check(Action::VoiceCall(call(0)), "action.parameters.ttl_minutes");
    check(Action::VoiceCall(call(43_201)), "action.parameters.ttl_minutes");
    let products = |count: usize| ProductList {
        catalog_id: "1".to_owned(),
        sections: vec![
            ProductSection { title: Some("a".to_owned()), products: vec!["p".to_owned(); count] },
            ProductSection { title: Some("b".to_owned()), products: vec!["p".to_owned()] },
        ],
    };
    let built = |count| {
        Interactive::builder(Action::ProductList(products(count))).header(Header::text("h")).body("b").build()
    };
    assert!(built(29).is_ok());
    assert_eq!(place_of(built(30)), "action.sections.product_items");
}
