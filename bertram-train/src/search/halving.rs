//! Asynchronous successive halving.

/// Asynchronous successive halving (ASHA: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
/// Algorithm 2), as one function of the scores so far.
///
/// A rung is a number of epochs ([`rungs`]). A trial that has reached one may go on to the next when it is among the best
/// `1 / reduction_factor` of those that have reached it. Whoever is free asks for the [`next`](Self::next) thing to do, and
/// nobody waits for the others of a rung: a trial may go on that would not, were all scores known (the paper's "incorrect
/// promotion", of which there are few where trials are many).
///
/// With one rung this is random search: each trial is trained to its end.
///
/// Two things are not in the paper, where configs are drawn without end. Trials are counted: when all are begun and nobody may
/// go on, the search is over. And where none was trained to its end until then, the best of those that came furthest is: else
/// a search of few trials would leave no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halving {
    /// How many rungs there are, the end of the training among them; at least 1.
    pub rungs: usize,
    /// Of so many trials at a rung one goes on; at least 2.
    pub reduction_factor: usize,
}

/// What a search knows of a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialProgress {
    /// The rung, counted from 0, that it was last sent to; `None` before it is begun.
    pub sent_to: Option<usize>,
    /// Its score at each rung that it has reached, higher is better; minus infinity where it diverged on the way.
    pub scores: Vec<f64>,
    /// Whether it does not go on: it is trained to its end, has diverged, or has failed.
    pub has_ended: bool,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A trial begins, and goes to the first rung.
    Begin {
        /// Its place among the trials.
        trial: usize,
    },
    /// A trial that waits at the rung below goes on.
    Promote {
        /// Its place among the trials.
        trial: usize,
        /// The rung that it goes to.
        rung: usize,
    },
    /// Nothing, until one that is at work has reached its rung.
    Wait,
    /// Nothing more: the search is over.
    Done,
}

/// The epochs of each rung of a training of `most` epochs: `least` times a power of `factor`, and at last `most`. There are as
/// many as in the paper, `floor(log_factor(most / least)) + 1`, so that between neighbours lies a factor of at least `factor`.
pub fn rungs(least: usize, most: usize, factor: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(least), |rung| rung.checked_mul(factor));
    let mut rungs: Vec<usize> = powers.take_while(|rung| *rung <= most).collect();
    if let Some(last) = rungs.last_mut() {
        *last = most;
    }
    rungs
}

impl TrialProgress {
    /// Whether it is on its way to a rung.
    pub fn is_at_work(&self) -> bool {
        !self.has_ended && self.sent_to.is_some_and(|rung| self.scores.len() <= rung)
    }

    /// Whether it is trained to its end.
    fn is_trained(&self) -> bool {
        self.has_ended
            && self.scores.last().is_some_and(|score| score.is_finite())
            && self.sent_to.is_some_and(|rung| self.scores.len() > rung)
    }

    /// Whether it waits at a rung, and could go on from there.
    fn waits_at(&self, rung: usize) -> bool {
        let score = self.scores.get(rung);
        !self.has_ended
            && self.sent_to == Some(rung)
            && score.is_some_and(|score| score.is_finite())
    }
}

impl Halving {
    /// What is next for whoever is free.
    pub fn next(&self, trials: &[TrialProgress]) -> Decision {
        // From the highest rung that one can go on from: what is nearest to its end comes first.
        for rung in (0..self.rungs.saturating_sub(1)).rev() {
            let ranked = self.ranked(trials, rung);
            let best = &ranked[..ranked.len() / self.reduction_factor];
            if let Some(trial) = best.iter().find(|trial| trials[**trial].waits_at(rung)) {
                return Decision::Promote {
                    trial: *trial,
                    rung: rung + 1,
                };
            }
        }
        if let Some(trial) = trials.iter().position(|trial| trial.sent_to.is_none()) {
            return Decision::Begin { trial };
        }
        if trials.iter().any(TrialProgress::is_at_work) {
            return Decision::Wait;
        }
        match trials.iter().any(TrialProgress::is_trained) {
            true => Decision::Done,
            false => self.last_one(trials),
        }
    }

    /// The trials that have reached a rung, the best first; of equals the earlier one.
    pub fn ranked(&self, trials: &[TrialProgress], rung: usize) -> Vec<usize> {
        let score = |trial: usize| match trials[trial].scores.get(rung) {
            // A score that is none is no better than that of a trial that diverged.
            Some(score) if score.is_nan() => f64::NEG_INFINITY,
            Some(score) => *score,
            None => f64::NEG_INFINITY,
        };
        let reached = (0..trials.len()).filter(|trial| trials[*trial].scores.len() > rung);
        let mut reached: Vec<usize> = reached.collect();
        reached.sort_by(|one, other| score(*other).total_cmp(&score(*one)));
        reached
    }

    /// Sends the best of those that came furthest on, where nobody may go on and none has come to its end.
    fn last_one(&self, trials: &[TrialProgress]) -> Decision {
        for rung in (0..self.rungs.saturating_sub(1)).rev() {
            let ranked = self.ranked(trials, rung);
            if let Some(trial) = ranked.into_iter().find(|it| trials[*it].waits_at(rung)) {
                let rung = rung + 1;
                return Decision::Promote { trial, rung };
            }
        }
        Decision::Done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rungs_are_those_of_the_paper_with_the_end_at_last() {
        assert_eq!(rungs(1, 9, 3), [1, 3, 9]);
        assert_eq!(rungs(1, 10, 3), [1, 3, 10]);
        assert_eq!(rungs(1, 8, 3), [1, 8]);
        assert_eq!(rungs(2, 20, 2), [2, 4, 8, 20]);
        assert_eq!(rungs(1, 2, 3), [2]);
        assert_eq!(rungs(3, 2, 3), [0; 0]);
    }

    /// A search whose trials score what a table says: a row a trial, a column a rung.
    struct Replay {
        halving: Halving,
        scores: Vec<Vec<f64>>,
        trials: Vec<TrialProgress>,
    }

    impl Replay {
        fn new(reduction_factor: usize, scores: &[&[f64]]) -> Self {
            let rungs = scores[0].len();
            Self {
                halving: Halving {
                    rungs,
                    reduction_factor,
                },
                scores: scores.iter().map(|row| row.to_vec()).collect(),
                trials: vec![TrialProgress::default(); scores.len()],
            }
        }

        /// Asks for what is next, and notes that it goes on.
        fn next(&mut self) -> Decision {
            let decision = self.halving.next(&self.trials);
            match decision {
                Decision::Begin { trial } => self.trials[trial].sent_to = Some(0),
                Decision::Promote { trial, rung } => self.trials[trial].sent_to = Some(rung),
                Decision::Wait | Decision::Done => {}
            }
            decision
        }

        /// A trial reaches its rung.
        fn reaches(&mut self, trial: usize) {
            let progress = &mut self.trials[trial];
            let rung = progress.sent_to.expect("begun");
            let score = self.scores[trial][rung];
            progress.scores.push(score);
            progress.has_ended = rung + 1 == self.halving.rungs || score == f64::NEG_INFINITY;
        }

        /// One worker, to the end: `3` for trial 3 that begins, `3>1` where it goes on to rung 1. Trials count from 1 here.
        fn alone(&mut self) -> String {
            let mut said = Vec::new();
            loop {
                match self.next() {
                    Decision::Begin { trial } => {
                        said.push(format!("{}", trial + 1));
                        self.reaches(trial);
                    }
                    Decision::Promote { trial, rung } => {
                        said.push(format!("{}>{rung}", trial + 1));
                        self.reaches(trial);
                    }
                    Decision::Done => return said.join(" "),
                    Decision::Wait => panic!("nobody is at work"),
                }
            }
        }
    }

    #[test]
    fn one_worker_by_hand() {
        // Rungs at 1, 3 and 9 epochs, factor 3, nine trials.
        let mut replay = Replay::new(
            3,
            &[
                &[0.50, 0.61, 0.70], // 1
                &[0.55, 0.58, 0.0],  // 2: first of 1 to 3, goes on
                &[0.40, 0.0, 0.0],   // 3
                &[0.60, 0.66, 0.72], // 4: first of 1 to 4
                &[0.30, 0.0, 0.0],   // 5
                &[0.45, 0.0, 0.0],   // 6: two of six may go on, 4 and 2, and both have
                &[0.58, 0.60, 0.0],  // 7: second of 7, before 2
                &[0.20, 0.0, 0.0],   // 8
                &[0.10, 0.0, 0.0],   // 9: three of nine, 4, 7 and 2; all have
            ],
        );
        // 4 goes on as soon as it is known, since it is first of four. When 7 has gone on, rung 1 has 2 (.58), 4 (.66) and 7
        // (.60): the first of three, 4, goes on to the end, before trial 8 begins.
        assert_eq!(replay.alone(), "1 2 3 2>1 4 4>1 5 6 7 7>1 4>2 8 9");
        // Asked again, nothing is left.
        assert_eq!(replay.next(), Decision::Done);
    }

    #[test]
    fn two_workers_by_hand() {
        // Factor 2, rungs at 1 and 2 epochs.
        let mut replay = Replay::new(2, &[&[0.5, 0.6], &[0.7, 0.8], &[0.9, 0.9], &[0.1, 0.1]]);
        let begin = |trial| Decision::Begin { trial };
        let promote = |trial| Decision::Promote { trial, rung: 1 };
        assert_eq!([replay.next(), replay.next()], [begin(0), begin(1)]);
        // One score: the best half of one trial is none.
        replay.reaches(0);
        assert_eq!(replay.next(), begin(2));
        // .5 and .7: the second is the best half.
        replay.reaches(1);
        assert_eq!(replay.next(), promote(1));
        // .5, .7 and .9: the best one is the third, and nobody waits for trial 1, which is on its way.
        replay.reaches(2);
        assert_eq!(replay.next(), promote(2));
        replay.reaches(1);
        assert_eq!(replay.next(), begin(3));
        replay.reaches(2);
        // All are begun; trial 3 is on its way, and could be good.
        assert_eq!(replay.next(), Decision::Wait);
        replay.reaches(3);
        assert_eq!(replay.next(), Decision::Done);
    }

    #[test]
    fn a_trial_that_diverged_counts_at_its_rung_and_does_not_go_on() {
        let none = f64::NEG_INFINITY;
        let mut replay = Replay::new(2, &[&[none, 0.0], &[none, 0.0], &[0.4, 0.5], &[0.2, 0.0]]);
        // Of two that diverged nobody may go on; 3 is the best of three, and 3 and 4 are the best half of four.
        assert_eq!(replay.alone(), "1 2 3 3>1 4 4>1");
        let mut replay = Replay::new(2, &[&[none, 0.0], &[none, 0.0]]);
        assert_eq!(replay.alone(), "1 2");
    }

    #[test]
    fn few_trials_have_one_that_is_trained_to_its_end() {
        let mut replay = Replay::new(3, &[&[0.5, 0.6, 0.7], &[0.6, 0.5, 0.8]]);
        assert_eq!(replay.alone(), "1 2 2>1 2>2");
    }

    #[test]
    fn with_one_rung_it_is_random_search() {
        let mut replay = Replay::new(3, &[&[0.1], &[0.9], &[0.5], &[0.7]]);
        assert_eq!(replay.alone(), "1 2 3 4");
    }

    #[test]
    fn more_trials_go_on_where_fewer_ended() {
        let table: [&[f64]; 6] = [
            &[0.5, 0.6],
            &[0.7, 0.7],
            &[0.6, 0.5],
            &[0.8, 0.8],
            &[0.1, 0.0],
            &[0.9, 0.9],
        ];
        let mut all = Replay::new(3, &table);
        let mut some = Replay::new(3, &table[..3]);
        let first = some.alone();
        some.scores = all.scores.clone();
        some.trials.resize(6, TrialProgress::default());
        assert_eq!(format!("{first} {}", some.alone()), all.alone());
    }

    fn searches() -> impl Strategy<Value = (usize, usize, Vec<Vec<f64>>)> {
        (2..5usize, 1..4usize).prop_flat_map(|(factor, rungs)| {
            // Few different scores, so that there are ties; one that diverged now and then.
            let score = prop_oneof![9 => (0..8u8).prop_map(|it| f64::from(it) / 8.0), 1 => Just(f64::NEG_INFINITY)];
            let row = prop::collection::vec(score, rungs);
            (Just(factor), Just(rungs), prop::collection::vec(row, 1..30))
        })
    }

    proptest! {
        #[test]
        fn decisions_keep_to_the_rules(
            (factor, _rungs, scores) in searches(),
            workers in 1..5usize,
            order in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let rows: Vec<&[f64]> = scores.iter().map(Vec::as_slice).collect();
            let mut replay = Replay::new(factor, &rows);
            let mut at_work: Vec<usize> = Vec::new();
            let mut order = order.into_iter().cycle();
            let mut sent: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
            loop {
                let mut decision = Decision::Wait;
                while at_work.len() < workers {
                    let before = replay.trials.clone();
                    decision = replay.next();
                    match decision {
                        Decision::Begin { trial } => {
                            // In the order of their numbers, and where nobody may go on.
                            prop_assert!(before[trial].sent_to.is_none());
                            prop_assert!(before[..trial].iter().all(|it| it.sent_to.is_some()));
                            sent[trial].push(0);
                            at_work.push(trial);
                        }
                        Decision::Promote { trial, rung } => {
                            prop_assert!(!at_work.contains(&trial));
                            prop_assert_eq!(before[trial].sent_to, Some(rung - 1));
                            prop_assert!(before[trial].scores[rung - 1].is_finite());
                            let ranked = replay.halving.ranked(&before, rung - 1);
                            let place = ranked.iter().position(|it| *it == trial).expect("reached");
                            let is_last = before.iter().all(|it| it.sent_to.is_some())
                                && at_work.is_empty();
                            prop_assert!(place < ranked.len() / factor || is_last);
                            // Each rung once, one after the other.
                            prop_assert_eq!(sent[trial].len(), rung);
                            sent[trial].push(rung);
                            at_work.push(trial);
                        }
                        Decision::Wait => {
                            prop_assert!(!at_work.is_empty());
                            break;
                        }
                        Decision::Done => {
                            prop_assert!(at_work.is_empty());
                            break;
                        }
                    }
                }
                if at_work.is_empty() {
                    prop_assert_eq!(decision, Decision::Done);
                    break;
                }
                let which = order.next().expect("endless").index(at_work.len());
                let trial = at_work.swap_remove(which);
                replay.reaches(trial);
            }
            // All were begun, and one came to its end unless all that could diverged.
            prop_assert!(sent.iter().all(|it| !it.is_empty()));
            let trained = replay.trials.iter().any(TrialProgress::is_trained);
            let diverged = replay.trials.iter().all(|it| it.scores.contains(&f64::NEG_INFINITY));
            prop_assert_eq!(trained, !diverged);
        }

        #[test]
        fn only_the_order_of_scores_counts((factor, _rungs, scores) in searches()) {
            let rows: Vec<&[f64]> = scores.iter().map(Vec::as_slice).collect();
            let stretched: Vec<Vec<f64>> =
                scores.iter().map(|row| row.iter().map(|score| score * 3.0 - 7.0).collect()).collect();
            let other: Vec<&[f64]> = stretched.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(Replay::new(factor, &rows).alone(), Replay::new(factor, &other).alone());
        }
    }
}
