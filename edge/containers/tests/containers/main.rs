//! Real containers on this machine. Needs root.

mod exec;
mod image;
mod run;
mod stop;
mod survive;
mod world;
