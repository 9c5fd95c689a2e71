//! Updates of tasks that are not known here, forwarded and waiting for the framework: whom to confirm them to. What ends
//! with an agent or a framework is found without looking at the others.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, FrameworkId, TaskKey};

/// All such tasks, by the agent that reported them.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    by_framework: BTreeMap<FrameworkId, BTreeMap<TaskKey, AgentId>>,
    by_agent: BTreeMap<AgentId, BTreeSet<TaskKey>>,
}

impl Strays {
    /// An agent reported one.
    pub fn insert(&mut self, key: TaskKey, agent: AgentId) {
        self.remove(&key);
        self.by_agent.entry(agent.clone()).or_default().insert(key.clone());
        self.by_framework.entry(key.framework.clone()).or_default().insert(key, agent);
    }

    /// It was confirmed; gives whom to tell.
    pub fn remove(&mut self, key: &TaskKey) -> Option<AgentId> {
        let of_framework = self.by_framework.get_mut(&key.framework)?;
        let agent = of_framework.remove(key)?;
        if of_framework.is_empty() {
            self.by_framework.remove(&key.framework);
        }
        if let Some(of_agent) = self.by_agent.get_mut(&agent) {
            of_agent.remove(key);
            if of_agent.is_empty() {
                self.by_agent.remove(&agent);
            }
        }
        Some(agent)
    }

    /// An agent is away: it reports them again. Gives how many there were.
    pub fn forget_agent(&mut self, agent: &AgentId) -> usize {
        let keys = self.by_agent.get(agent).cloned().unwrap_or_default();
        keys.iter().for_each(|key| drop(self.remove(key)));
        keys.len()
    }

    /// A framework is gone: nobody will confirm them.
    pub fn forget_framework(&mut self, framework: &FrameworkId) {
        let keys: Vec<TaskKey> =
            self.by_framework.get(framework).into_iter().flat_map(|of| of.keys().cloned()).collect();
        keys.iter().for_each(|key| drop(self.remove(key)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proffer_proto_model::TaskId;

    use super::*;

    #[test]
    fn what_ends_with_an_agent_or_a_framework_is_all_of_it_and_nothing_else() {
        let key = |framework: u64, task: &str| TaskKey {
            framework: FrameworkId::numbered(1, framework),
            task: TaskId::new(task).unwrap(),
        };
        let agent = |number| AgentId::numbered(1, number);
        let mut strays = Strays::default();
        for (framework, task, at) in [(1, "a", 1), (1, "b", 2), (2, "a", 1), (2, "b", 1), (3, "a", 2)] {
            strays.insert(key(framework, task), agent(at));
        }
        strays.insert(key(2, "b"), agent(3));
        assert_eq!(strays.remove(&key(2, "b")), Some(agent(3)), "the agent that reported it last");
        assert_eq!(strays.forget_agent(&agent(1)), 2);
        assert_eq!((strays.remove(&key(1, "a")), strays.remove(&key(2, "a"))), (None, None));
        strays.forget_framework(&FrameworkId::numbered(1, 1));
        assert_eq!((strays.remove(&key(1, "b")), strays.remove(&key(3, "a"))), (None, Some(agent(2))));
        assert!(strays.by_agent.is_empty() && strays.by_framework.is_empty());
    }
}
