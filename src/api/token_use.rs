//! When, from where and how often tokens are used. Counted in memory and written down once a minute, so that checking
//! a token writes nothing; what a crash takes with it is at most that minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::access::Caller;
use crate::domain::id::{ProjectId, TokenId};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::tokens::{self, TokenUse};

const WRITE_EVERY_SECS: i64 = 60;
const DAY_SECS: i64 = 86_400;

#[derive(Default)]
pub(super) struct TokenUses(Mutex<Uses>);

#[derive(Default)]
struct Uses {
    by_token: HashMap<TokenId, TokenUse>,
    /// When the next are written down; at the first use.
    write_at: Timestamp,
}

impl TokenUses {
    /// Counts a request.
    pub(super) fn count(&self, store: &Store, caller: &Caller, address: IpAddr, now: Timestamp) {
        let Some(token) = caller.token() else {
            return;
        };
        let due = {
            let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let used = uses.by_token.entry(token).or_default();
            used.last = now;
            used.address = address.to_string();
            used.project = None;
            *used
                .requests
                .entry(now.secs().div_euclid(DAY_SECS))
                .or_default() += 1;
            // Also when the clock was set back.
            let is_due = now >= uses.write_at || uses.write_at > now.plus_secs(WRITE_EVERY_SECS);
            is_due.then(|| {
                uses.write_at = now.plus_secs(WRITE_EVERY_SECS);
                std::mem::take(&mut uses.by_token)
            })
        };
        if let Some(due) = due {
            write(store, due);
        }
    }

    /// Says which project the request that was just counted is about.
    pub(super) fn set_project(&self, caller: &Caller, project: ProjectId) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Written down meanwhile: the next request will say it again.
        if let Some(used) = caller
            .token()
            .and_then(|token| uses.by_token.get_mut(&token))
        {
            used.project = Some(project);
        }
    }

    /// Writes down what is left, at a stop.
    pub(super) fn flush(&self, store: &Store) {
        let left = {
            let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut uses.by_token)
        };
        if !left.is_empty() {
            write(store, left);
        }
    }
}

/// Without waiting for it.
fn write(store: &Store, uses: HashMap<TokenId, TokenUse>) {
    store.writer().submit(
        0,
        move |unit| {
            for (id, used) in &uses {
                tokens::add_use(unit, *id, used)?;
            }
            Ok(())
        },
        |result| {
            if let Err(error) = result {
                log::warn!("the use of tokens cannot be written down: {error}");
            }
        },
    );
}
