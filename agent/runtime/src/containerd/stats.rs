//! Resource use of a running container. containerd answers in its own cgroup messages, of which the few fields
//! in use are written out here by hand.

use containerd_client::services::v1::MetricsRequest;
use prost::Message;
use prost_types::Any;

use super::Inner;
use crate::{RuntimeError, Stats};

/// `io.containerd.cgroups.v1.Metrics`.
#[derive(Clone, PartialEq, Message)]
struct MetricsV1 {
    #[prost(message, optional, tag = "2")]
    pids: Option<Pids>,
    #[prost(message, optional, tag = "3")]
    cpu: Option<CpuV1>,
    #[prost(message, optional, tag = "4")]
    memory: Option<MemoryV1>,
}

#[derive(Clone, PartialEq, Message)]
struct Pids {
    #[prost(uint64, tag = "1")]
    current: u64,
}

#[derive(Clone, PartialEq, Message)]
struct CpuV1 {
    #[prost(message, optional, tag = "1")]
    usage: Option<CpuUsageV1>,
}

#[derive(Clone, PartialEq, Message)]
struct CpuUsageV1 {
    #[prost(uint64, tag = "1")]
    total_ns: u64,
}

#[derive(Clone, PartialEq, Message)]
struct MemoryV1 {
    #[prost(uint64, tag = "30")]
    total_inactive_file_bytes: u64,
    #[prost(message, optional, tag = "33")]
    usage: Option<MemoryEntryV1>,
}

#[derive(Clone, PartialEq, Message)]
struct MemoryEntryV1 {
    #[prost(uint64, tag = "2")]
    usage_bytes: u64,
    #[prost(uint64, tag = "3")]
    max_bytes: u64,
}

/// `io.containerd.cgroups.v2.Metrics`.
#[derive(Clone, PartialEq, Message)]
struct MetricsV2 {
    #[prost(message, optional, tag = "1")]
    pids: Option<Pids>,
    #[prost(message, optional, tag = "2")]
    cpu: Option<CpuV2>,
    #[prost(message, optional, tag = "4")]
    memory: Option<MemoryV2>,
}

#[derive(Clone, PartialEq, Message)]
struct CpuV2 {
    #[prost(uint64, tag = "1")]
    usage_us: u64,
}

#[derive(Clone, PartialEq, Message)]
struct MemoryV2 {
    #[prost(uint64, tag = "13")]
    inactive_file_bytes: u64,
    #[prost(uint64, tag = "32")]
    usage_bytes: u64,
}

impl Inner {
    /// See [`crate::ContainerRuntime::stats`].
    pub(super) async fn stats(&self, id: &str) -> Result<Stats, RuntimeError> {
        let what = || format!("measure {id}");
        let request = MetricsRequest { filters: vec![format!("id=={id}")] };
        let answer = self.client.tasks().metrics(self.client.request(request)).await;
        let metrics = answer.map_err(|status| self.client.error(what(), status))?.into_inner().metrics;
        let data = metrics.into_iter().find(|metric| metric.id == id).and_then(|metric| metric.data);
        let data = data.ok_or_else(|| RuntimeError::not_found(what(), "the container does not run"))?;
        let mut stats = decode(&data).map_err(|error| RuntimeError::internal(what(), error))?;
        if stats.memory_peak_bytes == 0 {
            let record = self.cgroups.memory_record(&self.cgroup_of(id));
            stats.memory_peak_bytes = record.peak_bytes.unwrap_or(stats.memory_bytes);
        }
        Ok(stats)
    }
}

/// Memory in use leaves out file pages the kernel can drop at any time.
fn decode(data: &Any) -> Result<Stats, String> {
    match data.type_url.rsplit('/').next() {
        Some("io.containerd.cgroups.v1.Metrics") => {
            let metrics = MetricsV1::decode(data.value.as_slice()).map_err(|error| error.to_string())?;
            let memory = metrics.memory.unwrap_or_default();
            let usage = memory.usage.unwrap_or_default();
            Ok(Stats {
                cpu_ns: metrics.cpu.and_then(|cpu| cpu.usage).unwrap_or_default().total_ns,
                memory_bytes: usage.usage_bytes.saturating_sub(memory.total_inactive_file_bytes),
                memory_peak_bytes: usage.max_bytes,
                pids: metrics.pids.unwrap_or_default().current,
            })
        }
        Some("io.containerd.cgroups.v2.Metrics") => {
            let metrics = MetricsV2::decode(data.value.as_slice()).map_err(|error| error.to_string())?;
            let memory = metrics.memory.unwrap_or_default();
            Ok(Stats {
                cpu_ns: metrics.cpu.unwrap_or_default().usage_us.saturating_mul(1000),
                memory_bytes: memory.usage_bytes.saturating_sub(memory.inactive_file_bytes),
                memory_peak_bytes: 0,
                pids: metrics.pids.unwrap_or_default().current,
            })
        }
        _ => Err(format!("containerd answers with metrics of the unknown kind {}", data.type_url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_metrics_are_read() {
        let v1 = MetricsV1 {
            pids: Some(Pids { current: 3 }),
            cpu: Some(CpuV1 { usage: Some(CpuUsageV1 { total_ns: 7 }) }),
            memory: Some(MemoryV1 {
                total_inactive_file_bytes: 10,
                usage: Some(MemoryEntryV1 { usage_bytes: 100, max_bytes: 200 }),
            }),
        };
        let any = Any { type_url: "io.containerd.cgroups.v1.Metrics".into(), value: v1.encode_to_vec() };
        let stats = decode(&any).unwrap();
        assert_eq!(stats, Stats { cpu_ns: 7, memory_bytes: 90, memory_peak_bytes: 200, pids: 3 });

        let v2 = MetricsV2 {
            pids: Some(Pids { current: 3 }),
            cpu: Some(CpuV2 { usage_us: 7 }),
            memory: Some(MemoryV2 { inactive_file_bytes: 10, usage_bytes: 100 }),
        };
        let any = Any { type_url: "x/io.containerd.cgroups.v2.Metrics".into(), value: v2.encode_to_vec() };
        assert_eq!(decode(&any).unwrap().cpu_ns, 7000);
        assert!(decode(&Any { type_url: "other".into(), value: Vec::new() }).is_err());
    }
}
