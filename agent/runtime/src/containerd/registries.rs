//! How each registry is spoken to: plain or TLS, whose certificates, which credentials.
//!
//! The files are read at each pull, so that new credentials need no restart. Secrets are never logged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::client::{Certificate, CertificateEncoding, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::RuntimeError;
use crate::reference::is_loopback_registry;

/// Under this name Docker's tools keep the credentials of Docker Hub.
const HUB_KEY: &str = "index.docker.io";

/// What is known of all registries.
#[derive(Debug, Clone, Default)]
pub(super) struct Registries {
    insecure: BTreeSet<String>,
    auth_file: Option<PathBuf>,
    certs_dir: Option<PathBuf>,
}

/// What is known of one registry.
pub(super) struct Access {
    pub(super) protocol: ClientProtocol,
    pub(super) auth: RegistryAuth,
    /// Authorities trusted besides the host's.
    pub(super) roots: Vec<Certificate>,
}

/// The file that `docker login` and its like write; what is not named here does not matter.
#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
}

#[derive(Deserialize)]
struct AuthEntry {
    /// `user:password` in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Registries {
    pub(super) fn new(insecure: BTreeSet<String>, auth_file: Option<PathBuf>, certs_dir: Option<PathBuf>) -> Self {
        Self { insecure, auth_file, certs_dir }
    }

    /// How to speak to `registry` (`host[:port]`).
    pub(super) fn access(&self, registry: &str) -> Result<Access, RuntimeError> {
        let roots = self.roots(registry)?;
        let is_plain = roots.is_empty() && (is_loopback_registry(registry) || self.insecure.contains(registry));
        let protocol = if is_plain { ClientProtocol::Http } else { ClientProtocol::Https };
        Ok(Access { protocol, auth: self.auth(registry)?, roots })
    }

    /// For people: where credentials for `registry` belong.
    pub(super) fn place_of_credentials(&self) -> String {
        match &self.auth_file {
            Some(file) => format!("{}", file.display()),
            None => "a file such as `docker login` writes, named to the agent with --registry-auth".to_owned(),
        }
    }

    /// For people: where the certificate of the authority of `registry` belongs.
    pub(super) fn place_of_certificate(&self, registry: &str) -> String {
        match &self.certs_dir {
            Some(directory) => directory.join(registry).join("ca.crt").display().to_string(),
            None => format!("DIR/{registry}/ca.crt and start the agent with --registry-certs DIR"),
        }
    }

    fn roots(&self, registry: &str) -> Result<Vec<Certificate>, RuntimeError> {
        let Some(directory) = self.certs_dir.as_ref().map(|directory| directory.join(registry)) else {
            return Ok(Vec::new());
        };
        let Ok(entries) = fs::read_dir(&directory) else { return Ok(Vec::new()) };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "crt"));
        files.sort();
        let read = |file: PathBuf| match fs::read(&file) {
            Ok(data) => Ok(Certificate { encoding: CertificateEncoding::Pem, data }),
            Err(error) => Err(unusable(&file, error)),
        };
        files.into_iter().map(read).collect()
    }

    fn auth(&self, registry: &str) -> Result<RegistryAuth, RuntimeError> {
        let Some(file) = &self.auth_file else { return Ok(RegistryAuth::Anonymous) };
        let bytes = fs::read(file).map_err(|error| unusable(file, error))?;
        let all: AuthFile = serde_json::from_slice(&bytes)
            .map_err(|error| unusable(file, format!("it is not a file as `docker login` writes: {error}")))?;
        match all.auths.into_iter().find(|(key, _)| is_key_of(key, registry)) {
            Some((_, entry)) => entry.read().map_err(|problem| unusable(file, format!("{registry}: {problem}"))),
            None => Ok(RegistryAuth::Anonymous),
        }
    }
}

impl AuthEntry {
    fn read(self) -> Result<RegistryAuth, &'static str> {
        let Self { auth, username, password } = self;
        if let (Some(username), Some(password)) = (username, password) {
            return Ok(RegistryAuth::Basic(username, password));
        }
        let Some(auth) = auth.filter(|auth| !auth.is_empty()) else {
            return Err("there is no user and password; credential helpers are not supported, log in without one");
        };
        let text = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) => Ok(RegistryAuth::Basic(user.to_owned(), password.to_owned())),
            None => Err("\"auth\" is not user:password in base64"),
        }
    }
}

/// Keys are written as `host[:port]`, or as an address with scheme and path.
fn is_key_of(key: &str, registry: &str) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let one_name = |name| if name == "docker.io" || name == "registry-1.docker.io" { HUB_KEY } else { name };
    one_name(host) == one_name(registry)
}

fn unusable(file: &Path, problem: impl ToString) -> RuntimeError {
    RuntimeError::invalid(format!("read {}", file.display()), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str, registry: &str) -> Result<RegistryAuth, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        fs::write(&file, text).unwrap();
        let registries = Registries::new(BTreeSet::new(), Some(file), None);
        registries.access(registry).map(|access| access.auth).map_err(|error| error.to_string())
    }

    #[test]
    fn credentials_are_found_as_dockers_tools_write_them() {
        let file = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "Ym90OmdlaGVpbTp4"},
            "reg.example:5000": {"username": "u", "password": "p"},
            "helped.example": {}, "odd.example": {"auth": "%"}}, "credsStore": "desktop"}"#;
        let basic = |user: &str, password: &str| Ok(RegistryAuth::Basic(user.into(), password.into()));
        assert_eq!(access(file, "index.docker.io"), basic("bot", "geheim:x"));
        assert_eq!(access(file, "reg.example:5000"), basic("u", "p"));
        assert_eq!(access(file, "reg.example"), Ok(RegistryAuth::Anonymous));
        assert!(access(file, "helped.example").unwrap_err().contains("log in without one"));
        assert!(access(file, "odd.example").unwrap_err().contains("base64"));
        assert!(access("nonsense", "reg.example").unwrap_err().contains("docker login"));
    }

    #[test]
    fn a_certificate_of_its_own_means_tls_even_on_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("127.0.0.1:5000");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("ca.crt"), "x").unwrap();
        fs::write(own.join("readme.txt"), "y").unwrap();
        let registries = Registries::new(["10.0.0.1:5000".to_owned()].into(), None, Some(directory.path().to_owned()));
        let is_plain = |registry| matches!(registries.access(registry).unwrap().protocol, ClientProtocol::Http);
        assert!(!is_plain("127.0.0.1:5000") && is_plain("127.0.0.1:5001"));
        assert!(is_plain("10.0.0.1:5000") && !is_plain("10.0.0.1:5001"));
        assert_eq!(registries.access("127.0.0.1:5000").unwrap().roots.len(), 1);
    }
}
