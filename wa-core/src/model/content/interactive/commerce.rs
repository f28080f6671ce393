//! Products of a catalogue that is connected to the account.

use serde::{Deserialize, Serialize};

use crate::model::content::check::{Checked, Flaw, Place, hidden};
use crate::model::content::texts::texts;

/// The most characters of an id in a catalogue. Unconfirmed: Meta names no limit.
const MAX_ID: usize = 1_024;

/// One product.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The catalogue.
    pub catalog_id: String,
    /// The product's id in it.
    pub product_retailer_id: String,
}

/// Several products.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductList {
    /// The catalogue.
    pub catalog_id: String,
    /// 1 to 10 sections with up to 30 products in all.
    pub sections: Vec<ProductSection>,
}

/// A part of a product list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductSection {
    /// 1 to 24 characters; needed when there are several sections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The ids of its products in the catalogue, at least one.
    pub products: Vec<String>,
}

/// The whole catalogue.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The product whose picture is shown.
    pub thumbnail_product_retailer_id: String,
}

impl Product {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { catalog_id, product_retailer_id } = self;
        at.field("catalog_id").text(catalog_id, MAX_ID)?;
        at.field("product_retailer_id").text(product_retailer_id, MAX_ID)
    }
}

impl ProductList {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { catalog_id, sections } = self;
        at.field("catalog_id").text(catalog_id, MAX_ID)?;
        at.field("sections").count(sections.len(), 1, 10)?;
        for (index, ProductSection { title, products }) in sections.iter().enumerate() {
            let at = at.item("sections", index);
            at.field("title").must(title.is_some() || sections.len() == 1, Flaw::Missing)?;
            at.field("title").optional(title.as_ref(), 24)?;
            at.field("product_items").count(products.len(), 1, 30)?;
            for (index, product) in products.iter().enumerate() {
                at.item("product_items", index).text(product, MAX_ID)?;
            }
        }
        let products = sections.iter().map(|section| section.products.len()).sum();
        at.field("sections").field("product_items").count(products, 1, 30)
    }
}

impl Catalog {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { thumbnail_product_retailer_id } = self;
        let at = at.field("parameters");
        at.field("thumbnail_product_retailer_id").text(thumbnail_product_retailer_id, MAX_ID)
    }
}

texts!(Product { catalog_id, product_retailer_id });
texts!(ProductList { catalog_id, sections });
texts!(ProductSection { title, products });
texts!(Catalog { thumbnail_product_retailer_id });

hidden!(Product, ProductList, ProductSection, Catalog);
