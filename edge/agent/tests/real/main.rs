//! An agent with real containers, a real stream and a master that says what the test wants. Needs root.
//!
//! This program is its own zygote, so it has no harness: `cargo test -p agent --test real -- <part of a name>`.
#![allow(clippy::print_stdout)]

mod access;
mod checks;
#[path = "../../../containers/tests/containers/disk.rs"]
mod counted;
mod docker;
mod executors;
mod faults;
mod full;
mod gpus;
mod groups;
mod lending;
mod logs;
mod master;
mod projects;
mod quota;
mod restart;
mod secrets;
mod tasks;
mod v1;
mod volumes;
mod world;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use v1::{guests, sessions, told};

/// No scenario takes longer, however busy the machine.
const SCENARIO_MAX: Duration = Duration::from_secs(60);

type Scenario = (&'static str, fn() -> LocalBoxFuture<'static, ()>);

macro_rules! scenarios {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$((stringify!($name), (|| $module::$name().boxed_local()) as fn() -> _)),*]
    };
}

fn main() -> ExitCode {
    let hidden =
        containers::dispatch(std::env::args_os()).or_else(|| agent::dispatch(std::env::args_os()));
    if let Some(status) = hidden {
        return ExitCode::from(u8::try_from(status).unwrap_or(1));
    }
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let all = [of_tasks(), of_trouble(), of_callers()].concat();
    let wanted = all.into_iter().filter(|(name, _)| name.contains(&wanted));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let failed = wanted.filter(|scenario| !passes(&runtime, scenario)).count();
    ExitCode::from(u8::from(0 < failed))
}

/// What tasks, their executors and volumes do.
fn of_tasks() -> Vec<Scenario> {
    scenarios![
        tasks::output_is_read_from_the_sandbox,
        tasks::output_is_followed_until_its_sandbox_is_gone,
        tasks::a_task_may_open_as_many_files_as_tasks_could_before_the_agent_raised_its_own_limit,
        tasks::a_task_knows_its_surroundings_and_nothing_of_ours,
        tasks::the_end_of_a_process_is_told,
        tasks::a_task_that_cannot_start_says_why,
        tasks::a_killed_task_was_killed,
        tasks::the_api_shows_what_runs,
        checks::checks_look_into_a_network_of_the_tasks_own,
        checks::health_is_told_by_port_page_and_command,
        checks::what_a_check_finds_is_told_and_readiness_once,
        docker::a_task_for_docker_runs_there_and_ends_as_it_ends_there,
        docker::a_task_under_docker_outlives_its_agent_and_is_killed_by_it,
        docker::a_task_under_docker_is_probed_inside_and_may_be_killed_there,
        executors::an_executor_of_a_framework_runs_its_tasks_and_outlives_its_agent,
        executors::an_executor_that_dies_takes_its_tasks_with_it,
        executors::messages_reach_an_executor_and_come_back,
        executors::an_executor_reaches_its_agent_by_a_socket_and_proves_who_it_is,
        gpus::a_task_opens_its_own_devices_and_no_others_whoever_the_agent_is,
        groups::a_group_shares_directories_and_the_network,
        groups::one_that_fails_takes_its_group_with_it,
        groups::a_group_that_cannot_be_prepared_does_not_stay_in_part,
        groups::what_one_of_a_group_leaves_of_its_memory_another_may_use,
        groups::who_takes_what_a_group_has_together_is_told_so_and_ends_the_group,
        groups::who_is_killed_ends_before_the_others_of_its_group,
        groups::tasks_of_a_group_see_each_others_processes_and_memory_if_they_ask_for_it,
        lending::what_a_task_leaves_idle_is_lent_until_it_is_used,
        logs::a_task_says_where_its_output_goes,
        logs::a_word_for_the_logger_that_cannot_be_obeyed_fails_the_task,
        projects::who_writes_more_than_is_set_aside_is_told_that_there_is_no_space,
        projects::who_goes_beyond_a_limit_is_ended_where_that_is_wanted_or_nothing_else_helps,
        projects::a_volume_has_a_limit_of_its_own_and_its_number_is_free_when_it_is_gone,
        quota::a_task_that_keeps_more_on_the_disk_than_is_set_aside_is_ended,
        secrets::a_secret_is_its_tasks_and_is_shown_to_nobody,
        volumes::a_volume_outlives_tasks_and_agents_and_goes_with_all_that_is_in_it,
        volumes::a_volume_in_use_is_not_destroyed,
        volumes::a_volume_that_cannot_be_made_is_none,
        volumes::a_task_uses_volumes_on_disks_of_their_own,
        volumes::paths_of_the_machine_need_the_operators_leave,
    ]
    .to_vec()
}

/// What becomes of them when something goes wrong.
fn of_trouble() -> Vec<Scenario> {
    scenarios![
        faults::tasks_are_gone_with_a_reboot_and_volumes_are_not,
        faults::a_new_agent_takes_up_nothing_and_puts_aside_what_was,
        faults::damaged_checkpoints_are_refused_with_what_to_do,
        faults::a_task_whose_shim_is_killed_has_failed,
        faults::a_killed_zygote_costs_no_task,
        faults::a_frozen_task_can_be_killed,
        faults::processes_that_are_killed_from_outside_are_a_failed_task,
        faults::a_task_whose_sandbox_is_on_a_full_disk_ends_as_it_would,
        full::a_full_disk_refuses_tasks_until_there_is_space,
        restart::an_agent_that_has_shrunk_is_refused_and_one_that_has_grown_goes_on,
        restart::tasks_outlive_their_agent,
        restart::what_ended_meanwhile_is_told,
        restart::an_agent_can_leave_nothing_behind,
    ]
    .to_vec()
}

/// What callers of the agent's API ask for.
fn of_callers() -> Vec<Scenario> {
    scenarios![
        access::who_asks_an_agent_proves_who_it_is,
        guests::a_nested_container_is_waited_for_killed_and_removed,
        guests::nested_containers_end_with_their_host_and_leave_nothing,
        guests::what_lies_in_a_task_may_be_limited_more_than_the_task,
        guests::what_is_nested_in_a_task_of_a_group_is_limited_with_it_and_ends_before_the_others,
        guests::containers_of_callers_outlive_the_agent,
        guests::a_container_on_its_own_has_its_resources,
        told::every_question_is_answered_in_both_encodings,
        told::endpoints_tell_of_themselves_and_of_the_log,
        told::files_are_listed_and_read_as_bytes,
        told::what_is_not_done_is_refused_by_name,
        sessions::a_session_is_typed_into_and_tells_what_it_writes_and_how_it_ends,
        sessions::a_terminal_has_the_size_that_its_client_has,
        sessions::a_session_ends_with_its_connection_and_by_a_signal,
        sessions::a_task_with_a_terminal_can_be_attached_to,
        sessions::what_a_task_writes_can_be_looked_on,
        sessions::what_cannot_be_is_refused_with_its_cause,
    ]
    .to_vec()
}

fn passes(runtime: &tokio::runtime::Runtime, (name, scenario): &Scenario) -> bool {
    let run = async { tokio::time::timeout(SCENARIO_MAX, scenario()).await };
    let outcome = runtime.block_on(AssertUnwindSafe(run).catch_unwind());
    let said = match &outcome {
        Ok(Ok(())) => "ok",
        Ok(Err(_)) => "TOO SLOW",
        Err(_) => "FAILED",
    };
    println!("scenario {name} ... {said}");
    said == "ok"
}
