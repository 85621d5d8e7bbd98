//! One file a command.

pub mod average;
pub mod backends;
pub mod bench;
pub mod calibrate;
pub mod compare;
pub mod completions;
pub mod config;
pub mod data;
pub mod encode;
pub mod ensemble;
pub mod evaluate;
pub mod experiments;
pub mod export;
pub mod finished;
pub mod predict;
pub mod report;
pub mod runs;
mod texts;
pub mod train;
pub mod tune;
