//! The provider's process: the simulator with faults, whose file is the truth about what was accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use wa_kit::simulator::{Fault, NumberProfile, Simulator, TemplateCategory};

use crate::{APP_SECRET, Anyhow, TOKEN, number};

#[derive(Debug, clap::Args)]
pub(crate) struct Provider {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    webhook: String,
    #[arg(long)]
    log: PathBuf,
    #[arg(long)]
    numbers: u16,
    #[arg(long)]
    replies_lost: f64,
    #[arg(long)]
    seed: u64,
}

impl Provider {
    pub(crate) async fn run(self) -> Result<(), Anyhow> {
        let mut builder = Simulator::builder()
            .listen(self.listen)
            .seed(self.seed)
            .any_template(TemplateCategory::Utility)
            .token(TOKEN)
            .webhook(&self.webhook, APP_SECRET)
            .retry(Duration::from_millis(100), Duration::from_secs(1))
            .fault(Fault::ReplyLost, self.replies_lost)
            .fault(Fault::ErrorAfter, 0.02)
            .fault(Fault::ErrorBefore, 0.02)
            .fault(Fault::StatusDuplicated, 0.1)
            .fault(Fault::StatusShuffled, 0.1)
            .fault(Fault::StatusMissing, 0.05)
            .log(self.log);
        for place in 0..self.numbers {
            let profile = NumberProfile { throughput: 500, ..NumberProfile::default() };
            builder = builder.number(number(place), profile);
        }
        let simulator = builder.start().await?;
        // Until the test closes this pipe, or is gone.
        let mut line = String::new();
        tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line)).await??;
        drop(simulator.stop().await);
        Ok(())
    }
}
