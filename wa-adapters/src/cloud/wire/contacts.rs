//! The `contacts` array.

use serde::Serialize;
use wa_core::model::{CardAddress, CardEmail, CardName, CardOrg, CardPhone, CardUrl, ContactCard};

#[derive(Debug, Serialize)]
pub(super) struct CardBody<'a> {
    name: NameBody<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phones: Vec<PhoneBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    emails: Vec<EmailBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<AddressBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<OrgBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<UrlBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    birthday: Option<String>,
}

macro_rules! body {
    ($name:ident { $($needed:ident),* ; $($optional:ident $(as $renamed:literal)?),* }) => {
        #[derive(Debug, Serialize)]
        struct $name<'a> {
            $($needed: &'a str,)*
            $(
                #[serde(skip_serializing_if = "Option::is_none" $(, rename = $renamed)?)]
                $optional: Option<&'a str>,
            )*
        }
    };
}

body!(NameBody { formatted_name; first_name, last_name, middle_name, suffix, prefix });
body!(PhoneBody { ; phone, kind as "type", wa_id });
body!(EmailBody { email; kind as "type" });
body!(AddressBody { ; street, city, state, zip, country, country_code, kind as "type" });
body!(OrgBody { ; company, department, title });
body!(UrlBody { url; kind as "type" });

impl<'a> CardBody<'a> {
    pub(super) fn of(card: &'a ContactCard) -> Self {
        let ContactCard { name, phones, emails, addresses, org, urls, birthday } = card;
        Self {
            name: NameBody::of(name),
            phones: phones.iter().map(PhoneBody::of).collect(),
            emails: emails.iter().map(EmailBody::of).collect(),
            addresses: addresses.iter().map(AddressBody::of).collect(),
            org: org.as_ref().map(OrgBody::of),
            urls: urls.iter().map(UrlBody::of).collect(),
            birthday: birthday.map(|day| day.format("%Y-%m-%d").to_string()),
        }
    }
}

macro_rules! borrow {
    ($body:ident of $part:ident { $($needed:ident),* ; $($optional:ident),* }) => {
        impl<'a> $body<'a> {
            fn of(part: &'a $part) -> Self {
                let $part { $($needed,)* $($optional,)* } = part;
                Self { $($needed,)* $($optional: $optional.as_deref(),)* }
            }
        }
    };
}

borrow!(NameBody of CardName { formatted_name; first_name, last_name, middle_name, suffix, prefix });
borrow!(PhoneBody of CardPhone { ; phone, kind, wa_id });
borrow!(EmailBody of CardEmail { email; kind });
borrow!(AddressBody of CardAddress { ; street, city, state, zip, country, country_code, kind });
borrow!(OrgBody of CardOrg { ; company, department, title });
borrow!(UrlBody of CardUrl { url; kind });
