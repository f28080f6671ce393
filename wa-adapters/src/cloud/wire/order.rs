//! The parameters of order messages.

use serde_json::{Value, json};
use wa_core::model::interactive::{
    Amount, DescribedAmount, Discount, Order, OrderDetails, OrderExpiration, OrderItem, OrderStatusUpdate,
};

use super::interactive::{Fields, object};

pub(super) fn details(details: &OrderDetails) -> Value {
    let OrderDetails {
        reference_id,
        goods,
        currency,
        total,
        order,
        payment_type,
        payment_configuration,
        payment_settings,
    } = details;
    let settings: Vec<_> = payment_settings.iter().map(object).collect();
    Fields::new()
        .put("reference_id", reference_id.as_str())
        .put("type", goods.as_str())
        .put("currency", currency.as_str())
        .put("total_amount", amount(*total).done())
        .put("order", self::order(order))
        .maybe("payment_type", payment_type.as_deref())
        .maybe("payment_configuration", payment_configuration.as_deref())
        .maybe("payment_settings", (!settings.is_empty()).then_some(settings))
        .done()
}

pub(super) fn status(update: &OrderStatusUpdate) -> Value {
    let OrderStatusUpdate { reference_id, status, description } = update;
    let order =
        Fields::new().put("status", status.as_str()).maybe("description", description.as_deref()).done();
    json!({ "reference_id": reference_id, "order": order })
}

fn order(order: &Order) -> Value {
    let Order { status, catalog_id, expiration, items, subtotal, tax, shipping, discount } = order;
    let expiration = expiration.as_ref().map(|OrderExpiration { timestamp, description }| {
        // Meta's examples write this instant as a text.
        json!({ "timestamp": timestamp.to_string(), "description": description })
    });
    let discount = discount.as_ref().map(|Discount { amount: it, description, program_name }| {
        amount(*it)
            .maybe("description", description.as_deref())
            .maybe("discount_program_name", program_name.as_deref())
            .done()
    });
    Fields::new()
        .put("status", status.as_str())
        .maybe("catalog_id", catalog_id.as_deref())
        .maybe("expiration", expiration)
        .put("items", items.iter().map(item).collect::<Vec<_>>())
        .put("subtotal", amount(*subtotal).done())
        .put("tax", described(tax))
        .maybe("shipping", shipping.as_ref().map(described))
        .maybe("discount", discount)
        .done()
}

fn item(item: &OrderItem) -> Value {
    let OrderItem { retailer_id, name, amount: each, quantity, sale_amount } = item;
    Fields::new()
        .put("retailer_id", retailer_id.as_str())
        .put("name", name.as_str())
        .put("amount", amount(*each).done())
        .put("quantity", *quantity)
        .maybe("sale_amount", sale_amount.map(|sale| amount(sale).done()))
        .done()
}

fn described(it: &DescribedAmount) -> Value {
    let DescribedAmount { amount: value, description } = it;
    amount(*value).maybe("description", description.as_deref()).done()
}

fn amount(amount: Amount) -> Fields {
    let Amount { value, offset } = amount;
    Fields::new().put("value", value).put("offset", offset)
}
