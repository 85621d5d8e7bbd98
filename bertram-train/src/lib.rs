//! How a multitask BERT learns: settings, schedules, optimiser, the training loop, checkpoints and run folders.

pub mod aggregator;
pub mod analysis;
pub mod baseline;
pub mod config;
pub mod corpus;
pub mod data_source;
pub mod describe;
pub mod device;
pub mod epoch;
pub mod evaluate;
pub mod finite;
mod frozen;
pub mod learner;
pub mod loss_scale;
pub mod measure;
pub mod merge;
pub mod objective;
pub mod optim;
pub mod phase;
pub mod pipeline;
pub mod read;
pub mod regulariser;
pub mod run_folder;
pub mod schedule;
pub mod search;
pub mod step;
pub mod weighting;
