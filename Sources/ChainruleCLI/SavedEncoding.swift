import Chainrule
import Foundation

/// The file beside a model that says how the columns of CSV become its features, where they are not all numbers
/// as they stand: the JSON of a `FeatureEncoding`.
struct SavedEncoding {
  let path: String

  init(ofModelAt model: String) { path = model + ".encoding.json" }

  /// Puts `encoding` in the place of what the file held; nil leaves no file, lest the model be read by the
  /// encoding of one that had its name before.
  func replace(by encoding: FeatureEncoding?) throws {
    do {
      if let encoding {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(encoding).write(to: URL(fileURLWithPath: path), options: .atomic)
      } else if fileKind(path) == S_IFREG {
        try FileManager.default.removeItem(atPath: path)
      }
    } catch {
      throw ChainruleError.file(path: path, reason: error.localizedDescription)
    }
  }

  /// The encoding for `model`; nil where there is no file.
  ///
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` for one that holds no encoding,
  ///   or one of another model.
  func encoding<Scalar>(for model: Model<Scalar>) throws(ChainruleError) -> FeatureEncoding? {
    guard fileKind(path) != nil else { return nil }
    let encoding: FeatureEncoding
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      encoding = try JSONDecoder().decode(FeatureEncoding.self, from: data)
    } catch let error as DecodingError {
      throw bad("this is no encoding of features: \(error.reason)")
    } catch let error as ChainruleError {
      throw bad("\(error)")
    } catch {
      throw .file(path: path, reason: error.localizedDescription)
    }
    guard encoding.outputs == model.inputs else {
      throw bad("this makes \(counted(encoding.outputs, "feature")); the model takes \(model.inputs)")
    }
    if let names = encoding.featureNames, let own = model.featureNames, names != own {
      throw bad("the features it makes have other names than those of the model")
    }
    return encoding
  }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: path, line: nil, column: nil, reason: reason)
  }
}

extension DecodingError {
  /// What was wrong, and where.
  fileprivate var reason: String {
    switch self {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
      .dataCorrupted(let context):
      let place = context.codingPath.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }
      return place.isEmpty
        ? context.debugDescription : "\(place.joined(separator: ".")): \(context.debugDescription)"
    @unknown default: return localizedDescription
    }
  }
}

extension FeatureEncoding {
  /// Whether a missing cell has something to take its place.
  private var fillsMissing: Bool {
    columns.contains { column in
      switch column {
      case .number(let missing): missing != nil
      case .category(_, let missing): missing != nil
      }
    }
  }

  /// How a table is read that the encoding is for: by these a header is told from a row of categories or with
  /// missing cells.
  func options(delimiter: Character?) -> CSVOptions {
    let categorical = columns.indices.filter { index in
      if case .category = columns[index] { true } else { false }
    }
    return CSVOptions(
      delimiter: delimiter ?? ",", categorical: columnNames == nil ? categorical.map { "\($0 + 1)" } : [],
      missing: fillsMissing ? .mostFrequent : nil, missingTexts: missingTexts)
  }
}
