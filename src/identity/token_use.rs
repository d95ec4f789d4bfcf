//! When, from where and how often tokens are used. Counted in memory and written down once a minute, so that checking
//! a token writes nothing; what a crash takes with it is at most the last minutes. Whoever shows a token asks here for
//! what is not written yet.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::{ProjectId, TokenId};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::store::Store;
use crate::store::tokens::{self, TokenUse};

const WRITE_EVERY_SECS: i64 = 60;
const DAY_SECS: i64 = 86_400;

#[derive(Default)]
pub(crate) struct TokenUses(Arc<Mutex<Uses>>);

#[derive(Default)]
struct Uses {
    fresh: HashMap<TokenId, TokenUse>,
    /// On the way into the file; one lot at a time.
    writing: HashMap<TokenId, TokenUse>,
    /// When the next are written down; at the first use.
    write_at: Timestamp,
    /// The day on which somebody was last told that a token expires soon.
    warned: HashMap<TokenId, i64>,
}

impl TokenUses {
    /// Counts a request. Which project it is about, if any, [`TokenUses::set_project`] may still say.
    pub(crate) fn count(&self, token: &Token, address: IpAddr, now: Timestamp) {
        let day = now.secs().div_euclid(DAY_SECS);
        let mut uses = self.lock();
        let used = uses.fresh.entry(token.id).or_default();
        used.last = now;
        used.address = address.to_string();
        used.project = None;
        *used.requests.entry(day).or_default() += 1;
        let is_news =
            token.expires_soon(now).is_some() && uses.warned.insert(token.id, day) != Some(day);
        drop(uses);
        if let Some(expires) = token.expires.filter(|_| is_news) {
            log::warn!("token {} is in use and expires at {expires}", token.id);
        }
    }

    /// Says which project the request that was just counted is about.
    pub(crate) fn set_project(&self, token: TokenId, project: ProjectId) {
        // Written down meanwhile, by another request: the next one will say it again.
        if let Some(used) = self.lock().fresh.get_mut(&token) {
            used.project = Some(project);
        }
    }

    /// Writes down what was counted, without waiting for it, if the last time is a minute ago.
    pub(crate) fn write_if_due(&self, store: &Store, now: Timestamp) {
        let uses = self.lock();
        // Also when the clock was set back.
        let is_due = now >= uses.write_at || uses.write_at > now.plus_secs(WRITE_EVERY_SECS);
        if is_due {
            self.write(uses, store, now);
        }
    }

    /// Writes down what is left, at a stop, after what is on its way.
    pub(crate) fn flush(&self, store: &Store, now: Timestamp) {
        if let Err(error) = store.write(|_| Ok(())) {
            log::warn!("the use of tokens cannot be written down: {error}");
        }
        self.write(self.lock(), store, now);
    }

    fn write(&self, mut uses: MutexGuard<'_, Uses>, store: &Store, now: Timestamp) {
        if uses.fresh.is_empty() || !uses.writing.is_empty() {
            return;
        }
        uses.write_at = now.plus_secs(WRITE_EVERY_SECS);
        let due = std::mem::take(&mut uses.fresh);
        uses.writing = due.clone();
        drop(uses);
        let all = Arc::clone(&self.0);
        store.writer().submit(
            0,
            move |unit| {
                for (id, used) in &due {
                    tokens::add_use(unit, *id, used)?;
                }
                Ok(())
            },
            move |result| {
                let mut uses = all.lock().unwrap_or_else(PoisonError::into_inner);
                let written = std::mem::take(&mut uses.writing);
                if let Err(error) = result {
                    log::warn!("the use of tokens cannot be written down now: {error}");
                    for (id, mut used) in written {
                        let newer = uses.fresh.remove(&id);
                        used.add(newer.unwrap_or_default());
                        uses.fresh.insert(id, used);
                    }
                }
            },
        );
    }

    /// Adds to a token what is not written yet of its use.
    pub(crate) fn complete(&self, mut token: Token) -> Token {
        let used = self.unwritten(token.id);
        if used.requests.is_empty() {
            return token;
        }
        token.last_used = Some(used.last);
        token.last_address = Some(used.address);
        token.last_project = used.project;
        token
    }

    /// The requests by day, oldest first: those of the file, and what is not written yet.
    pub(crate) fn requests_per_day(
        &self,
        token: TokenId,
        written: Vec<(i64, i64)>,
    ) -> Vec<(i64, i64)> {
        let mut days: BTreeMap<i64, i64> = written.into_iter().collect();
        for (day, requests) in self.unwritten(token).requests {
            let sum = days.entry(day).or_default();
            *sum = sum.saturating_add(i64::try_from(requests).unwrap_or(i64::MAX));
        }
        days.into_iter().collect()
    }

    fn unwritten(&self, token: TokenId) -> TokenUse {
        let uses = self.lock();
        let mut used = uses.writing.get(&token).cloned().unwrap_or_default();
        used.add(uses.fresh.get(&token).cloned().unwrap_or_default());
        used
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
