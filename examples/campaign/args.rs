//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use wa_kit::model::{CampaignContent, Category, Content, Region, TemplateContent};

use crate::failure::Failure;

/// Sends a campaign from a CSV file and reports what became of it.
///
/// Without options: the bundled contacts, a new SQLite file, and a simulator of WhatsApp.
/// The same --name on the same --store goes on where it stopped.
#[derive(Debug, Parser)]
#[command(name = "campaign", version)]
pub(crate) struct Args {
    /// The database, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`; a new file in a temporary folder by default
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// The contacts, a CSV file with a header line; the bundled ones by default
    #[arg(long, value_name = "FILE")]
    pub(crate) contacts: Option<PathBuf>,
    /// The column that holds the phone number
    #[arg(long, value_name = "NAME", default_value = "phone")]
    pub(crate) phone_column: String,
    /// The country of numbers that are written without +, such as DE
    #[arg(long, value_name = "CC")]
    pub(crate) region: Option<String>,
    /// The campaign's name
    #[arg(long, default_value = "demo")]
    pub(crate) name: String,
    /// The approved template to send
    #[arg(long, value_name = "NAME", conflicts_with = "text")]
    pub(crate) template: Option<String>,
    /// The template's language
    #[arg(long, value_name = "CODE", default_value = "en_US")]
    pub(crate) language: String,
    /// The template's category
    #[arg(long, value_enum, default_value = "marketing")]
    pub(crate) category: CategoryArg,
    /// A column that fills the template's next placeholder; repeatable
    #[arg(long, value_name = "COLUMN", conflicts_with = "text")]
    pub(crate) param: Vec<String>,
    /// A text with {{column}} placeholders, for contacts with an open window only
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// A Cloud API other than the built-in simulator, by its origin; plain http on loopback only
    #[arg(long, value_name = "URL", requires_all = ["phone_number_id", "token_env"])]
    pub(crate) graph_url: Option<String>,
    /// The sending number's id
    #[arg(long, value_name = "ID", requires = "graph_url")]
    pub(crate) phone_number_id: Option<String>,
    /// The environment variable that holds the access token
    #[arg(long, value_name = "VAR", requires = "graph_url")]
    pub(crate) token_env: Option<String>,
    /// The environment variable that holds the app secret
    #[arg(long, value_name = "VAR", requires = "graph_url")]
    pub(crate) app_secret_env: Option<String>,
    /// The environment variable that holds the webhook verify token
    #[arg(long, value_name = "VAR", requires = "graph_url")]
    pub(crate) verify_token_env: Option<String>,
    /// Where webhooks are taken in, at /webhooks/meta
    #[arg(long, value_name = "ADDR", requires = "app_secret_env")]
    pub(crate) webhook_listen: Option<SocketAddr>,
    /// At most so many messages a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: Option<u32>,
    /// Seconds to wait for statuses after the last send
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) wait: u64,
    /// Messages that may be in doubt after a crash, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) max_in_doubt: Option<u32>,
    /// Write what became of each recipient to this file, as CSV
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) export: Option<PathBuf>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The categories of templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CategoryArg {
    /// Offers and news
    Marketing,
    /// About an order, an account, an appointment
    Utility,
    /// One-time codes
    Authentication,
}

impl Args {
    /// Reads the command line; help and usage errors are printed here.
    pub(crate) fn from_command_line(wants_json: bool) -> Result<Self, ExitCode> {
        match Self::try_parse() {
            Ok(args) => Ok(args),
            Err(error) if error.use_stderr() && wants_json => {
                let text = error.render().to_string();
                let text =
                    text.strip_prefix("error: ").unwrap_or(&text).split("\n\nUsage").next().unwrap_or("");
                Err(Failure::bad_input(text.trim()).tell(true))
            }
            Err(error) => {
                let _ = error.print();
                Err(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)))
            }
        }
    }

    /// The default region, if one was named.
    pub(crate) fn region(&self) -> Result<Option<Region>, Failure> {
        let region = self.region.as_deref().map(str::parse::<Region>).transpose();
        region.map_err(|error| Failure::bad_input(format!("--region: {error}")))
    }

    /// What the campaign says.
    pub(crate) fn content(&self) -> Result<CampaignContent, Failure> {
        if let Some(text) = &self.text {
            let text = Content::text(text.as_str());
            return text.map(CampaignContent::new).map_err(|it| Failure::bad_input(format!("--text: {it}")));
        }
        // The bundled contacts have a column of names; a file of one's own may have none.
        let own = self.template.is_some() || self.contacts.is_some() || !self.param.is_empty();
        let params = if own { self.param.clone() } else { vec!["name".to_owned()] };
        let name = self.template.as_deref().unwrap_or("spring_offer");
        let name = name.parse().map_err(|it| Failure::bad_input(format!("--template: {it}")))?;
        let language = self.language.parse().map_err(|it| Failure::bad_input(format!("--language: {it}")))?;
        let texts = params.iter().map(|column| format!("{{{{{column}}}}}"));
        let template = TemplateContent::with_body(name, language, self.category.into(), texts);
        let template = template.map_err(|error| Failure::bad_input(format!("--param: {error}")))?;
        Ok(CampaignContent::new(Content::Template(template)))
    }

    /// How long to wait for statuses.
    pub(crate) const fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

impl From<CategoryArg> for Category {
    fn from(category: CategoryArg) -> Self {
        match category {
            CategoryArg::Marketing => Self::Marketing,
            CategoryArg::Utility => Self::Utility,
            CategoryArg::Authentication => Self::Authentication,
        }
    }
}
