//! The calls of a script on what keeps a restored store from sending, and which of those on the archive come when.

use wa_core::model::{
    CampaignAction, Finding, IncarnationId, Invariant, MessageId, ReconcileCause, TenantId,
};
use wa_core::testing::scope;

use super::script::{Script, Step};
use super::stores::every;
use crate::world::admin;

/// What was found, without the words.
fn places(found: Vec<Finding>) -> Vec<(Invariant, Option<TenantId>, Option<MessageId>)> {
    found.into_iter().map(|it| (it.invariant, it.tenant, it.message)).collect()
}

impl Script {
    pub(super) async fn archive(&mut self) -> Step {
        match self.roll(20) {
            0..=3 => self.import_some(75).await?,
            4 | 5 => self.unfinished_imports().await?,
            6 => self.discard_import().await?,
            7 | 8 => self.held_tenants().await?,
            9 => self.release_tenant().await?,
            10..=12 => self.export_one().await?,
            13 | 14 => {
                let limit = self.limit();
                let found = every!(self.stores, s => s.archive().examine(&admin(), limit), places);
                self.tell("examine", found.is_ok(), found);
            }
            15 => {
                let found = every!(self.stores, s => s.archive().awaits(&admin()));
                self.tell("awaits", found.is_ok(), found);
            }
            16 if self.suspended || self.percent(40) => self.unreconciled().await?,
            17 if self.suspended || self.percent(40) => self.lift().await?,
            _ => {
                let fresh = IncarnationId::from_uuid(self.uuid());
                let all = ReconcileCause::ALL;
                let cause = all[self.index(all.len())];
                let need = every!(self.stores, s => s.archive().suspend(&admin(), fresh, cause));
                self.suspended = true;
                self.tell("suspend", need.is_ok(), need);
                self.unreconciled().await?;
            }
        }
        Ok(())
    }

    pub(super) async fn unreconciled(&mut self) -> Step {
        let known = self.campaigns.clone();
        let after = self.pick(&known).copied().filter(|_| self.percent(20));
        let limit = self.limit();
        let page = every!(self.stores, s => s.archive().unreconciled(&admin(), after, limit));
        self.tell("unreconciled", page.is_ok_and(|page| !page.is_empty()), after);
        Ok(())
    }

    pub(super) async fn lift(&mut self) -> Step {
        let lifted = every!(self.stores, s => s.archive().lift(&admin()));
        self.suspended = false;
        self.tell("lift", lifted.is_ok_and(|it| it), ());
        self.resume().await
    }

    /// Lets most campaigns go on, or scripts would have little to send.
    pub(super) async fn resume(&mut self) -> Step {
        let held = every!(self.stores, s => s.archive().unreconciled(&admin(), None, 100)).expect("a page");
        for (tenant, campaign) in held {
            if self.percent(80) {
                let (of, resume) = (scope::tenant(tenant), CampaignAction::Resume);
                every!(self.stores, s => s.audience().act(&of, campaign.id, resume)).expect("an answer");
            }
        }
        Ok(())
    }

    pub(super) async fn compare_archive(&self) -> Step {
        every!(self.stores, s => s.archive().awaits(&admin())).expect("an answer");
        every!(self.stores, s => s.archive().unreconciled(&admin(), None, 1_000)).expect("a page");
        let found = every!(self.stores, s => s.archive().examine(&admin(), 1_000), places).expect("findings");
        self.compare_arrivals().await?;
        // A script can say of one attempt that it was not sent and that it was read: then another one went.
        assert!(found.iter().all(|(invariant, ..)| *invariant == Invariant::OneDelivery), "{found:?}");
        Ok(())
    }
}
