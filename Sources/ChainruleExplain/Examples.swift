#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

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
      for example in examples { try example.validate() }
      return examples
    } catch let error as DecodingError {
      throw StepFileError(error)
    }
  }
}
