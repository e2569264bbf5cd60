//! The life of a request in Pingora's phases. Each phase is a few lines that call, in order:
//! [`accept`] → [`endpoint`] → [`body`] → [`plan`] → [`cached`] → [`failover`] (over [`attempt`]s) → [`commit`] and [`relay`] → [`finish`]. [`reply`] renders the
//! gateway's own answers, [`exhausted`] what is said when nothing is left. [`passthrough`] carries what is
//! for no endpoint of the gateway's own but for a provider's.

pub(crate) mod accept;
mod alarm;
mod attempt;
mod attributes;
mod body;
mod cached;
mod commit;
mod content;
mod context;
mod drill;
mod endpoint;
mod exhausted;
pub mod explain;
mod failed;
mod failover;
mod finish;
mod gathered;
mod headers;
mod images;
mod operation;
mod outgoing;
mod passthrough;
mod plan;
mod prepare;
pub(crate) mod problem;
mod propagate;
mod pump;
mod redact;
mod relay;
mod reply;
pub(crate) mod serve;
mod session;
mod waits;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use heliostat_filters::dialect::openai::OpenAi;
use pingora::Error;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{FailToProxy, ProxyHttp, Session as Driven};

use self::context::{Context, Outcome};
use self::endpoint::Ask;
use self::failover::{End, Failover};
use self::problem::Problem;
use self::session::Session;
use crate::drain::Flights;
use crate::listen::guard::HeadWatch;
use crate::live::Live;
use crate::memory::Memory;
use crate::readiness::Readiness;
use crate::telemetry::Telemetry;
use crate::upstream::pool::Pool;

/// How long a client may refuse to take what is written to it.
const CLIENT_WRITE: Duration = Duration::from_secs(60);

/// The gateway: what all requests share.
#[derive(Clone)]
pub struct Gateway {
    /// The configuration in force.
    pub live: Arc<ArcSwap<Live>>,
    /// Connections to providers.
    pub pool: Arc<Pool>,
    /// Where events go.
    pub telemetry: Arc<Telemetry>,
    /// Whether the process wants traffic.
    pub readiness: Arc<Readiness>,
    /// Who is in flight.
    pub flights: Arc<Flights>,
    /// What request bodies hold together.
    pub memory: Arc<Memory>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            live: self.live.load_full(),
            request_id: String::new(),
            started: Instant::now(),
            trace: None,
            endpoint: "other",
            dialect: &OpenAi,
            client: None,
            call: None,
            pass: None,
            caching: None,
            outcome: Outcome::default(),
            in_flight: self.flights.enter(),
            body_memory: self.memory.reserve(),
        }
    }

    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {
        // None: responses are never compressed, and an idle module costs every request.
    }

    /// Runs first, when a head has been read: says so to the connection's guard.
    fn on_connection_reuse(&self, _session: &mut Driven, _context: &mut Context, connection: Box<dyn Any + Send + Sync>) {
        if let Ok(watch) = connection.downcast::<Arc<HeadWatch>>() {
            watch.done();
        }
    }

    async fn early_request_filter(&self, session: &mut Driven, context: &mut Context) -> pingora::Result<()> {
        session.as_downstream_mut().set_write_timeout(Some(CLIENT_WRITE));
        session.as_downstream_mut().set_pipelining_enabled(true);
        self.begin(&Session::Driven(session), context);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Driven, context: &mut Context) -> pingora::Result<bool> {
        self.receive(&mut Session::Driven(session), context).await
    }

    async fn proxy_upstream_filter(&self, session: &mut Driven, context: &mut Context) -> pingora::Result<bool> {
        self.pass_on(&mut Session::Driven(session), context).await?;
        // Answered.
        Ok(false)
    }

    /// Never asked: what goes upstream goes over our own connections, before the driver would ask.
    async fn upstream_peer(&self, _session: &mut Driven, _context: &mut Context) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(pingora::ErrorType::InternalError, "the driver has nothing to pass on")
    }

    async fn fail_to_proxy(&self, session: &mut Driven, error: &Error, context: &mut Context) -> FailToProxy {
        failed::tell(&mut Session::Driven(session), error, context).await
    }

    fn suppress_error_log(&self, _session: &Driven, _context: &Context, _error: &pingora::Error) -> bool {
        // One line a request, written by `finish`.
        true
    }

    /// Runs on every path, also after an error and when the client left.
    async fn logging(&self, session: &mut Driven, error: Option<&pingora::Error>, context: &mut Context) {
        finish::report(self, &Session::Driven(session), error, context);
    }
}

impl Gateway {
    /// Names a request.
    fn begin(&self, session: &Session<'_>, context: &mut Context) {
        context.started = Instant::now();
        let headers = &session.req_header().headers;
        context.request_id = accept::request_id(headers);
        context.trace = propagate::trace(headers, &context.live.snapshot.observability);
        context.outcome.labels = accept::labels(self.telemetry.labels(), headers);
    }

    /// Answers what needs no provider; admits what does. `Ok(true)` is "answered".
    async fn receive(&self, session: &mut Session<'_>, context: &mut Context) -> pingora::Result<bool> {
        match self.admit(session, context).await {
            Ok(Ask::Call(_) | Ask::PassThrough) => return Ok(false),
            Ok(Ask::Models(client)) => reply::models(session, context, client).await?,
            Ok(Ask::Model(client, id)) => reply::model(session, context, client, &id).await?,
            Ok(Ask::Root) => reply::json(session, context, 200, "{}\n").await?,
            Ok(Ask::Health) => {
                let (status, body) = self.readiness.answer(session.req_header().uri.path()).unwrap_or((404, "{}\n"));
                reply::json(session, context, status, body).await?;
            }
            Err(problem) => {
                if let Some(reason) = problem.of_a_bound() {
                    self.telemetry.rejected(reason);
                }
                reply::problem(session, context, &problem).await?;
            }
        }
        Ok(true)
    }

    /// Runs the attempts. Ours and not Pingora's loop: that one replays at most 64 KiB of a body, and cannot look into a 200 before it
    /// commits.
    async fn pass_on(&self, session: &mut Session<'_>, context: &mut Context) -> pingora::Result<()> {
        if let Some(pass) = context.pass.take() {
            // In a box: a chat would else carry its size along.
            return Box::pin(passthrough::serve(self, session, context, pass)).await;
        }
        let Some(call) = context.call.take() else { return Ok(()) };
        let live = context.live.clone();
        // In a box, and only where there is a cache.
        if live.cache.is_some() && Box::pin(cached::answer(session, context, &call)).await? {
            return Ok(());
        }
        match Failover::new(self, &live, &call).run(session, context).await? {
            End::Served => cached::keep(session, context, &call),
            End::Exhausted(exhausted) => exhausted::answer(session, context, *exhausted, &call).await?,
            End::ClientGone => {
                context.outcome.client_gone = true;
                return pingora::Error::e_explain(pingora::ErrorType::ConnectionClosed, "client left");
            }
        }
        Ok(())
    }

    async fn admit(&self, session: &mut Session<'_>, context: &mut Context) -> Result<Ask, Problem> {
        let live = context.live.clone();
        let limits = &live.snapshot.limits;
        context.dialect = endpoint::speaker(session.req_header());
        accept::sound(session)?;
        accept::bounds(&session.req_header().headers, limits)?;
        let ask = match self.readiness.answer(session.req_header().uri.path()) {
            Some(_) => Ask::Health,
            None => match endpoint::find(session.req_header(), &live.snapshot) {
                Err(problem) if problem.status == 404 => return passthrough::admit(session, context, problem).await,
                asked => asked?,
            },
        };
        context.endpoint = ask.name();
        if matches!(ask, Ask::Health | Ask::Root) {
            return Ok(ask);
        }
        context.client = accept::authenticate(session.req_header(), context.dialect, &live.snapshot)?.map(str::to_owned);
        let Ask::Call(called) = &ask else { return Ok(ask) };
        let body = body::read(session, limits, context.body_place()).await?;
        context.outcome.bytes_in = body.len() as u64;
        let call = plan::call(called.clone(), body, &session.req_header().headers, &live.snapshot, context.started)?;
        context.outcome.asked_model.clone_from(&call.asked);
        context.outcome.stream = call.stream;
        attributes::of_body(&live.snapshot.observability.attributes, &call.document, &mut context.outcome);
        context.outcome.prompt = live.snapshot.observability.content_bytes.and_then(|max| content::of_prompt(&call, max));
        context.call = Some(call);
        Ok(ask)
    }
}
