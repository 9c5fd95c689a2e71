//! The bundled framework for jobs that end.
