#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A step file that comes with the command, to read and to start from.
public struct StepFileExample: Sendable {
  /// The name, such as "2-2-1".
  public let name: String
  /// What it shows, in one sentence.
  public let summary: String
  /// The step file, as JSON.
  public let text: String
}

extension StepFile {
  /// The step files in a file: one, or those of its array `examples`.
  ///
  /// - Throws: `StepFileError`, which says where the file is wrong.
  public static func all(json: Data) throws -> [StepFile] {
    struct Examples: Decodable {
      var examples: [StepFile]?
    }
    try checkKeys(json)
    do {
      guard let examples = try JSONDecoder().decode(Examples.self, from: json).examples else {
        return [try StepFile(checked: json)]
      }
      for (index, example) in examples.enumerated() {
        do {
          try example.validate()
        } catch let error as StepFileError {
          throw StepFileError(place: "examples[\(index)], \(error.place)", reason: error.reason)
        }
      }
      return examples
    } catch let error as DecodingError {
      throw StepFileError(error)
    }
  }
}
