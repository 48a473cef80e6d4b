//! Further processes in a running container.

use std::time::Duration;

use containers::session::{Session, Streams};
use containers::spec::{Exec, Spec, WindowSize};
use model::confinement::{Capabilities, Confinement, Rights};
use model::container::Run;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::image::{image, layers};
use crate::world::{PATIENCE, World, shell, wait_until};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

fn exec(run: Run) -> Exec {
    Exec { run, environment: Vec::new(), user: None, working_dir: None, terminal: None }
}

async fn sleeper(world: &mut World) -> Spec {
    let mut spec = world.spec(Run::Exec(vec!["sleep".into(), "600".into()]));
    spec.environment.push(("COLOUR".into(), "green".into()));
    world.launch(&spec).await;
    spec
}

/// What it writes when nothing is typed, and how it ends.
pub(crate) async fn outcome(mut session: Session) -> (String, String, i32) {
    let Streams::Pipes { stdin, mut stdout, mut stderr } = session.streams else {
        panic!("no terminal was asked for")
    };
    drop(stdin);
    let (mut output, mut errors) = (String::new(), String::new());
    stdout.read_to_string(&mut output).await.expect("read");
    stderr.read_to_string(&mut errors).await.expect("read");
    (output, errors, session.control.wait().await.expect("an end"))
}

#[tokio::test]
async fn a_session_shares_the_container_and_tells_its_own_end() {
    let mut world = World::open().await;
    let spec = sleeper(&mut world).await;
    let check = async |exec: Exec, output: &str, wait_status: i32| {
        let session =
            world.containers().exec(&spec.container, exec.clone()).await.expect("started");
        let (told, errors, ended) = outcome(session).await;
        assert_eq!((told.as_str(), errors.as_str(), ended), (output, "", wait_status), "{exec:?}");
    };
    check(exec(shell("echo $COLOUR; exit 3")), "green\n", 3 << 8).await;
    check(exec(shell("kill -9 $$")), "", SIGKILL).await;
    check(exec(shell("cat /proc/2/comm")), "sleep\n", 0).await;
    check(exec(Run::Exec(vec!["pwd".into()])), &format!("{}\n", spec.sandbox.display()), 0).await;
    let environment = vec![("COLOUR".to_string(), "red".to_string())];
    check(Exec { environment, ..exec(shell("echo $COLOUR")) }, "red\n", 0).await;
    check(Exec { working_dir: Some("/".into()), ..exec(shell("pwd")) }, "/\n", 0).await;
    check(Exec { user: Some("nobody".into()), ..exec(shell("id -u")) }, "65534\n", 0).await;
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

/// Who it is, what it may do, and what any program of it could gain.
const RIGHTS: &str = "id -u; grep -E 'Cap(Prm|Eff|Amb)|NoNewPrivs' /proc/self/status | cut -f2";

async fn rights(world: &World, spec: &Spec, user: &str) -> Vec<String> {
    let asked = Exec { user: Some(user.into()), ..exec(shell(RIGHTS)) };
    let session = world.containers().exec(&spec.container, asked).await.expect("started");
    let (said, errors, ended) = outcome(session).await;
    assert_eq!((errors.as_str(), ended), ("", 0));
    said.split_whitespace().map(String::from).collect()
}

#[tokio::test]
async fn a_session_may_be_another_user_with_the_rights_that_it_would_have_had() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let (none, all) = ("0000000000000000", "00000000a80425fb");
    for task in ["web", "root"] {
        let run = shell(&format!("{RIGHTS}; exec sleep 600"));
        let mut spec = image(&mut world, &layers, run);
        spec.user = Some(task.into());
        world.launch(&spec).await;
        let said = || world.log(&spec, "stdout");
        wait_until("it has spoken", || said().lines().count() == 5, said).await;
        let main: Vec<String> = said().split_whitespace().map(String::from).collect();
        let of_main = if task == "root" { [all, all, none, "0"] } else { [none, none, none, "1"] };
        assert_eq!(main[1..], of_main, "what init keeps for sessions is not its programs'");
        assert_eq!(rights(&world, &spec, task).await, main, "as {task} itself");
        let asked = rights(&world, &spec, "0").await;
        assert_eq!(asked, ["0", all, all, none, of_main[3]], "root in the container of {task}");
        let asked = rights(&world, &spec, "4711").await;
        assert_eq!(asked, ["4711", none, none, none, of_main[3]]);
        world.kill(&spec).await;
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_session_gains_nothing_that_the_container_may_not_have() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let within = |effective: u64, bounding: u64| Confinement {
        rights: Rights::Exactly {
            effective: Some(Capabilities(effective)),
            bounding: Some(Capabilities(bounding)),
        },
        ..Confinement::default()
    };
    let (kill, become_other) = (1 << 5, 1 << 6 | 1 << 7);
    let spec = image(&mut world, &layers, shell("sleep 600"));
    let confinement = within(kill, kill | become_other);
    let spec = Spec { user: Some("web".into()), confinement, ..spec };
    world.launch(&spec).await;
    let own = "0000000000000020";
    assert_eq!(rights(&world, &spec, "root").await, ["0", own, own, own, "1"]);
    world.kill(&spec).await;
    let another = image(&mut world, &layers, shell("sleep 600"));
    let spec = Spec { user: Some("web".into()), confinement: within(kill, kill), ..another };
    world.launch(&spec).await;
    let asked = Exec { user: Some("root".into()), ..exec(shell("true")) };
    let refused = world.containers().exec(&spec.container, asked).await.expect_err("out of bounds");
    assert!(format!("{refused:#}").contains("SETUID"), "{refused:#}");
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_session_may_be_whom_the_task_is() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let mut spec = image(&mut world, &layers, shell("sleep 600"));
    spec.user = Some("web".into());
    world.launch(&spec).await;
    let asked = Exec { user: Some("web".into()), ..exec(shell("id -un")) };
    let session = world.containers().exec(&spec.container, asked).await.expect("started");
    assert_eq!(outcome(session).await, ("web\n".to_owned(), String::new(), 0));
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn what_is_typed_arrives() {
    let mut world = World::open().await;
    let spec = sleeper(&mut world).await;
    let session = world.containers().exec(&spec.container, exec(shell("cat; echo done >&2"))).await;
    let Session { streams, mut control } = session.expect("started");
    let Streams::Pipes { mut stdin, mut stdout, mut stderr } = streams else {
        panic!("no terminal")
    };
    stdin.write_all(b"hello").await.expect("written");
    drop(stdin);
    let (mut output, mut errors) = (String::new(), String::new());
    stdout.read_to_string(&mut output).await.expect("read");
    stderr.read_to_string(&mut errors).await.expect("read");
    assert_eq!((output.as_str(), errors.as_str()), ("hello", "done\n"));
    assert_eq!(control.wait().await.expect("an end"), 0);
    world.kill(&spec).await;
}

#[tokio::test]
async fn a_terminal_has_a_size_that_can_change() {
    let mut world = World::open().await;
    let spec = sleeper(&mut world).await;
    let size = WindowSize { rows: 33, columns: 101 };
    let shell = exec(shell("stty size; read line; stty size; exit 2"));
    let exec = Exec { terminal: Some(size), ..shell };
    let session = world.containers().exec(&spec.container, exec).await.expect("started");
    let Session { streams: Streams::Terminal(mut terminal), mut control } = session else {
        panic!("a terminal was asked for")
    };
    let mut shown = [0; 8];
    terminal.read_exact(&mut shown).await.expect("read");
    assert_eq!(&shown, b"33 101\r\n");
    terminal.resize(WindowSize { rows: 5, columns: 7 }).expect("resized");
    terminal.write_all(b"x\n").await.expect("written");
    let mut rest = String::new();
    terminal.read_to_string(&mut rest).await.expect("read");
    assert_eq!(rest, "x\r\n5 7\r\n");
    assert_eq!(control.wait().await.expect("an end"), 2 << 8);
    world.kill(&spec).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut world = World::open().await;
    let spec = sleeper(&mut world).await;
    let check = async |exec: Exec, named: &str| {
        let refused = world.containers().exec(&spec.container, exec).await.expect_err(named);
        assert!(format!("{refused:#}").contains(named), "{refused:#}");
    };
    check(exec(Run::Exec(vec!["no-such-program".into()])), "no-such-program").await;
    check(Exec { user: Some("no-such-user".into()), ..exec(shell("true")) }, "no-such-user").await;
    check(Exec { working_dir: Some("/no/such".into()), ..exec(shell("true")) }, "/no/such").await;
    world.kill(&spec).await;
    let gone = world.containers().exec(&spec.container, exec(shell("true"))).await;
    assert!(format!("{:#}", gone.expect_err("it has ended")).contains("ended"));
}

#[tokio::test]
async fn a_session_ends_with_its_client_or_its_container() {
    let mut world = World::open().await;
    let spec = sleeper(&mut world).await;
    let processes = || world.containers().usage(&spec.container).expect("read").processes;
    let left = world.containers().exec(&spec.container, exec(shell("sleep 600 & wait"))).await;
    let left = left.expect("started");
    wait_until("both run", || processes() == 4, || processes().to_string()).await;
    drop(left);
    wait_until("both are gone", || processes() == 2, || processes().to_string()).await;
    let session = world.containers().exec(&spec.container, exec(shell("sleep 600"))).await;
    let mut session = session.expect("started");
    session.control.signal(SIGKILL).expect("sent");
    assert_eq!(session.control.wait().await.expect("an end"), SIGKILL);
    let session = world.containers().exec(&spec.container, exec(shell("sleep 600"))).await;
    let mut session = session.expect("started");
    world.containers().stop(&spec.container, Duration::ZERO).await.expect("asked");
    let ended = tokio::time::timeout(PATIENCE, session.control.wait()).await.expect("in time");
    // Which of the two comes first is the kernel's choice.
    let ended = ended.expect("an end");
    assert!([SIGTERM, SIGKILL].contains(&ended), "{ended}");
}
