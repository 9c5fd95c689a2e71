//! The domain words of Proffer: ids, resources, offers, tasks, agents, roles, time and units.
