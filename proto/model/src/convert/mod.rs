//! Between wire messages and domain words. Each way a message can be wrong has an error of its own.
