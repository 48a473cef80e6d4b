//! What a master says of itself.

use kernel::view::View;
use mesos_v1::master::Response;
use mesos_v1::master::response::{
    GetFlags, GetHealth, GetLoggingLevel, GetMaintenanceSchedule, GetMaintenanceStatus, GetMaster,
    GetMetrics, GetQuota, GetVersion, GetWeights, ReadFile, Type,
};
use mesos_v1::{Flag, Metric, VersionInfo};

use crate::mesos::master::{self, MasterInfo, seconds};
use crate::mesos::metrics::Figures;
use crate::mesos::v1::event;
use crate::mesos::{quota, upkeep};

pub(super) fn of(kind: Type) -> Response {
    Response { r#type: Some(kind.into()), ..Response::default() }
}

pub fn health() -> Response {
    Response { get_health: Some(GetHealth { healthy: true }), ..of(Type::GetHealth) }
}

pub fn version() -> Response {
    let version = VersionInfo { version: master::VERSION.to_owned(), ..VersionInfo::default() };
    Response { get_version: Some(GetVersion { version_info: version }), ..of(Type::GetVersion) }
}

pub fn flags(info: &MasterInfo) -> Response {
    let flag =
        |(name, value): (&'static str, String)| Flag { name: name.to_owned(), value: Some(value) };
    let flags = master::flags(info).into_iter().map(flag).collect();
    Response { get_flags: Some(GetFlags { flags }), ..of(Type::GetFlags) }
}

pub fn this(view: &View, info: &MasterInfo) -> Response {
    let told = GetMaster {
        master_info: Some(event::master_info(info, &view.cluster)),
        start_time: Some(seconds(info.started_at)),
        elected_time: Some(seconds(view.elected_at)),
    };
    Response { get_master: Some(told), ..of(Type::GetMaster) }
}

pub fn metrics(figures: Figures) -> Response {
    let metric = |(name, value)| Metric { name, value: Some(value) };
    let metrics = figures.into_iter().map(metric).collect();
    Response { get_metrics: Some(GetMetrics { metrics }), ..of(Type::GetMetrics) }
}

pub fn logging_level(level: u32) -> Response {
    let told = GetLoggingLevel { level };
    Response { get_logging_level: Some(told), ..of(Type::GetLoggingLevel) }
}

/// READ_FILE: a part of a file of this size.
pub fn file(size: u64, data: Vec<u8>) -> Response {
    Response { read_file: Some(ReadFile { size, data }), ..of(Type::ReadFile) }
}

pub fn quotas(view: &View) -> Response {
    Response { get_quota: Some(GetQuota { status: quota::status(view) }), ..of(Type::GetQuota) }
}

pub fn weights(view: &View) -> Response {
    let told = GetWeights { weight_infos: quota::weight_infos(view) };
    Response { get_weights: Some(told), ..of(Type::GetWeights) }
}

pub fn maintenance_schedule(view: &View) -> Response {
    let told = GetMaintenanceSchedule { schedule: upkeep::told_schedule(view) };
    Response { get_maintenance_schedule: Some(told), ..of(Type::GetMaintenanceSchedule) }
}

pub fn maintenance_status(view: &View) -> Response {
    let told = GetMaintenanceStatus { status: upkeep::told_status(view) };
    Response { get_maintenance_status: Some(told), ..of(Type::GetMaintenanceStatus) }
}
