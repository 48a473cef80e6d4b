//! `dcos task exec`, as a client of the WebSocket sees it.

use futures::{SinkExt, StreamExt};
use model::task::TaskState;
use tokio_tungstenite::tungstenite::Message;
use wire::exec::{Ended, Frame, Size};

use crate::world::{World, shell};

/// What was asked, what was sent, and what came back until the end.
async fn exec(
    world: &World,
    container: &str,
    query: &str,
    typed: &[Frame],
) -> (String, String, Ended) {
    let path = format!("/dcos/v1/exec?container={container}&{query}");
    let url = world.url(&path).replace("http://", "ws://");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("upgraded");
    for frame in typed {
        socket.send(Message::Binary(frame.write().into())).await.expect("sent");
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(message) = socket.next().await {
        let Message::Binary(bytes) = message.expect("a message") else { continue };
        match Frame::read(&bytes).expect("a frame") {
            Frame::Stdout(more) => stdout.extend(more),
            Frame::Stderr(more) => stderr.extend(more),
            Frame::Ended(ended) => {
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
                return (text(stdout), text(stderr), ended);
            }
            typed @ (Frame::Stdin(_) | Frame::Resize(_) | Frame::StdinClosed) => {
                panic!("an agent does not say {typed:?}")
            }
        }
    }
    panic!("the end was not told");
}

fn encoded(argv: &[&str]) -> String {
    let json = serde_json::to_string(argv).expect("text");
    json.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

async fn running(world: &mut World) -> String {
    world.run(shell("t", "echo mine > file; sleep 1000")).await;
    let status = world.expect(TaskState::Running).await;
    status.container.expect("it runs").id.to_string()
}

pub(crate) async fn a_second_process_is_run_in_a_container() {
    let mut world = World::open().await;
    let container = running(&mut world).await;
    let script = "cat; cat file >&2; exit 5";
    let query = format!("stdin=1&cmd={}", encoded(&["/bin/sh", "-c", script]));
    let typed = [Frame::Stdin(b"typed".to_vec()), Frame::StdinClosed];
    let (stdout, stderr, ended) = exec(&world, &container, &query, &typed).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("typed", "mine\n"));
    assert_eq!(ended, Ended::Status(5 << 8));
    let query = format!("cmd={}", encoded(&["/no/such/program"]));
    let (_, _, ended) = exec(&world, &container, &query, &[]).await;
    assert!(matches!(ended, Ended::Cause(_)), "{ended:?}");
    assert_eq!(world.get("/dcos/v1/exec?container=none&cmd=%5B%22a%22%5D").await.0, 404);
    assert_eq!(world.get("/dcos/v1/exec?container=none&cmd=ls").await.0, 400);
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn a_terminal_has_the_size_that_was_asked_for() {
    let mut world = World::open().await;
    let container = running(&mut world).await;
    let query = format!("tty=1&stdin=1&cmd={}", encoded(&["/bin/stty", "size"]));
    let size = [Frame::Resize(Size { rows: 33, cols: 99 })];
    let (shown, _, ended) = exec(&world, &container, &query, &size).await;
    assert_eq!((shown.as_str(), ended), ("33 99\r\n", Ended::Status(0)));
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}
