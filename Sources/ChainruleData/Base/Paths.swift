package import ChainrulePlatform

/// Throws for a path with a null character, at which C would end it.
package func checkPath(_ path: String) throws(ChainruleError) {
  guard !path.utf8.contains(0) else {
    throw .file(path: path, reason: "the name has a null character; expected one of a file")
  }
}

extension URL {
  /// The path of a file.
  ///
  /// - Throws: `ChainruleError.file` for a URL that is not a file's.
  package func filePath() throws(ChainruleError) -> String {
    guard isFileURL else {
      throw .file(
        path: absoluteString, reason: "this is not the URL of a file; expected one made by URL(filePath:)")
    }
    return path
  }
}
