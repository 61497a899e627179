internal import Foundation

/// A file of these bytes in a folder of its own, which is removed with it.
package final class TemporaryFile {
  package let path: String

  package init(_ bytes: [UInt8]) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.appending(path: "data").path
    try Data(bytes).write(to: URL(filePath: path))
  }

  package convenience init(_ text: String) throws { try self.init(Array(text.utf8)) }

  deinit { try? FileManager.default.removeItem(at: URL(filePath: path).deletingLastPathComponent()) }
}

/// The message of the error that `body` must throw; or a text that says there was none.
package func complaint(_ body: () throws -> some Any) -> String {
  do {
    return "no error, but \(try body())"
  } catch {
    return "\(error)"
  }
}
