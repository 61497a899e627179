import ArgumentParser
import Chainrule

/// Which rows are validated on.
struct PartitionArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The part of the rows to hold out, drawn at random; 0 for none. By default 0.2 of 50 rows or more, "
        + "and none of fewer.",
      valueName: "fraction"))
  var validation: Double?

  @Option(
    help: ArgumentHelp(
      "Cross-validate: hold out each of so many parts of the rows once, and train a network on the others.",
      valueName: "count"))
  var folds: Int?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: "Each class keeps its share in the validation rows. By default so where the targets are classes.")
  var stratified: Bool?

  @Option(
    help: ArgumentHelp(
      "The rows to validate on, of which none is trained on: a file such as the data, with the same columns.",
      valueName: "file"))
  var validationData: String?

  @Option(
    help: ArgumentHelp("As --labels, of the rows to validate on.", valueName: "file"))
  var validationLabels: String?

  func validate() throws {
    try require("--validation", validation, "a fraction of at least 0 and below 1") { 0..<1 ~= $0 }
    try require("--folds", folds, "at least 2") { $0 >= 2 }
    if folds != nil, validation != nil {
      throw ValidationError("--validation does not go with --folds, which holds out every row once")
    }
    if validationData == nil, validationLabels != nil {
      throw ValidationError("--validation-labels needs --validation-data")
    }
    let parts = [
      ("--validation", validation != nil), ("--folds", folds != nil), ("--stratified", stratified == true),
    ]
    if validationData != nil, let (option, _) = parts.first(where: \.1) {
      throw ValidationError(
        "\(option) does not go with --validation-data, which holds out no row of the data")
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
          "--stratified is about the rows held out, and there are none; expected --validation above 0, or "
            + "--folds")
      }
      return (data, nil)
    }
    let heldOut = Int((Double(data.rows) * fraction).rounded())
    let isStratified = stratifies(data)
    guard isStratified || 1..<data.rows ~= heldOut else {
      throw ValidationError(
        "--validation is \(fraction), which holds out \(heldOut) of \(counted(data.rows, "row")); "
          + "expected at least one to hold out and one to train on, or 0")
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
            "all rows of the class \"\(classes[absent])\" are among those to validate on; expected at least one to "
            + "train on, as --stratified sees to")
      }
    }
    return (parts.train, parts.test)
  }
}
