//! `proffer image`: import, pull, ls. Images go to every attached agent at once.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use indicatif::ProgressBar;
use proffer_proto_wire::agent::{Image, ImageChunk, ImageProgress, ListImagesRequest, PullImageRequest};
use proffer_proto_wire::operator::Agent;
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::args::{ImageArgs, ImageCommand};
use crate::client::{Cluster, agent_host};
use crate::output::{self, Format};
use crate::progress::Bars;
use crate::{CliError, Outcome};

/// Bytes of an archive in one message; the protocol allows 1 MiB.
const CHUNK_BYTES: usize = 256 << 10;
/// Messages on their way to one agent.
const CHUNKS_AHEAD: usize = 4;

/// An image of an agent, as JSON.
#[derive(Debug, Serialize)]
struct ImageView {
    agent_id: String,
    hostname: String,
    reference: String,
    digest: String,
    size_bytes: u64,
}

impl ImageView {
    fn new(agent: &Agent, image: Image) -> Self {
        let Image { reference, digest, size_bytes } = image;
        let (agent_id, hostname) = (agent.agent_id.clone(), agent.hostname.clone());
        Self { agent_id, hostname, reference, digest, size_bytes }
    }
}

pub(crate) async fn run(cluster: &Cluster, format: Format, args: ImageArgs) -> Result<Outcome, CliError> {
    let bars = Bars::default();
    let results = match args.command {
        ImageCommand::Import { tar, agent } => {
            let length = archive_length(&tar).await?;
            let agents = cluster.attached(agent.as_deref()).await?;
            join_all(agents.iter().map(|agent| import(agent, &tar, bars.bytes(&agent.hostname, length)))).await
        }
        ImageCommand::Pull { reference, agent } => {
            crate::spec::parse_image(&reference)
                .map_err(|e| CliError::new(format!("the reference {e}"), "see --help"))?;
            let agents = cluster.attached(agent.as_deref()).await?;
            join_all(agents.iter().map(|agent| pull(agent, &reference, bars.bytes(&agent.hostname, 0)))).await
        }
        ImageCommand::Ls { agent } => {
            let agents = cluster.attached(agent.as_deref()).await?;
            join_all(agents.iter().map(list)).await
        }
    };
    finish(format, results)
}

/// Prints what went well; an error of one agent is told after that.
fn finish(format: Format, results: Vec<Result<Vec<ImageView>, CliError>>) -> Result<Outcome, CliError> {
    let (mut images, mut first_error) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(list) => images.extend(list),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if format == Format::Json {
        output::json(&images)?;
    } else if first_error.is_none() || !images.is_empty() {
        let row = |image: &ImageView| {
            let digest: String = image.digest.chars().take(19).collect();
            let size = proffer_proto_model::Bytes(image.size_bytes).to_string();
            [image.hostname.clone(), image.reference.clone(), digest, size]
        };
        let empty = "no images; bring one with `proffer image import` or `proffer image pull`";
        output::table(["HOST", "IMAGE", "DIGEST", "SIZE"], images.iter().map(row).collect(), empty)?;
    }
    first_error.map_or(Ok(Outcome::Good), Err)
}

async fn list(agent: &Agent) -> Result<Vec<ImageView>, CliError> {
    let answer = agent_host(agent)?.list_images(ListImagesRequest {}).await;
    let what = format!("list images of agent {}", agent.hostname);
    let images = answer.map_err(|error| CliError::remote(&what, error))?.into_inner().images;
    Ok(images.into_iter().map(|image| ImageView::new(agent, image)).collect())
}

async fn pull(agent: &Agent, reference: &str, bar: ProgressBar) -> Result<Vec<ImageView>, CliError> {
    let what = format!("pull {reference} to agent {}", agent.hostname);
    let answer = agent_host(agent)?.pull_image(PullImageRequest { reference: reference.to_owned() }).await;
    let stream = answer.map_err(|error| CliError::remote(&what, error))?.into_inner();
    watch(agent, stream, &bar, &what, true).await
}

async fn import(agent: &Agent, tar: &Path, bar: ProgressBar) -> Result<Vec<ImageView>, CliError> {
    let what = format!("import {} to agent {}", tar.display(), agent.hostname);
    let file = File::open(tar).await.map_err(|error| unreadable(tar, &error))?;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let sending = send(file, tar.to_owned(), sender, bar.clone());
    let importing = async {
        let answer = agent_host(agent)?.import_image(ReceiverStream::new(receiver)).await;
        let stream = answer.map_err(|error| CliError::remote(&what, error))?.into_inner();
        watch(agent, stream, &bar, &what, false).await
    };
    let (sent, imported) = tokio::join!(sending, importing);
    // A file that cannot be read is the cause when both failed.
    sent?;
    imported
}

/// Sends the file; stops when the agent no longer reads, which its answer explains.
async fn send(mut file: File, tar: PathBuf, to: mpsc::Sender<ImageChunk>, bar: ProgressBar) -> Result<(), CliError> {
    loop {
        let mut data = vec![0; CHUNK_BYTES];
        let count = file.read(&mut data).await.map_err(|error| unreadable(&tar, &error))?;
        data.truncate(count);
        if count == 0 || to.send(ImageChunk { data }).await.is_err() {
            return Ok(());
        }
        bar.inc(u64::try_from(count).unwrap_or(0));
    }
}

/// Shows progress until the last message, which names the images.
async fn watch(
    agent: &Agent,
    mut stream: Streaming<ImageProgress>,
    bar: &ProgressBar,
    what: &str,
    counts: bool,
) -> Result<Vec<ImageView>, CliError> {
    let mut images = None;
    while let Some(progress) = stream.message().await.map_err(|error| CliError::remote(what, error))? {
        let ImageProgress { step, item, done_bytes, total_bytes, images: last } = progress;
        if counts && total_bytes > 0 {
            bar.set_length(total_bytes);
            bar.set_position(done_bytes);
        }
        let item: String = item.chars().take(40).collect();
        bar.set_message(output::clean(&format!("{step} {item}")).into_owned());
        if !last.is_empty() || step == "done" {
            images = Some(last);
        }
    }
    bar.finish_and_clear();
    let images = images.ok_or_else(|| {
        let fix = "see the agent's log; truncated archives end like this";
        CliError::new(format!("cannot {what}: the agent stopped without an answer"), fix)
    })?;
    Ok(images.into_iter().map(|image| ImageView::new(agent, image)).collect())
}

async fn archive_length(tar: &Path) -> Result<u64, CliError> {
    let about = tokio::fs::metadata(tar).await.map_err(|error| unreadable(tar, &error))?;
    if about.is_file() {
        return Ok(about.len());
    }
    Err(CliError::new(format!("{} is not a file", tar.display()), "give a tar archive, as `docker save` makes"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("cannot read {}: {error}", path.display()), "check the name and its permissions")
}
