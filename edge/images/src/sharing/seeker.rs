//! The side of who wants a layer: asks the ledger, then those that it names.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, StatusCode, header};
use tokio::task::spawn_blocking;

use super::{Answer, DIGESTS_MAX, Holder, Holders, Keeper, LEDGER_PATH, Letter, Sharing};
use crate::download::{Interrupted, have, receive};
use crate::manifest::Blob;

/// Those who answer are near; the registry is there for the others.
const CONNECT_MAX: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// A holder that is silent for so long is given up.
const STALL_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Seeker {
    client: Client,
    ledger: String,
    keeper: Arc<Keeper>,
    /// The ledger that knows what we keep.
    told: Mutex<Option<String>>,
}

impl Seeker {
    pub(crate) fn new(sharing: &Sharing, keeper: Arc<Keeper>) -> Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(STALL_MAX)
            .redirect(reqwest::redirect::Policy::none())
            // Agents are reached as their own streams reach the master.
            .no_proxy()
            .build()
            .context("preparing to ask other agents for layers")?;
        let ledger = format!("http://{}{LEDGER_PATH}", sharing.master);
        Ok(Self { client, ledger, keeper, told: Mutex::default() })
    }

    /// Tells what is newly kept and asks who has what is wanted. A master that does not answer knows nobody.
    pub(crate) async fn ask(&self, has: Vec<String>, wants: Vec<String>) -> Holders {
        match self.write(has, wants).await {
            Ok(holders) => holders,
            Err(cause) => {
                tracing::debug!(cause = format!("{cause:#}"), "the master tells of no layers");
                Holders::new()
            }
        }
    }

    async fn write(&self, has: Vec<String>, mut wants: Vec<String>) -> Result<Holders> {
        wants.truncate(DIGESTS_MAX);
        let answer = self.post(has, wants).await?;
        let is_told = |told: &mut Option<String>| {
            let is_it = told.as_ref() == Some(&answer.ledger);
            *told = Some(answer.ledger.clone());
            is_it
        };
        if !is_told(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner)) {
            let keeper = Arc::clone(&self.keeper);
            let all = spawn_blocking(move || keeper.digests()).await??;
            for some in all.chunks(DIGESTS_MAX) {
                self.post(some.to_vec(), Vec::new()).await?;
            }
        }
        Ok(answer.holders)
    }

    async fn post(&self, has: Vec<String>, wants: Vec<String>) -> Result<Answer> {
        let letter = Letter { holder: self.keeper.own.clone(), has, wants };
        let sent = self.client.post(&self.ledger).timeout(ANSWER_MAX).json(&letter).send().await?;
        Ok(sent.error_for_status()?.json().await?)
    }

    /// Goes on with what has come already, from wherever. What has come is not looked at here.
    pub(crate) async fn download(&self, holder: &Holder, blob: &Blob, to: &Path) -> Result<()> {
        let have = have(blob, to).await;
        if have == blob.size {
            return Ok(());
        }
        let url = format!("http://{}/layers/{}", holder.address, blob.digest);
        let mut request = self.client.get(url).bearer_auth(&holder.token);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let answer = request.send().await?;
        let offset = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => have,
            status => bail!("it answered {status}"),
        };
        let promised = answer.content_length().map(|rest| offset + rest);
        ensure!(promised == Some(blob.size), "it has {promised:?} bytes, the layer {}", blob.size);
        match receive(answer.bytes_stream(), blob, to, offset).await {
            // What is wrong the registry finds to be so, and says it.
            Ok(()) | Err(Interrupted::Wrong { .. }) => Ok(()),
            Err(Interrupted::Source(error)) => Err(error.into()),
            Err(Interrupted::TooMuch) => bail!("it sends more than the layer has"),
            Err(Interrupted::TooLittle { got }) => bail!("it sent {got} of {} bytes", blob.size),
            Err(Interrupted::Disk(error)) => Err(error).context("writing what comes"),
        }
    }
}
