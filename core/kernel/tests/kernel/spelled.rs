//! What a letter to an agent says, in a word or two.

use model::agent::ToAgent;

pub(crate) fn spell(letter: &ToAgent) -> String {
    match letter {
        ToAgent::Registered { agent } => format!("Registered {agent}"),
        ToAgent::Refused { .. } => "Refused".to_owned(),
        ToAgent::Run { task, .. } => format!("Run {}", task.id),
        ToAgent::RunGroup { executor, tasks, .. } => {
            let ids: Vec<_> = tasks.iter().map(|task| task.id.as_str()).collect();
            format!("RunGroup {} {}", executor.id, ids.join(" "))
        }
        ToAgent::RunIn(run) => {
            let ids: Vec<_> = run.tasks.iter().map(|task| task.id.as_str()).collect();
            format!("RunIn {} {} {:?}", run.executor.id, ids.join(" "), run.together)
        }
        ToAgent::ShutdownExecutor { executor, .. } => format!("Shutdown {executor}"),
        ToAgent::Message { executor, data, .. } => format!("Message for {executor}: {data:?}"),
        ToAgent::Kill { task, grace_max: None, .. } => format!("Kill {task}"),
        ToAgent::Kill { task, grace_max: Some(most), .. } => format!("Kill {task} within {most:?}"),
        ToAgent::Acknowledge { task, .. } => format!("Acknowledge {task}"),
        ToAgent::Ping => "Ping".to_owned(),
        ToAgent::Shutdown { framework } => format!("Shutdown {framework}"),
        ToAgent::Convert { conversion, .. } => {
            format!("Convert {} to {}", conversion.consumed(), conversion.converted())
        }
        ToAgent::AcknowledgeOperation { .. } => "AcknowledgeOperation".to_owned(),
    }
}
