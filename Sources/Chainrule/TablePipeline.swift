internal import ChainrulePlatform

/// A model of a table in one value and one file: the encoding of the columns, the network, and its names.
///
///     let table = try CSVTable(file: "houses.csv", options: .anyTable(target: ["price"]))
///     let houses = try await TablePipeline<Float>.fitting(table)
///     try houses.save(to: "houses.safetensors")
///     let saved = try TablePipeline<Float>(contentsOf: "houses.safetensors")
///     let prices = try saved.predict(CSVTable(file: "new.csv"))
///
/// `chainrule train` does the same, with options for each decision.
public struct TablePipeline<Scalar: NetworkScalar>: Sendable {
  /// The network, which takes the encoded features and predicts targets in their own units.
  public let model: Model<Scalar>
  /// The encoding of a table's columns as features and targets.
  public let encoding: TableEncoding
  /// The decisions about the table that was fitted; empty for a pipeline from a file.
  public let notes: [TableNote]
  /// The epochs of training; empty for a pipeline from a file.
  public let epochs: [Epoch]

  /// Creates a pipeline from a model that was trained on a table.
  ///
  /// - Throws: `ChainruleError.invalidValue` for a model without an encoding.
  public init(_ model: Model<Scalar>) throws(ChainruleError) {
    guard let encoding = model.tableEncoding else {
      throw .invalidValue(
        name: "the model", value: "one without the encoding of a table",
        expected: "one that was trained on a table")
    }
    self.init(model: model, encoding: encoding, notes: [], epochs: [])
  }

  private init(model: Model<Scalar>, encoding: TableEncoding, notes: [TableNote], epochs: [Epoch]) {
    self.model = model
    self.encoding = encoding
    self.notes = notes
    self.epochs = epochs
  }

  /// Trains on a table with its reading options; `CSVOptions.anyTable(target:task:)` accepts any table.
  ///
  /// Rows without a target are skipped. Some rows, the same fraction of each class, are held out for
  /// validation. The replacements of missing cells and the categories are fitted on the other rows. The same
  /// table, recipe and seed give the same bits.
  ///
  /// - Parameters:
  ///   - table: The rows, including the targets.
  ///   - recipe: The network and its training; `nil` for ``TrainingRecipe/recommended(forRows:)``.
  ///   - seed: Seeds the choice of the validation rows, the initial weights and the order of the rows.
  ///   - threads: The number of threads that share the work of an update, 1 … 256; any number trains the same
  ///     model.
  ///   - isolation: The calling actor, on which the function continues afterwards.
  ///   - onStep: Called after each batch, on the trainer's queue; training ends after this batch if it
  ///     returns `.stop`.
  /// - Throws: `ChainruleError.badData` for cells that do not fit, `.notFinite` if training diverges, and the
  ///   errors of `TableEncoding.fitting(_:)` and ``Trainer``.
  public static func fitting(
    _ table: CSVTable, recipe: TrainingRecipe? = nil, seed: UInt64 = 0, threads: Int = 1,
    isolation: isolated (any Actor)? = #isolation,
    onStep: (@Sendable (TrainingStep) -> TrainingDecision)? = nil
  ) async throws(ChainruleError) -> TablePipeline {
    var encoded = try EncodedTable<Scalar>(fitting: table)
    let fraction = (recipe ?? .recommended(forRows: encoded.rows.rows)).validation
    var (train, validation): (Dataset<Scalar>, Dataset<Scalar>?) = (encoded.rows, nil)
    if fraction > 0 {
      let isStratified = encoded.rows.classLabels != nil
      let rows = try encoded.rows.splitRows(holdingOut: fraction, seed: seed, stratified: isStratified)
      encoded = try encoded.refitted(to: rows.train)
      (train, validation) = try encoded.rows.split(
        holdingOut: fraction, seed: seed, stratified: isStratified)
    }
    let recipe = recipe ?? .recommended(forRows: train.rows)
    let output = encoded.encoding.targets.outputActivation
    let design = try recipe.design(
      for: train, output: output, areNumbers: encoded.encoding.features.areNumbers)
    let network = try design.network(like: train, seed: seed)
    try network.setTableEncoding(encoded.encoding)
    let trainer = try Trainer(
      network, loss: design.loss, optimizer: recipe.optimizer,
      options: TrainerOptions(layerRates: design.layerRates, seed: seed, threads: threads))
    let history = try await trainer.fit(
      train, epochs: recipe.epochs, batchSize: recipe.batchSize, validating: validation,
      patience: validation == nil ? nil : recipe.patience, isolation: isolation, onStep: onStep)
    return TablePipeline(
      model: try Model(network), encoding: encoded.encoding, notes: encoded.notes, epochs: history.epochs)
  }

  /// Returns the outputs, row-major rows × ``Model/outputs``, for a table. The table must have the columns of
  /// the features, in any order, and may have others. Read it with the encoding's
  /// `FeatureEncoding.readingOptions`, so that numbers and missing cells have the format of the fitted table.
  ///
  /// - Throws: The errors of `FeatureEncoding.features(of:as:)`.
  public func predict(_ table: CSVTable) throws(ChainruleError) -> [Scalar] {
    try model.predict(encoding.features.features(of: table))
  }

  /// Returns the most probable class of each row; `nil` if the model does not predict classes.
  ///
  /// - Throws: The errors of ``predict(_:)``.
  public func labels(of table: CSVTable) throws(ChainruleError) -> [String]? {
    guard let classes = model.classLabels else { return nil }
    let outputs = try predict(table)
    return stride(from: 0, to: outputs.count, by: classes.count).map { start in
      let values = outputs[start..<start + classes.count]
      return classes[
        values.indices.max { values[$0] < values[$1] || values[$0] == values[$1] && $0 > $1 }! - start]
    }
  }

  /// Compares predictions with the targets of a table; see ``Network/report(on:loss:threshold:)``.
  ///
  /// - Parameter table: A table with the columns of the features, and those of the targets by their names or
  ///   as its options name them.
  /// - Throws: `ChainruleError.badData` for cells that do not fit.
  public func report(on table: CSVTable) throws(ChainruleError) -> EvaluationReport {
    var table = table
    if table.options.target.isEmpty, table.columnNames != nil, let own = encoding.targets.columnNames {
      table.options.target = own
    }
    return try model.report(
      on: Dataset<Scalar>(csv: table, encoding: encoding.features, targets: encoding.targets))
  }
}

// MARK: - Files

extension TablePipeline {
  /// Reads a file that ``save(to:)`` or `chainrule train --save` wrote.
  ///
  /// - Throws: The errors of ``Model/init(contentsOf:)-(String)`` and ``init(_:)``.
  public init(contentsOf path: String) throws(ChainruleError) {
    try self.init(Model(contentsOf: path))
  }

  /// Writes a model file that includes the encoding; see ``Model/save(to:)-(String)``.
  public func save(to path: String) throws(ChainruleError) { try model.save(to: path) }
}

/// Encoded as the bytes of its model file.
extension TablePipeline: Codable {
  private enum CodingKeys: CodingKey { case model }

  /// Reads the bytes of a model file.
  ///
  /// - Throws: A `DecodingError`, or the errors of ``init(contentsOf:)``.
  public init(from decoder: any Decoder) throws {
    let bytes = try decoder.container(keyedBy: CodingKeys.self).decode(Data.self, forKey: .model)
    self = try Self.withTemporaryFile { path in
      try bytes.write(to: URL(fileURLWithPath: path))
      return try Self(contentsOf: path)
    }
  }

  /// Writes the bytes of the model file.
  public func encode(to encoder: any Encoder) throws {
    let bytes = try Self.withTemporaryFile { path in
      try save(to: path)
      return try Data(contentsOf: URL(fileURLWithPath: path))
    }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(bytes, forKey: .model)
  }

  /// Needed because the core can only read and write files.
  private static func withTemporaryFile<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("chainrule-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.appendingPathComponent("model.safetensors").path)
  }
}
