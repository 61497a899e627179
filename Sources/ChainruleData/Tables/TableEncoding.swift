/// The encoding of a table as a model's features and targets. It is part of the model, and saved in its file.
public struct TableEncoding: Sendable, Equatable, Codable {
  /// The encoding of the columns as features.
  public var features: FeatureEncoding
  /// The encoding of the target columns.
  public var targets: TargetEncoding

  /// Creates an encoding of features and targets.
  public init(features: FeatureEncoding, targets: TargetEncoding) {
    self.features = features
    self.targets = targets
  }

  /// Fits the rows of a table that have a target, and returns notes about the decisions.
  ///
  /// - Throws: The errors of ``FeatureEncoding/init(fitting:valuesOf:)`` and
  ///   ``TargetEncoding/init(fitting:)``.
  public static func fitting(
    _ table: CSVTable
  ) throws(ChainruleError) -> (encoding: TableEncoding, notes: [TableNote]) {
    let targets = try TargetEncoding(fitting: table)
    let (features, notes) = try FeatureEncoding.fitting(table.withTargets())
    return (TableEncoding(features: features, targets: targets), notes)
  }
}
