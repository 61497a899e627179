import ArgumentParser
import Chainrule
import Foundation

/// The kind of the file at `path`, links followed, as stat(2) has it: S_IFREG, S_IFDIR, …; nil where there is
/// none.
func fileKind(_ path: String) -> mode_t? {
  var status = stat()
  return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
}

/// Refuses outputs that cannot be written, that would overwrite an input of the same command, or that are the
/// same file. Each command calls it before it reads or writes anything.
///
/// - Parameters:
///   - inputs: The files that the command reads, by the argument that names each; "-" is standard input.
///   - outputs: The files that the command replaces, by option.
///   - folders: The folders that the command writes into, by option.
/// - Throws: `ValidationError` for files that are the same, by device and inode, so that links and other
///   spellings of a path are seen; `ChainruleError.file` for a file that cannot be replaced.
func checkFiles(
  reading inputs: KeyValuePairs<String, String?>, writing outputs: KeyValuePairs<String, String?>,
  folders: KeyValuePairs<String, String?> = [:]
) throws {
  var written: [(option: String, path: String, file: FileIdentity)] = []
  let named = outputs.map { ($0.key, $0.value, false) } + folders.map { ($0.key, $0.value, true) }
  for case (let option, let path?, let isFolder) in named {
    guard !path.isEmpty else { throw ValidationError("\(option) is empty; expected the name of a file") }
    if !isFolder { try FileReplacement.check(path) }
    guard let file = FileIdentity(path) else { continue }
    for (name, input) in inputs where input.flatMap(FileIdentity.init(ofInput:)) == file {
      throw ValidationError(
        "\(option) \(path) is the file that \(name) reads, which would be lost; expected another file")
    }
    if let other = written.first(where: { $0.file == file }) {
      throw ValidationError(
        "\(other.option) \(other.path) and \(option) \(path) are the same file; expected two files")
    }
    written.append((option, path, file))
  }
}

/// The identity of a file, for comparing paths.
private enum FileIdentity: Equatable {
  case existing(device: UInt64, inode: UInt64)
  /// A file that does not exist yet, by its folder and its name there.
  case new(device: UInt64, inode: UInt64, name: String)

  /// nil for a terminal, a pipe or a device, which can be written many times, and for a path without a
  /// folder.
  init?(_ path: String) {
    var path = path
    for _ in 0..<40 {
      var status = stat()
      if stat(path, &status) == 0 {
        guard [S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) else { return nil }
        self = .existing(
          device: UInt64(truncatingIfNeeded: status.st_dev), inode: UInt64(truncatingIfNeeded: status.st_ino))
        return
      }
      guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { break }
      path = target.hasPrefix("/") ? target : Self.folder(of: path) + target
    }
    while path.hasSuffix("/") { path.removeLast() }
    let folder = Self.folder(of: path)
    var status = stat()
    guard stat(folder.isEmpty ? "." : folder, &status) == 0 else { return nil }
    let name = String(path.unicodeScalars.dropFirst(folder.unicodeScalars.count))
    self = .new(
      device: UInt64(truncatingIfNeeded: status.st_dev), inode: UInt64(truncatingIfNeeded: status.st_ino),
      name: name)
  }

  /// An input, of which "-" is standard input.
  init?(ofInput path: String) {
    if BundledDataset(rawValue: path) != nil { return nil }
    guard path == "-" else {
      guard let file = Self(path), case .existing = file else { return nil }
      self = file
      return
    }
    var status = stat()
    guard fstat(STDIN_FILENO, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    self = .existing(
      device: UInt64(truncatingIfNeeded: status.st_dev), inode: UInt64(truncatingIfNeeded: status.st_ino))
  }

  /// The path up to its last slash, which it includes; empty where there is none.
  private static func folder(of path: String) -> String {
    let scalars = path.unicodeScalars
    return scalars.lastIndex(of: "/").map { String(scalars[...$0]) } ?? ""
  }
}
