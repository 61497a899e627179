import ArgumentParser
import Chainrule

/// The validation rows.
struct PartitionArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Fraction of the rows held out for validation, drawn at random, 0 or more and less than 1. Default: 0.2, or 0 if "
        + "there are fewer than 50 rows.",
      valueName: "fraction"))
  var validation: Double?

  @Option(
    help: ArgumentHelp(
      "Cross-validation: split the rows into this many folds, 2 or more, and train one network for each fold on the rows of "
        + "the other folds.",
      valueName: "count"))
  var folds: Int?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help:
      "Keep the proportions of the classes in the validation rows. Default: yes if the targets are classes.")
  var stratified: Bool?

  @Option(
    help: ArgumentHelp(
      "A file with the validation rows, with the same columns as the data. All rows of the data are then training rows.",
      valueName: "file"))
  var validationData: String?

  @Option(
    help: ArgumentHelp(
      "The file with the targets of --validation-data, as --labels for the data.", valueName: "file"))
  var validationLabels: String?

  func validate() throws {
    try require("--validation", validation, "a fraction of at least 0 and below 1") { 0..<1 ~= $0 }
    try require("--folds", folds, "at least 2") { $0 >= 2 }
    if folds != nil, validation != nil {
      throw ValidationError(
        "--validation and --folds cannot be combined: with --folds every row is a validation row once")
    }
    if validationData == nil, validationLabels != nil {
      throw ValidationError("--validation-labels needs --validation-data")
    }
    let parts = [
      ("--validation", validation != nil), ("--folds", folds != nil), ("--stratified", stratified == true),
    ]
    if validationData != nil, let (option, _) = parts.first(where: \.1) {
      throw ValidationError(
        "\(option) and --validation-data cannot be combined: the validation rows are those of the file")
    }
  }

  /// The folds asked for.
  func folds<Scalar>(of data: Dataset<Scalar>, seed: UInt64) throws -> Folds<Scalar> {
    let count = folds ?? 1
    try require("--folds", count, "at most the number of rows, \(data.rows)") { $0 <= data.rows }
    let isStratified = stratifies(data)
    return try asUsage(of: isStratified ? "--stratified" : "--folds") { () throws(ChainruleError) in
      try data.folds(count, seed: seed, stratified: isStratified)
    }
  }

  /// The rows trained on; nil: all, or what ``split(_:seed:)`` refuses.
  func trainedRows<Scalar>(of data: Dataset<Scalar>, seed: UInt64) throws -> [Int]? {
    if validationData != nil { return nil }
    return try? data.splitRows(holdingOut: fraction(of: data), seed: seed, stratified: stratifies(data)).train
  }

  /// Whether each class keeps its share.
  private func stratifies<Scalar>(_ data: Dataset<Scalar>) -> Bool { stratified ?? (data.classLabels != nil) }

  /// The part of the rows to hold out.
  private func fraction<Scalar>(of data: Dataset<Scalar>) -> Double {
    validation ?? (data.rows < 50 ? 0 : 0.2)
  }

  func split<Scalar>(
    _ data: Dataset<Scalar>, seed: UInt64
  ) throws -> (trained: Dataset<Scalar>, heldOut: Dataset<Scalar>?) {
    let fraction = fraction(of: data)
    guard fraction > 0 else {
      if stratified == true {
        throw ValidationError(
          "--stratified needs validation rows, and there are none; expected --validation above 0, or --folds")
      }
      return (data, nil)
    }
    let heldOut = Int((Double(data.rows) * fraction).rounded())
    let isStratified = stratifies(data)
    guard isStratified || 1..<data.rows ~= heldOut else {
      throw ValidationError(
        "--validation is \(fraction), which holds out \(heldOut) of \(counted(data.rows, "row")); "
          + "expected at least one validation row and one training row, or --validation 0")
    }
    let parts = try asUsage(of: isStratified ? "--stratified" : "--validation") { () throws(ChainruleError) in
      try data.split(holdingOut: fraction, seed: seed, stratified: isStratified)
    }
    if let classes = data.classLabels, let labels = parts.train.labels {
      let present = Set(labels)
      if let absent = classes.indices.first(where: { !present.contains($0) }) {
        throw ChainruleError.badData(
          file: nil, line: nil, column: nil,
          reason:
            "all rows of the class \"\(classes[absent])\" are validation rows; expected at least one training row of it; "
            + "--stratified ensures that")
      }
    }
    return (parts.train, parts.test)
  }
}
