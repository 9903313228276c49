"""The version of the software, written into every manifest and checkpoint."""

VERSION = "0.1.0"
