//! Real containers on this machine. Needs root.

mod confinement;
mod contract;
mod devices;
mod disk;
mod escape;
mod exec;
mod image;
mod mounts;
mod network;
mod outside;
mod pools;
mod projects;
mod run;
mod sharing;
mod stop;
mod survive;
mod users;
mod world;
