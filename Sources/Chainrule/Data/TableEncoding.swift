import Foundation

/// How a table becomes what a model takes and predicts: part of the model, and saved in its file.
public struct TableEncoding: Sendable, Equatable, Codable {
  /// How the columns become features.
  public var features: FeatureEncoding
  /// How the target columns become targets.
  public var targets: TargetEncoding

  /// An encoding of features and targets.
  public init(features: FeatureEncoding, targets: TargetEncoding) {
    self.features = features
    self.targets = targets
  }

  /// Fits a table: all its rows, or for the values of missing cells and the categories those at `rows`; says what was
  /// decided.
  ///
  /// - Throws: As ``FeatureEncoding/init(fitting:valuesOf:)`` and ``TargetEncoding/init(fitting:)``.
  public static func fitting(
    _ table: CSVTable, valuesOf rows: [Int]? = nil
  ) throws(ChainruleError) -> (encoding: TableEncoding, notes: [TableNote]) {
    let targets = try TargetEncoding(fitting: table)
    let (features, notes) = try FeatureEncoding.fitting(table, valuesOf: rows)
    return (TableEncoding(features: features, targets: targets), notes)
  }
}

// MARK: - In a model

/// What a model's file holds of the table it was trained on, as JSON among its metadata.
private struct ModelMetadata: Codable {
  var table: TableEncoding?
}

extension CoreNetwork {
  /// How a table becomes the network's features; nil where nothing is known of one, or the text does not
  /// fit the network.
  fileprivate var tableEncoding: TableEncoding? {
    let decoded = metadata.flatMap { try? JSONDecoder().decode(ModelMetadata.self, from: Data($0.utf8)) }
    return decoded?.table.flatMap { $0.features.outputs == inputs ? $0 : nil }
  }

  fileprivate func setTableEncoding(_ encoding: TableEncoding?) throws(ChainruleError) {
    guard let encoding else { return try setMetadata(nil) }
    guard encoding.features.outputs == inputs else {
      throw .shapeMismatch(
        what: "features of the table's encoding", expected: inputs, actual: encoding.features.outputs)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let text = try? encoder.encode(ModelMetadata(table: encoding)) else {
      throw .invalidValue(name: "the table's encoding", value: "\(encoding)", expected: "finite numbers")
    }
    try setMetadata(String(decoding: text, as: UTF8.self))
  }
}

extension Model {
  /// How a table becomes the model's features and targets; nil where it was trained on no table.
  ///
  ///     let rows: [Float] = try model.tableEncoding!.features.features(of: CSVTable(file: "new.csv"))
  public var tableEncoding: TableEncoding? { core.tableEncoding }
}

extension Network {
  /// How a table becomes the network's features and targets; see ``setTableEncoding(_:)``.
  public var tableEncoding: TableEncoding? { core.tableEncoding }

  /// Puts the encoding of a table with the network: models and checkpoints saved later carry it.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` where it makes another number of features, `.busy`.
  public func setTableEncoding(_ encoding: TableEncoding?) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in try core.setTableEncoding(encoding) }
  }
}
