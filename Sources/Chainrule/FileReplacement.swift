internal import CChainrule
package import ChainrulePlatform

/// A new file that will replace another: after a crash there is either the old file or the new one. Without a
/// call of ``commit()`` the old file stays. `Sources/CChainrule/files/replace.h` says which files can be
/// replaced.
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

  /// Whether the target is a device or a pipe, which each write reaches immediately.
  package var isWrittenThrough: Bool { pointer.map { cr_replacement_is_through($0) != 0 } ?? false }

  package func write(_ bytes: some ContiguousBytes) throws(ChainruleError) {
    guard let pointer else { return }
    try Chainrule.check(path: path) { error in
      bytes.withUnsafeBytes { cr_replacement_write(pointer, $0.baseAddress, $0.count, &error) }
    }
  }

  /// Replaces the old file by the new one.
  package func commit() throws(ChainruleError) {
    guard let pointer else { return }
    self.pointer = nil
    try Chainrule.check(path: path) { cr_replacement_commit(pointer, &$0) }
  }

  /// Throws for a path that cannot be replaced, as far as this is known without writing.
  package static func check(_ path: String) throws(ChainruleError) {
    try Chainrule.check(path: path) { cr_replacement_check(path, &$0) }
  }

  /// Removes the temporary files of all unfinished replacements, in a process that is about to end.
  package static func abandonAll() { cr_replacement_abandon_all() }

  /// Removes the temporary files in `folder` whose process has died.
  package static func clean(_ folder: String) { cr_replacement_clean(folder) }
}

/// Replaces the file at `path` once all of `contents` has been written.
package func replaceFile(at path: String, with contents: some ContiguousBytes) throws(ChainruleError) {
  let file = try FileReplacement(at: path)
  try file.write(contents)
  try file.commit()
}
