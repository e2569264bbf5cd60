//! Access tokens of Google service accounts: asked for once however many requests need one, renewed in the background before they
//! expire, kept across reloads. Source: the protocol survey §2.1.
//!
//! [`cache`] decides, [`assertion`] signs, [`grant`] asks Google, and this module brings them together.

mod assertion;
mod cache;
mod grant;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::cache::{Cache, Step};
use super::pool::Pool;
use crate::config::{Account, Credential, Provider, Secret, Snapshot};

/// A token as it was granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The token.
    pub token: Secret,
    /// How long it is good for.
    pub lifetime: Duration,
}

/// Why there is no token: the answer of the token endpoint, or what kept it from answering. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub Arc<str>);

impl Denied {
    /// A reason in words.
    #[must_use]
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self(reason.into())
    }
}

/// The tokens of a snapshot's service accounts, in the snapshot's order.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Vec<Option<Arc<Bearer>>>>);

/// One service account's token.
#[derive(Debug)]
pub struct Bearer {
    /// `vertex/KEY_NAME`, for logs.
    name: String,
    account: Account,
    cache: Cache,
    /// Told whenever a request for a token has ended.
    news: watch::Sender<()>,
}

impl Tokens {
    /// The tokens for a snapshot. Runs at start and at every reload; what is known of an account stays, if its JSON does.
    #[must_use]
    pub fn build(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let bearer = |provider: &Provider, credential: &Credential| {
            let account = credential.account.as_ref()?;
            let name = format!("{}/{}", provider.name, credential.name);
            let known = previous.and_then(|tokens| tokens.all().find(|bearer| bearer.is_for(&name, account)));
            Some(known.cloned().unwrap_or_else(|| Bearer::new(name, account.clone())))
        };
        Self(snapshot.providers.iter().map(|provider| provider.credentials.iter().map(|key| bearer(provider, key)).collect()).collect())
    }

    /// The token of a credential; `None` if that is no service account.
    #[must_use]
    pub fn of(&self, provider: &Provider, credential: &Credential) -> Option<&Arc<Bearer>> {
        self.0.get(provider.index)?.get(credential.index)?.as_ref()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Bearer>> {
        self.0.iter().flatten().flatten()
    }
}

impl Bearer {
    fn new(name: String, account: Account) -> Arc<Self> {
        Arc::new(Self { name, account, cache: Cache::default(), news: watch::Sender::new(()) })
    }

    fn is_for(&self, name: &str, account: &Account) -> bool {
        self.name == name && self.account.service.document() == account.service.document()
    }

    /// A token that is good now. Waits only where there is none; the asking itself goes on when the waiting is cancelled.
    ///
    /// # Errors
    /// [`Denied`], of the last time it was asked for. For a while after that nobody asks again.
    pub async fn token(self: &Arc<Self>, pool: &Arc<Pool>) -> Result<Secret, Denied> {
        self.token_by(|| {
            let (pool, service) = (pool.clone(), self.account.service.clone());
            async move { grant::ask(&pool, &service).await }
        })
        .await
    }

    /// A token that is there and good now.
    #[must_use]
    pub fn at_hand(&self) -> Option<Secret> {
        self.cache.current(Instant::now())
    }

    /// The upstream refused a token: the next asker gets another.
    pub fn refused(&self, token: &Secret) {
        self.cache.forget(token);
    }

    async fn token_by<F>(self: &Arc<Self>, ask: impl Fn() -> F) -> Result<Secret, Denied>
    where
        F: Future<Output = Result<Granted, Denied>> + Send + 'static,
    {
        let mut news = self.news.subscribe();
        loop {
            let (step, must_ask) = self.cache.next(Instant::now());
            if must_ask {
                let (bearer, asked) = (self.clone(), ask());
                tokio::spawn(async move { bearer.settle(asked.await) });
            }
            match step {
                Step::Use(token) => return Ok(token),
                Step::Denied(denied) => return Err(denied),
                // The sender lives as long as `self`.
                Step::Wait => drop(news.changed().await),
            }
        }
    }

    fn settle(&self, answer: Result<Granted, Denied>) {
        match &answer {
            Ok(granted) => log::info!("{}: a new access token, good for {} s", self.name, granted.lifetime.as_secs()),
            Err(denied) => log::warn!("{}: no access token: {denied}", self.name),
        }
        self.cache.answered(answer, Instant::now(), fastrand::f64());
        self.news.send_replace(());
    }
}

#[cfg(test)]
mod tests;
