//! XML files of settings, read within bounds.
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a file, at the most.
const FILE_MAX: u64 = 1 << 20;

/// Elements, attributes and texts of a file, at the most.
const NODES_MAX: u32 = 1 << 16;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    #[error("Unable to read file {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} is longer than {FILE_MAX} bytes")]
    TooLong(PathBuf),
    #[error("Invalid file format. {0}")]
    Syntax(#[from] roxmltree::Error),
}

/// The text of a file.
///
/// # Errors
/// The file cannot be read, is no UTF-8 or longer than 1 MiB.
pub(crate) fn read(path: &Path) -> Result<String, XmlError> {
    let read = |source| XmlError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(read)?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > FILE_MAX { Err(XmlError::TooLong(path.to_owned())) } else { Ok(text) }
}

/// The document that a text is.
///
/// # Errors
/// The text is no XML, or has more than 65536 nodes.
pub(crate) fn document(text: &str) -> Result<roxmltree::Document<'_>, XmlError> {
    let options = roxmltree::ParsingOptions { nodes_limit: NODES_MAX, ..Default::default() };
    Ok(roxmltree::Document::parse_with_options(text, options)?)
}
