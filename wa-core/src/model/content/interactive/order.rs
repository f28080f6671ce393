//! Orders to pay, and what becomes of them.
//!
//! Source: Meta, Payments API (order details and order status messages) and the examples of its
//! `OpenAPI` v23.0, read December 2025. Which payment services exist in a country is Meta's to say:
//! their settings are carried along as they are.

use serde::{Deserialize, Serialize};

use crate::model::Currency;
use crate::model::content::JsonObject;
use crate::model::content::check::{Checked, Flaw, Place, hidden};
use crate::model::content::texts::texts;

/// An order to pay.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDetails {
    /// The business's own id of the order: 1 to 60 characters; status messages name it.
    pub reference_id: String,
    /// What is sold.
    pub goods: Goods,
    /// The currency of every amount.
    pub currency: Currency,
    /// What is to be paid: subtotal + tax + shipping - discount.
    pub total: Amount,
    /// The order.
    pub order: Order,
    /// How it is paid, such as `upi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_type: Option<String>,
    /// The name of a payment configuration that was set up at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_configuration: Option<String>,
    /// Settings of payment services, as each of them defines; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payment_settings: Vec<JsonObject>,
}

/// What is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goods {
    /// Something that is not shipped.
    DigitalGoods,
    /// Something that is.
    PhysicalGoods,
}

/// An amount in an order: `value / offset` units of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The amount times the offset; not negative.
    pub value: i64,
    /// 100 for currencies with two decimal places.
    pub offset: u32,
}

/// What is ordered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Where the order stands; `Pending` when it is to be paid.
    pub status: OrderStatus,
    /// The catalogue of its items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<OrderExpiration>,
    /// 1 to 999 items.
    pub items: Vec<OrderItem>,
    /// What the items cost together, at their sale prices.
    pub subtotal: Amount,
    /// Tax on top.
    pub tax: DescribedAmount,
    /// Shipping on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping: Option<DescribedAmount>,
    /// What is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
}

/// When an order expires.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderExpiration {
    /// Seconds since the Unix epoch; at least five minutes ahead, says Meta.
    pub timestamp: i64,
    /// Why: 1 to 120 characters.
    pub description: String,
}

/// One item of an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderItem {
    /// The business's own id of the product.
    pub retailer_id: String,
    /// Its name: 1 to 60 characters.
    pub name: String,
    /// What one costs.
    pub amount: Amount,
    /// How many, at least one.
    pub quantity: u32,
    /// What one costs now, at most `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale_amount: Option<Amount>,
}

/// An amount with a word on it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedAmount {
    /// The amount.
    pub amount: Amount,
    /// 1 to 60 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What is taken off a price.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// The amount.
    pub amount: Amount,
    /// 1 to 60 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The programme by which it is given: 1 to 60 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_name: Option<String>,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// To be paid.
    Pending,
    /// Being worked on.
    Processing,
    /// A part is on its way.
    PartiallyShipped,
    /// On its way.
    Shipped,
    /// Done.
    Completed,
    /// Will not be done.
    Canceled,
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStatusUpdate {
    /// The `reference_id` of its [`OrderDetails`].
    pub reference_id: String,
    /// Where it stands now.
    pub status: OrderStatus,
    /// A word on it: 1 to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl OrderDetails {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self {
            reference_id,
            goods: _,
            currency: _,
            total,
            order,
            payment_type,
            payment_configuration,
            payment_settings,
        } = self;
        let at = at.field("parameters");
        check_reference(reference_id, &at)?;
        at.field("payment_type").optional(payment_type.as_ref(), 60)?;
        at.field("payment_configuration").optional(payment_configuration.as_ref(), 60)?;
        at.field("payment_settings").count(payment_settings.len(), 0, 10)?;
        for (index, settings) in payment_settings.iter().enumerate() {
            settings.check(&at.item("payment_settings", index))?;
        }
        total.check(&at.field("total_amount"))?;
        order.check(&at.field("order"))?;
        let due = order.due();
        at.field("total_amount").must(due == Some((total.value, total.offset)), Flaw::Sum)
    }
}

impl Order {
    fn check(&self, at: &Place<'_>) -> Checked {
        let Self { status: _, catalog_id, expiration, items, subtotal, tax, shipping, discount } = self;
        at.field("catalog_id").optional(catalog_id.as_ref(), 1_024)?;
        if let Some(OrderExpiration { timestamp, description }) = expiration {
            let at = at.field("expiration");
            at.field("timestamp").must(*timestamp > 0, Flaw::Form("after 1970"))?;
            at.field("description").text(description, 120)?;
        }
        at.field("items").count(items.len(), 1, 999)?;
        for (index, item) in items.iter().enumerate() {
            item.check(&at.item("items", index))?;
        }
        subtotal.check(&at.field("subtotal"))?;
        tax.check(&at.field("tax"))?;
        if let Some(shipping) = shipping {
            shipping.check(&at.field("shipping"))?;
        }
        if let Some(Discount { amount, description, program_name }) = discount {
            let at = at.field("discount");
            amount.check(&at)?;
            at.field("description").optional(description.as_ref(), 60)?;
            at.field("discount_program_name").optional(program_name.as_ref(), 60)?;
        }
        let offset = subtotal.offset;
        let sum = items.iter().try_fold(0_i64, |sum, item| {
            let one = item.sale_amount.unwrap_or(item.amount);
            (one.offset == offset).then_some(())?;
            sum.checked_add(one.value.checked_mul(i64::from(item.quantity))?)
        });
        at.field("subtotal").must(sum == Some(subtotal.value), Flaw::Sum)
    }

    /// Subtotal + tax + shipping - discount and their offset, if they have one in common.
    fn due(&self) -> Option<(i64, u32)> {
        let offset = self.subtotal.offset;
        let value = |amount: &Amount| (amount.offset == offset).then_some(amount.value);
        let shipping = self.shipping.as_ref().map_or(Some(0), |shipping| value(&shipping.amount))?;
        let discount = self.discount.as_ref().map_or(Some(0), |discount| value(&discount.amount))?;
        let due = self.subtotal.value.checked_add(value(&self.tax.amount)?)?;
        let due = due.checked_add(shipping)?.checked_sub(discount)?;
        Some((due, offset))
    }
}

impl OrderItem {
    fn check(&self, at: &Place<'_>) -> Checked {
        let Self { retailer_id, name, amount, quantity, sale_amount } = self;
        at.field("retailer_id").text(retailer_id, 1_024)?;
        at.field("name").text(name, 60)?;
        amount.check(&at.field("amount"))?;
        at.field("quantity").must(*quantity > 0, Flaw::Form("at least 1"))?;
        let Some(sale) = sale_amount else { return Ok(()) };
        let at = at.field("sale_amount");
        sale.check(&at)?;
        let is_less = sale.offset == amount.offset && sale.value <= amount.value;
        at.must(is_less, Flaw::Form("at most the amount"))
    }
}

impl Amount {
    /// An amount of a currency with two decimal places, in its hundredths.
    #[must_use]
    pub const fn hundredths(value: i64) -> Self {
        Self { value, offset: 100 }
    }

    fn check(self, at: &Place<'_>) -> Checked {
        let Self { value, offset } = self;
        at.field("value").must(value >= 0, Flaw::Form("at least 0"))?;
        let is_power = matches!(offset, 1 | 10 | 100 | 1_000 | 10_000);
        at.field("offset").must(is_power, Flaw::Form("1, 10, 100, 1000 or 10000"))
    }
}

impl DescribedAmount {
    fn check(&self, at: &Place<'_>) -> Checked {
        let Self { amount, description } = self;
        amount.check(at)?;
        at.field("description").optional(description.as_ref(), 60)
    }
}

impl OrderStatusUpdate {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { reference_id, status: _, description } = self;
        let at = at.field("parameters");
        check_reference(reference_id, &at)?;
        at.field("order").field("description").optional(description.as_ref(), 120)
    }
}

impl OrderStatus {
    /// The name, as Meta writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::PartiallyShipped => "partially_shipped",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }
}

impl Goods {
    /// The name, as Meta writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DigitalGoods => "digital-goods",
            Self::PhysicalGoods => "physical-goods",
        }
    }
}

fn check_reference(reference: &str, at: &Place<'_>) -> Checked {
    at.field("reference_id").text(reference, 60)
}

texts!(OrderDetails { reference_id, order, payment_type, payment_configuration, payment_settings }
    keep { goods, currency, total });
texts!(Order { catalog_id, expiration, items, tax, shipping, discount } keep { status, subtotal });
texts!(OrderExpiration { description } keep { timestamp });
texts!(OrderItem { retailer_id, name } keep { amount, quantity, sale_amount });
texts!(DescribedAmount { description } keep { amount });
texts!(Discount { description, program_name } keep { amount });
texts!(OrderStatusUpdate { reference_id, description } keep { status });

hidden!(OrderDetails, Order, OrderExpiration, OrderItem, DescribedAmount, Discount, OrderStatusUpdate);
