#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension StepFileError {
  /// The line and the column, counted from 1, of the place in the text of the file; nil for an error that has none, such
  /// as one of training, or whose place says them already.
  ///
  /// - Parameters:
  ///   - json: The text of the file.
  ///   - step: The index of the step in a file with several.
  public func position(in json: Data, step: Int? = nil) -> (line: Int, column: Int)? {
    let path = Self.path(of: place)
    let inStep = step.map { [.key("examples"), .index($0)] + path } ?? path
    var locator = JSONLocator(bytes: [UInt8](json))
    guard !path.isEmpty, let offset = locator.offset(of: inStep[...]) else { return nil }
    let before = locator.bytes[..<offset]
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    // Continuation bytes of UTF-8 are no characters.
    return (line, before[start...].count { $0 & 0xC0 != 0x80 } + 1)
  }

  /// "layer 2, weights, row 3" and "layers[1].weights[2]" as keys and indices.
  private static func path(of place: String) -> [JSONLocator.Step] {
    place.split(separator: ", ").flatMap { part -> [JSONLocator.Step] in
      let words = part.split(separator: " ")
      if words.count == 2, let number = Int(words[1]) {
        switch words[0] {
        case "layer": return [.key("layers"), .index(number - 1)]
        case "batch": return [.key("batches"), .index(number - 1)]
        case "row": return [.index(number - 1)]
        default: return []
        }
      }
      return part.split(whereSeparator: { ".[]".contains($0) }).map { step in
        Int(step).map { .index($0) } ?? .key(String(step))
      }
    }
  }
}

/// Finds a value in a JSON text that has been parsed without an error.
private struct JSONLocator {
  enum Step: Equatable {
    case key(String)
    case index(Int)
  }

  let bytes: [UInt8]
  private var at = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// Where the key or the element is that `path` leads to; where it is missing, what should hold it. nil where even the
  /// first step leads nowhere.
  mutating func offset(of path: ArraySlice<Step>) -> Int? {
    at = 0
    skipSpace()
    var found: Int?
    for step in path {
      guard let place = enter(step) else { return found }
      found = place
    }
    return found
  }

  /// Goes from the start of an object or array to that of one of its values; returns the place of the key or element.
  private mutating func enter(_ step: Step) -> Int? {
    let start = at
    guard let open = current, open == UInt8(ascii: "{") || open == UInt8(ascii: "[") else { return nil }
    at += 1
    var index = 0
    while true {
      skipSpace()
      guard let byte = current, byte != UInt8(ascii: "}"), byte != UInt8(ascii: "]") else { break }
      let place = at
      var isIt = step == .index(index)
      if open == UInt8(ascii: "{") {
        skipString()
        isIt = step == .key(String(decoding: bytes[(place + 1)..<max(place + 1, at - 1)], as: UTF8.self))
        skipSpace()
        at += 1  // the colon
        skipSpace()
      }
      if isIt { return place }
      skipValue()
      skipSpace()
      if current == UInt8(ascii: ",") { at += 1 }
      index += 1
    }
    at = start
    return nil
  }

  private var current: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
  }

  private mutating func skipString() {
    at += 1
    while let byte = current, byte != UInt8(ascii: "\"") { at += byte == UInt8(ascii: "\\") ? 2 : 1 }
    at += 1
  }

  private mutating func skipValue() {
    var depth = 0
    repeat {
      guard let byte = current else { return }
      switch byte {
      case UInt8(ascii: "\""):
        skipString()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        at += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        at += 1
      default:
        at += 1
        if depth == 0 {
          while let byte = current, !",]} \n\r\t".utf8.contains(byte) { at += 1 }
        }
      }
    } while depth > 0
  }
}
