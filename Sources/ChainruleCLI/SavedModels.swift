import Chainrule
import Foundation

/// Reads the model that an argument names. `data` is the next argument, for the hint in an error.
///
/// - Throws: The errors of ``SavedModel/init(contentsOf:)``, and a ``Failure`` with a hint for a file that is
///   not a model.
func savedModel(at path: String, for data: String? = nil) throws -> SavedModel {
  do {
    return try SavedModel(contentsOf: path)
  } catch {
    guard case .invalidModel = error, !mayBeModel(path) else { throw error }
    let hint =
      data.map(mayBeModel) ?? false
      ? "; \(data ?? "") may be one: give the model before the data"
      : "; expected a file that \"chainrule train\" or \"chainrule import\" saved"
    throw Failure(message: "\(path): this is not a model\(hint)", exitCode: .badData)
  }
}

/// Whether a file begins as safetensors do: with the length of a header, and the header's brace.
private func mayBeModel(_ path: String) -> Bool {
  guard let file = FileHandle(forReadingAtPath: path), let bytes = try? file.read(upToCount: 9) else {
    return false
  }
  return bytes.count == 9 && bytes[7] == 0 && bytes[8] == UInt8(ascii: "{")
}

/// Removes the encoding that a version before 0.3 left next to a model of this name, lest it be taken for
/// that of the new model. A file that holds no encoding stays.
///
/// - Throws: `ChainruleError.file` where it cannot be removed.
func removeOldEncoding(ofModelAt path: String) throws(ChainruleError) {
  let path = path + ".encoding.json"
  guard fileKind(path) == S_IFREG, let text = FileManager.default.contents(atPath: path),
    (try? JSONDecoder().decode(FeatureEncoding.self, from: text)) != nil
  else { return }
  do {
    try FileManager.default.removeItem(atPath: path)
  } catch {
    throw .file(path: path, reason: "cannot remove this old encoding: \(error.localizedDescription)")
  }
}

extension Model {
  /// The encoding of the table for the model read from `path`; nil if its columns are the features.
  ///
  /// Before version 0.3 the encoding of the features was in a second file, which is read if the model has no
  /// encoding.
  ///
  /// - Throws: `ChainruleError.badData` for such a file that holds no encoding, or one of another model.
  func encoding(savedAt path: String) throws(ChainruleError) -> TableEncoding? {
    if let tableEncoding { return tableEncoding }
    let path = path + ".encoding.json"
    guard fileKind(path) == S_IFREG, let text = FileManager.default.contents(atPath: path) else { return nil }
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: path, line: nil, column: nil, reason: reason)
    }
    guard let features = try? JSONDecoder().decode(FeatureEncoding.self, from: text) else {
      throw bad("this is not the encoding of a table; train the model again")
    }
    guard features.outputs == inputs, featureNames == nil || features.featureNames == featureNames else {
      throw bad("this is the encoding of another model; train the model again")
    }
    guard let classLabels else { return TableEncoding(features: features, targets: .numbers) }
    return TableEncoding(features: features, targets: try TargetEncoding(classes: classLabels))
  }
}
