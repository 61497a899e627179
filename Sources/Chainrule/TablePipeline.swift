internal import ChainrulePlatform

/// A model of a table in one value and one file: how its columns are encoded, the network, and its names.
///
///     let table = try CSVTable(file: "houses.csv", options: .anyTable(target: ["price"]))
///     let houses = try await TablePipeline<Float>.fitting(table)
///     try houses.save(to: "houses.safetensors")
///     let prices = try TablePipeline<Float>(contentsOf: "houses.safetensors").predict(CSVTable(file: "new.csv"))
///
/// `chainrule train` does the same, with options for each decision.
public struct TablePipeline<Scalar: NetworkScalar>: Sendable {
  /// The network, which takes the encoded features and predicts targets in their own unit.
  public let model: Model<Scalar>
  /// How the columns of a table become features and targets.
  public let encoding: TableEncoding
  /// What was decided about the table that was fitted; nothing for a pipeline from a file.
  public let notes: [TableNote]
  /// The epochs of training; none for a pipeline from a file.
  public let epochs: [Epoch]

  /// A model that was trained on a table.
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

  /// Trains on a table, by the options it was read with; `CSVOptions.anyTable(target:task:)` takes any.
  ///
  /// Rows without a target are left out. Some rows are held out to validate on, of each class its share; the values for
  /// missing cells and the categories are those of the others. The same table, recipe and seed give the same bits.
  ///
  /// - Parameters:
  ///   - table: The rows, targets included.
  ///   - recipe: The network and its training; nil: ``TrainingRecipe/recommended(forRows:)``.
  ///   - seed: Seeds the choice of the validation rows, the initial weights and the order of the rows.
  ///   - threads: How many threads share the work of an update, 1 … 256; any number trains the same model.
  ///   - isolation: The actor that calls, which the function goes on with afterwards.
  ///   - onStep: Called after each batch, on the trainer's queue; by `.stop` training ends after this batch.
  /// - Throws: `ChainruleError.badData` for cells that do not fit, `.notFinite` where training diverges, and as
  ///   `TableEncoding.fitting(_:)` and ``Trainer``.
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

  /// The outputs, row-major rows × ``Model/outputs``, for a table with the columns of the features, in any order and among
  /// others. Read it by the options that `FeatureEncoding.readingOptions` of the encoding are: its numbers and missing
  /// cells are then those of the table that was fitted.
  ///
  /// - Throws: As `FeatureEncoding.features(of:as:)`.
  public func predict(_ table: CSVTable) throws(ChainruleError) -> [Scalar] {
    try model.predict(encoding.features.features(of: table))
  }

  /// The most probable class of each row; nil where the model predicts no classes.
  ///
  /// - Throws: As ``predict(_:)``.
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
  /// - Parameter table: With the columns of the features, and of the targets by their names, or as its options name them.
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
  /// - Throws: As ``Model/init(contentsOf:)-(String)`` and ``init(_:)``.
  public init(contentsOf path: String) throws(ChainruleError) {
    try self.init(Model(contentsOf: path))
  }

  /// Writes a model file that holds the encoding, too; see ``Model/save(to:)-(String)``.
  public func save(to path: String) throws(ChainruleError) { try model.save(to: path) }
}

/// As the bytes of its model file.
extension TablePipeline: Codable {
  private enum CodingKeys: CodingKey { case model }

  /// - Throws: A `DecodingError`, or as ``init(contentsOf:)``.
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

  /// The core reads and writes files alone.
  private static func withTemporaryFile<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("chainrule-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.appendingPathComponent("model.safetensors").path)
  }
}
