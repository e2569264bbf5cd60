//! Signing, and many askers at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use tokio::sync::Notify;

use super::*;
use crate::config::{MapEnvironment, ServiceAccount, load};

const DOCUMENT: &str = include_str!("../../../tests/vertex/service-account.json");

fn snapshot(document: &str) -> Snapshot {
    let text = "providers: {openai: {keys: [{value: k}]}, vertex: {keys: [{value: k}, {value: env.ACCOUNT}]}}";
    load(text, "f", &MapEnvironment::from([("ACCOUNT", document)])).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn bearer(tokens: &Tokens, snapshot: &Snapshot) -> Arc<Bearer> {
    let provider = &snapshot.providers[1];
    tokens.of(provider, &provider.credentials[1]).expect("a service account").clone()
}

fn granted(token: &str, lifetime: Duration) -> Result<Granted, Denied> {
    Ok(Granted { token: Secret::new(token), lifetime })
}

#[test]
fn the_statement_is_signed_and_says_what_google_asks_for() {
    let service = ServiceAccount::read(&Secret::new(DOCUMENT)).unwrap();
    let jwt = assertion::sign(&service, 1_700_000_000).unwrap();
    let [header, claims, signature] = jwt.expose().split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&decoded(part)).unwrap();
    assert_eq!(json(header), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "throwaway-key-for-tests"}));
    let expected = serde_json::json!({
        "iss": "robot@own-project.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token", "iat": 1_700_000_000, "exp": 1_700_003_600
    });
    assert_eq!(json(claims), expected);
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, service.key.public().as_ref());
    let signed = format!("{header}.{claims}");
    assert!(public.verify(signed.as_bytes(), &decoded(signature)).is_ok());
    assert!(public.verify(signed.replace('e', "f").as_bytes(), &decoded(signature)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_askers_ask_once_even_when_the_first_leaves() {
    let snapshot = snapshot(DOCUMENT);
    let bearer = bearer(&Tokens::build(&snapshot, None), &snapshot);
    let (asked, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let ask = |bearer: Arc<Bearer>| {
        let (asked, open) = (asked.clone(), open.clone());
        async move {
            let fetch = || {
                let open = open.clone();
                asked.fetch_add(1, Ordering::Relaxed);
                async move {
                    open.notified().await;
                    granted("ya29.one", Duration::from_secs(3_600))
                }
            };
            bearer.token_by(fetch).await
        }
    };
    let first = tokio::spawn(ask(bearer.clone()));
    while asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    let others: Vec<_> = (0..100).map(|_| tokio::spawn(ask(bearer.clone()))).collect();
    while bearer.news.receiver_count() < 100 {
        tokio::task::yield_now().await;
    }
    open.notify_one();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().expose(), "ya29.one");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_refusal_reaches_every_asker() {
    let snapshot = snapshot(DOCUMENT);
    let bearer = bearer(&Tokens::build(&snapshot, None), &snapshot);
    let ask = || bearer.token_by(|| async { Err(Denied::new("no")) });
    let (a, b) = tokio::join!(ask(), ask());
    assert_eq!((a.unwrap_err().to_string(), b.unwrap_err().to_string()), ("no".to_owned(), "no".to_owned()));
}

#[test]
fn a_reload_keeps_the_token_of_the_same_document_alone() {
    let old = snapshot(DOCUMENT);
    let tokens = Tokens::build(&old, None);
    bearer(&tokens, &old).cache.answered(granted("ya29.kept", Duration::from_secs(3_600)), Instant::now(), 0.0);
    let kept = Tokens::build(&snapshot(DOCUMENT), Some(&tokens));
    assert!(Arc::ptr_eq(&bearer(&kept, &old), &bearer(&tokens, &old)));
    let changed = snapshot(&DOCUMENT.replace("robot@", "other@"));
    let tokens = Tokens::build(&changed, Some(&tokens));
    assert_eq!(bearer(&tokens, &changed).cache.next(Instant::now()), (Step::Wait, true));
    assert!(tokens.of(&changed.providers[0], &changed.providers[0].credentials[0]).is_none());
}

#[test]
fn nothing_of_a_token_is_printed() {
    let snapshot = snapshot(DOCUMENT);
    let tokens = Tokens::build(&snapshot, None);
    bearer(&tokens, &snapshot).cache.answered(granted("ya29.hidden", Duration::from_secs(3_600)), Instant::now(), 0.0);
    let printed = format!("{tokens:?}");
    assert!(!printed.contains("ya29") && !printed.contains("PRIVATE"), "{printed}");
}
