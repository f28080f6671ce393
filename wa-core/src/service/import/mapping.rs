//! Which column of a file means what, and the digest by which a file and its mapping are known.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::model::{Fingerprint, Region};

/// Which column means what. Columns are named as in the file's header, white space around them aside.
///
/// ```
/// use wa_core::service::import::CsvMapping;
/// let mapping = CsvMapping {
///     phone_column: "Mobile".to_owned(),
///     required_columns: vec!["First name".to_owned()],
///     rename: [("First name".to_owned(), "name".to_owned())].into(),
///     ..CsvMapping::default()
/// };
/// assert_eq!(mapping.opted_out_column.as_deref(), Some("opted_out"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvMapping {
    /// Where the phone stands.
    pub phone_column: String,
    /// The country whose national number format is assumed; without it every number needs its `+`.
    pub region: Option<Region>,
    /// Columns that must be there and filled in every row. They are kept as attributes, the phone too.
    pub required_columns: Vec<String>,
    /// Where it says who opted out: 1, true, yes or x. The default column may be missing, another not.
    pub opted_out_column: Option<String>,
    /// Other names for the attributes that columns become, by column.
    pub rename: BTreeMap<String, String>,
}

impl CsvMapping {
    /// The phone column, unless another is named.
    pub const PHONE: &'static str = "phone";
    /// The opt-out column, unless another is named.
    pub const OPTED_OUT: &'static str = "opted_out";
}

impl Default for CsvMapping {
    /// The columns `phone` and `opted_out`, numbers with `+` only, nothing required.
    fn default() -> Self {
        Self {
            phone_column: Self::PHONE.to_owned(),
            region: None,
            required_columns: Vec::new(),
            opted_out_column: Some(Self::OPTED_OUT.to_owned()),
            rename: BTreeMap::new(),
        }
    }
}

/// The digest of a file and its mapping: the same one means the same import, which can be resumed.
///
/// Reads to the end with a fixed buffer.
///
/// # Errors
/// When the file cannot be read.
pub fn source_fingerprint(mut reader: impl Read, mapping: &CsvMapping) -> io::Result<Fingerprint> {
    let CsvMapping { phone_column, region, required_columns, opted_out_column, rename } = mapping;
    let region = region.as_ref().map(Region::code);
    let form = serde_json::to_vec(&(phone_column, region, required_columns, opted_out_column, rename))
        .map_err(io::Error::other)?;
    let mut digest = Sha256::new();
    // The form has no line break in it, so this one ends it: no file can pretend to another mapping.
    digest.update(&form);
    digest.update(b"\n");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(buffer.get(..count).unwrap_or_default());
    }
    Ok(Fingerprint::from_bytes(digest.finalize().into()))
}
