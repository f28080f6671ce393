//! Contact cards: people and businesses with their addresses.
//!
//! Source: Meta, Contacts messages, and the schema of its Business Messaging `OpenAPI` v23.0 (at most
//! five cards), read December 2025. The kinds of phones and addresses are free texts there.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::check::{Checked, Flaw, InvalidContent, Place, hidden};
use super::texts::{Fill, Texts, texts};

/// One to five contact cards.
///
/// ```
/// use wa_core::model::{CardName, CardPhone, ContactCard, ContactCards};
/// let card = ContactCard {
///     name: CardName { formatted_name: "Ada Lovelace".into(), ..CardName::default() },
///     phones: vec![CardPhone { phone: Some("+49 30 1234".into()), ..CardPhone::default() }],
///     ..ContactCard::default()
/// };
/// let cards = ContactCards::new(vec![card])?;
/// assert_eq!(cards.as_slice().len(), 1);
/// assert!(ContactCards::new(vec![ContactCard::default()]).is_err());
/// # Ok::<(), wa_core::model::InvalidContent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ContactCard>", into = "Vec<ContactCard>")]
pub struct ContactCards(Vec<ContactCard>);

/// One contact card.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactCard {
    /// Who it is.
    pub name: CardName,
    /// Phone numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<CardPhone>,
    /// Mail addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<CardEmail>,
    /// Postal addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<CardAddress>,
    /// Where the person works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<CardOrg>,
    /// Addresses on the web.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<CardUrl>,
    /// The day of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birthday: Option<NaiveDate>,
}

/// The parts of a name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardName {
    /// The name as it is shown; must not be blank.
    pub formatted_name: String,
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Middle name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    /// What stands behind the name, such as `Jr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// What stands before the name, such as `Dr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A phone number of a card; the number or the WhatsApp id must be there.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardPhone {
    /// The number, written as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// What kind of number it is, such as `CELL` or `WORK`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The number's WhatsApp id; with it the card has a button to write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
}

/// A mail address of a card.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardEmail {
    /// The address.
    pub email: String,
    /// What kind of address it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A postal address of a card.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardAddress {
    /// Street and number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State, abbreviated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    /// Country, in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Country as two letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// What kind of address it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Where a person works.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardOrg {
    /// The company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// The department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// An address on the web of a card.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardUrl {
    /// The address.
    pub url: String,
    /// What kind of address it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl ContactCards {
    /// The most cards of one message.
    pub const MAX: usize = 5;
    /// The most characters of one field. Unconfirmed: Meta names no limit.
    pub const MAX_CHARS: usize = 1_024;
    /// The most phones, mail addresses, postal or web addresses of one card, each. Unconfirmed.
    pub const MAX_ENTRIES: usize = 30;

    /// Takes the cards of a message.
    ///
    /// # Errors
    /// When there are none or over five, a card has no name, or one of its fields is blank or not
    /// what it is called.
    pub fn new(cards: Vec<ContactCard>) -> Result<Self, InvalidContent> {
        let cards = Self(cards);
        cards.check().map(|()| cards)
    }

    /// The cards, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[ContactCard] {
        &self.0
    }

    pub(super) fn check(&self) -> Checked {
        Place::root("contacts").count(self.0.len(), 1, Self::MAX)?;
        for (index, card) in self.0.iter().enumerate() {
            card.check(&Place::root_item("contacts", index))?;
        }
        Ok(())
    }
}

impl ContactCard {
    fn check(&self, at: &Place<'_>) -> Checked {
        let Self { name, phones, emails, addresses, org, urls, birthday: _ } = self;
        name.check(&at.field("name"))?;
        for (list, count) in [
            ("phones", phones.len()),
            ("emails", emails.len()),
            ("addresses", addresses.len()),
            ("urls", urls.len()),
        ] {
            at.field(list).count(count, 0, ContactCards::MAX_ENTRIES)?;
        }
        for (index, CardPhone { phone, kind, wa_id }) in phones.iter().enumerate() {
            let at = at.item("phones", index);
            at.must(phone.is_some() || wa_id.is_some(), Flaw::Empty)?;
            fields(&at, &[("phone", phone), ("type", kind), ("wa_id", wa_id)])?;
        }
        for (index, CardEmail { email, kind }) in emails.iter().enumerate() {
            let at = at.item("emails", index);
            at.field("email").text(email, ContactCards::MAX_CHARS)?;
            let parts = email.split_once('@');
            let is_address = parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
            let is_address = is_address && !email.contains(char::is_whitespace);
            at.field("email").must(is_address, Flaw::Form("a mail address"))?;
            fields(&at, &[("type", kind)])?;
        }
        for (index, CardAddress { street, city, state, zip, country, country_code, kind }) in
            addresses.iter().enumerate()
        {
            let parts = [
                ("street", street),
                ("city", city),
                ("state", state),
                ("zip", zip),
                ("country", country),
                ("country_code", country_code),
                ("type", kind),
            ];
            let at = at.item("addresses", index);
            at.must(parts.iter().any(|(_, part)| part.is_some()), Flaw::Empty)?;
            fields(&at, &parts)?;
        }
        if let Some(CardOrg { company, department, title }) = org {
            let parts = [("company", company), ("department", department), ("title", title)];
            at.field("org").must(parts.iter().any(|(_, part)| part.is_some()), Flaw::Empty)?;
            fields(&at.field("org"), &parts)?;
        }
        for (index, CardUrl { url, kind }) in urls.iter().enumerate() {
            let at = at.item("urls", index);
            at.field("url").link(url)?;
            fields(&at, &[("type", kind)])?;
        }
        Ok(())
    }
}

impl CardName {
    fn check(&self, at: &Place<'_>) -> Checked {
        let Self { formatted_name, first_name, last_name, middle_name, suffix, prefix } = self;
        at.field("formatted_name").text(formatted_name, ContactCards::MAX_CHARS)?;
        let parts = [
            ("first_name", first_name),
            ("last_name", last_name),
            ("middle_name", middle_name),
            ("suffix", suffix),
            ("prefix", prefix),
        ];
        fields(at, &parts)
    }
}

fn fields(at: &Place<'_>, fields: &[(&str, &Option<String>)]) -> Checked {
    fields.iter().try_for_each(|(name, text)| at.field(name).optional(text.as_ref(), ContactCards::MAX_CHARS))
}

impl Texts for ContactCards {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        self.0.map_texts(fill).map(Self)
    }
}

texts!(ContactCard { name, phones, emails, addresses, org, urls } keep { birthday });
texts!(CardName { formatted_name, first_name, last_name, middle_name, suffix, prefix });
texts!(CardPhone { phone, kind, wa_id });
texts!(CardEmail { email, kind });
texts!(CardAddress { street, city, state, zip, country, country_code, kind });
texts!(CardOrg { company, department, title });
texts!(CardUrl { url, kind });

impl TryFrom<Vec<ContactCard>> for ContactCards {
    type Error = InvalidContent;
    fn try_from(cards: Vec<ContactCard>) -> Result<Self, InvalidContent> {
        Self::new(cards)
    }
}

impl From<ContactCards> for Vec<ContactCard> {
    fn from(cards: ContactCards) -> Self {
        cards.0
    }
}

hidden!(ContactCards, ContactCard, CardName, CardPhone, CardEmail, CardAddress, CardOrg, CardUrl);
