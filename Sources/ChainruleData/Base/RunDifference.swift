internal import ChainrulePlatform

/// A difference between a run and the run of a checkpoint.
public struct RunDifference: Hashable, Codable, Sendable, CustomStringConvertible {
  /// The name of the entry, such as "seed".
  public let name: String
  /// The value of the checkpoint's run; `nil` if it has none.
  public let saved: String?
  /// The value of this run; `nil` if it has none.
  public let present: String?

  package init(name: String, saved: String?, present: String?) {
    self.name = name
    self.saved = saved
    self.present = present
  }

  /// The difference, such as "seed: 3 in the checkpoint, 4 now". For long lists, the first element that
  /// differs.
  public var description: String {
    if let saved = saved.flatMap(Self.list), let present = present.flatMap(Self.list) {
      guard saved.count == present.count else {
        return "\(name): \(saved.count) in the checkpoint, \(present.count) now"
      }
      if let index = saved.indices.first(where: { Array(saved[$0].utf8) != Array(present[$0].utf8) }) {
        let (old, new) = (Self.shortened(saved[index]), Self.shortened(present[index]))
        return "\(name), number \(index + 1): \"\(old)\" in the checkpoint, \"\(new)\" now"
      }
    }
    return "\(name): \(saved.map(Self.shortened) ?? "none") in the checkpoint, "
      + "\(present.map(Self.shortened) ?? "none") now"
  }

  private static func list(_ text: String) -> [String]? {
    guard text.utf8.first == UInt8(ascii: "[") else { return nil }
    return try? JSONDecoder().decode([String].self, from: Data(text.utf8))
  }

  private static func shortened(_ text: String) -> String {
    let scalars = text.unicodeScalars
    return scalars.count <= 80 ? text : String(scalars.prefix(77)) + "…"
  }
}
