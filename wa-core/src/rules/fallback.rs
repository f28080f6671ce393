//! Which of a message's contents goes: its own, or the template that stands in for it outside the window.

use crate::model::{Chosen, OutsideWindow, SkipReason, TenantSettings};
use crate::port::store::BeginItem;

/// Whether settings hold free-form content to the window.
#[must_use]
pub const fn binds(settings: &TenantSettings) -> bool {
    settings.window_tracking && !matches!(settings.outside_window, OutsideWindow::Send)
}

/// What goes, given whether the window is open.
///
/// Where windows decide nothing, the message's own content always goes.
///
/// # Errors
/// Why nothing of it may go.
pub const fn choose(item: &BeginItem, settings: &TenantSettings, open: bool) -> Result<Chosen, SkipReason> {
    if !item.needs_window || open || !binds(settings) {
        return Ok(Chosen::Own);
    }
    match (settings.outside_window, &item.fallback) {
        (OutsideWindow::Fallback, Some(_)) => Ok(Chosen::Fallback),
        (OutsideWindow::Fallback, None) | (OutsideWindow::Block | OutsideWindow::Send, _) => {
            Err(SkipReason::WindowClosed)
        }
    }
}
