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

  /// Fits the rows of a table that have a target, and says what was decided.
  ///
  /// - Throws: As ``FeatureEncoding/init(fitting:valuesOf:)`` and ``TargetEncoding/init(fitting:)``.
  public static func fitting(
    _ table: CSVTable
  ) throws(ChainruleError) -> (encoding: TableEncoding, notes: [TableNote]) {
    let targets = try TargetEncoding(fitting: table)
    let (features, notes) = try FeatureEncoding.fitting(table.withTargets())
    return (TableEncoding(features: features, targets: targets), notes)
  }
}
