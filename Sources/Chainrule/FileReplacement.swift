internal import CChainrule
package import ChainrulePlatform

/// A file that is being written to take the place of another: a crash leaves the old file or the new one.
/// `Sources/CChainrule/replace.h` says which files can be replaced. Unless ``commit()`` is called, the old file stays.
package final class FileReplacement {
  private var pointer: OpaquePointer?
  private let path: String

  /// - Throws: `ChainruleError.file` with the path and the reason.
  package init(at path: String) throws(ChainruleError) {
    self.path = path
    var pointer: OpaquePointer?
    try Chainrule.check(path: path) { cr_replacement_begin(path, &pointer, &$0) }
    self.pointer = pointer
  }

  deinit { cr_replacement_abandon(pointer) }

  /// Whether the target is a device or a pipe, which each write reaches at once.
  package var isWrittenThrough: Bool { pointer.map { cr_replacement_is_through($0) != 0 } ?? false }

  package func write(_ bytes: some ContiguousBytes) throws(ChainruleError) {
    guard let pointer else { return }
    try Chainrule.check(path: path) { error in
      bytes.withUnsafeBytes { cr_replacement_write(pointer, $0.baseAddress, $0.count, &error) }
    }
  }

  /// Puts the new file in the place of the old one.
  package func commit() throws(ChainruleError) {
    guard let pointer else { return }
    self.pointer = nil
    try Chainrule.check(path: path) { cr_replacement_commit(pointer, &$0) }
  }

  /// Refuses a path that cannot be replaced, as far as can be told without writing.
  package static func check(_ path: String) throws(ChainruleError) {
    try Chainrule.check(path: path) { cr_replacement_check(path, &$0) }
  }

  /// Removes the temporary files of all replacements under way, in a process that is about to end.
  package static func abandonAll() { cr_replacement_abandon_all() }

  /// Removes the temporary files in `folder` whose process has died.
  package static func clean(_ folder: String) { cr_replacement_clean(folder) }
}

/// Replaces the file at `path`, once all of `contents` is written.
package func replaceFile(at path: String, with contents: some ContiguousBytes) throws(ChainruleError) {
  let file = try FileReplacement(at: path)
  try file.write(contents)
  try file.commit()
}
