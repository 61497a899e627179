import ArgumentParser
import Chainrule
import Foundation

/// Streaming: rows are read batch by batch and need not fit in memory.
struct StreamArguments: ParsableArguments {
  @Flag(
    help: """
      Read the rows from the file batch by batch in every epoch, for data larger than memory. For CSV, IDX and .npy; .npy \
      needs --labels. Validation rows come from --validation-data.
      """)
  var stream = false

  @Option(
    help: ArgumentHelp(
      "With --stream: rows held in memory, from which the next row is drawn at random; 1 keeps the order of the file. "
        + "Default: 10000.",
      valueName: "rows"))
  var shuffleBuffer: Int?

  func validate() throws {
    try require("--shuffle-buffer", shuffleBuffer, "at least 1") { $0 >= 1 }
    if shuffleBuffer != nil, !stream { throw ValidationError("--shuffle-buffer needs --stream") }
  }

  /// Refuses the options that look at all rows.
  func check(
    _ partition: PartitionArguments, _ columns: ColumnArguments, _ training: TrainingArguments,
    _ fullBatch: FullBatchArguments
  ) throws(ValidationError) {
    guard stream else { return }
    for (option, isGiven, instead) in [
      ("--validation", partition.validation != nil, "; use --validation-data for the validation rows"),
      ("--folds", partition.folds != nil, ""), ("--stratified", partition.stratified == true, ""),
      ("--class-weights", training.classWeights != nil, ""),
      ("--full-batch", fullBatch.method != nil, ""),
    ] where isGiven {
      throw ValidationError(
        "\(option) and --stream cannot be combined: \(option) needs all rows in memory\(instead)")
    }
  }

  /// The rows held in memory, of which the next is drawn.
  var buffer: Int { shuffleBuffer ?? 10_000 }
}

extension DataSource {
  /// The rows of a file, batch by batch. `options` apply to CSV, and `classes` are those of the targets where
  /// they are known; `labels` apply to IDX, and to NumPy, whose targets they are. `encoding` is that of other
  /// rows; nil: it is fitted.
  func batches<Scalar: NetworkScalar>(
    options: CSVOptions, labels: String?, encoding: TableEncoding? = nil, classes: [String]? = nil
  ) throws -> any BatchSource<Scalar> {
    switch self {
    case .bundled, .standardInput:
      throw ValidationError("--stream needs a file that it can read in every epoch; found \(self)")
    case .npz, .fann: throw ValidationError("--stream applies to CSV, IDX and .npy only, not to \(self)")
    case .idx(let images):
      return try IDXSource(images: images, labels: labels ?? Self.labels(besides: images))
    case .npy(let path):
      guard let labels else {
        throw ValidationError(
          "\(path) is a NumPy file of features; name the file with the targets with --labels")
      }
      var classes = classes
      if classes == nil, options.task == .classification {
        classes = try Self.classes(numberedIn: labels)
      }
      return try NumPySource(features: path, targets: labels, classLabels: classes)
    case .csv(let path):
      return try CSVSource(
        file: path, options: options, encoding: encoding?.features, targets: encoding?.targets)
    }
  }

  /// 0 to the highest number of a `.npy` file.
  private static func classes(numberedIn path: String) throws(ChainruleError) -> [String] {
    let numbers = try NumPySource<Double>(features: path, targets: path)
    var batches = try numbers.makeBatches(of: 1 << 14)
    var highest = 0.0
    while let batch = try batches.next() { highest = max(highest, batch.features.max() ?? 0) }
    guard highest < 65_536 else {
      throw .badData(
        file: path, line: nil, column: nil, reason: "the highest class is \(highest); expected at most 65535")
    }
    return (0...Int(highest)).map(String.init)
  }
}
