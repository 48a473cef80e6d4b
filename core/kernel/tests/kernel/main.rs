//! The kernel, entered by its door: what goes in, what comes out, and the laws that hold after every step.

mod accept;
mod duty;
mod fairness;
mod frameworks;
mod groups;
mod judge;
mod laws;
mod lent;
mod limits;
mod lots;
mod made;
mod maintenance;
mod offers;
mod operations;
mod programs;
mod promises;
mod quota;
mod reconcile;
mod record;
mod registration;
mod registry;
mod scale;
mod spelled;
mod stage;
mod tasks;
mod wishes;
