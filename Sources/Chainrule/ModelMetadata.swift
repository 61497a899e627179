internal import ChainrulePlatform

/// The training information in a model file, as JSON in its metadata: the loss and the table's encoding.
private struct ModelMetadata: Codable {
  var loss: Loss?
  var table: TableEncoding?
}

private struct TableMetadata: Decodable {
  let table: TableEncoding
}

/// The same metadata without the table's contents. A loss that this version does not know is `nil`.
private struct MetadataProbe: Decodable {
  let hasTable: Bool
  let loss: Loss?

  private enum CodingKeys: CodingKey { case loss, table }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    hasTable = try container.contains(.table) && !container.decodeNil(forKey: .table)
    loss = try? container.decodeIfPresent(Loss.self, forKey: .loss)
  }
}

extension CoreNetwork {
  private var probe: MetadataProbe? {
    metadata.flatMap { try? JSONDecoder().decode(MetadataProbe.self, from: Data($0.utf8)) }
  }

  /// The loss that the network was trained with; `nil` if unknown.
  fileprivate var trainingLoss: Loss? { probe?.loss }

  /// The encoding of a table as the network's features; `nil` if there is none.
  fileprivate var tableEncoding: TableEncoding? { try? decodedTableEncoding() }

  /// Decodes ``tableEncoding``. Metadata that Chainrule did not write have none.
  ///
  /// - Throws: `ChainruleError.invalidValue` for an encoding that is damaged, or of another network.
  func decodedTableEncoding() throws(ChainruleError) -> TableEncoding? {
    guard let text = metadata?.utf8, probe?.hasTable == true else { return nil }
    let what = "the encoding of the table that the model was trained on"
    let encoding: TableEncoding
    do {
      encoding = try JSONDecoder().decode(TableMetadata.self, from: Data(text)).table
    } catch {
      let reason = (error as? ChainruleError).map { ": \($0)" } ?? ""
      throw .invalidValue(name: what, value: "damaged\(reason)", expected: "what training writes")
    }
    guard encoding.features.outputs == inputs else {
      throw .invalidValue(
        name: what, value: "one of \(encoding.features.outputs) features",
        expected: "\(inputs), the inputs of the network")
    }
    return encoding
  }

  fileprivate func setTableEncoding(_ encoding: TableEncoding?) throws(ChainruleError) {
    guard let encoding else { return try write(ModelMetadata(loss: trainingLoss)) }
    guard encoding.features.outputs == inputs else {
      throw .shapeMismatch(
        what: "features of the table's encoding", expected: inputs, actual: encoding.features.outputs)
    }
    try write(ModelMetadata(loss: trainingLoss, table: encoding))
  }

  fileprivate func setTrainingLoss(_ loss: Loss?) throws(ChainruleError) {
    try write(ModelMetadata(loss: loss, table: tableEncoding))
  }

  private func write(_ contents: ModelMetadata) throws(ChainruleError) {
    if contents.loss == nil, contents.table == nil { return try setMetadata(nil) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let text = try? encoder.encode(contents) else {
      throw .invalidValue(
        name: "the table's encoding", value: "\(contents.table!)", expected: "finite numbers")
    }
    try setMetadata(String(decoding: text, as: UTF8.self))
  }
}

extension Model {
  /// The encoding of a table as the model's features and targets; `nil` if the model was not trained on a
  /// table.
  ///
  ///     let rows: [Float] = try model.tableEncoding!.features.features(of: CSVTable(file: "new.csv"))
  public var tableEncoding: TableEncoding? { core.tableEncoding }

  /// The loss that training minimised; `nil` if unknown. `NetworkDesign` and `TablePipeline` set it.
  public var trainingLoss: Loss? { core.trainingLoss }
}

extension Network {
  /// The encoding of a table as the network's features and targets; see ``setTableEncoding(_:)``.
  public var tableEncoding: TableEncoding? { core.tableEncoding }

  /// Attaches the encoding of a table to the network: models and checkpoints saved later include it.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if it produces another number of features, `.busy`.
  public func setTableEncoding(_ encoding: TableEncoding?) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in try core.setTableEncoding(encoding) }
  }
  /// The loss of the training for models saved later; see ``setTrainingLoss(_:)``.
  public var trainingLoss: Loss? { core.trainingLoss }

  /// Sets the loss of the training: models and checkpoints saved later include it, and `chainrule evaluate`
  /// reports it.
  ///
  /// - Throws: `ChainruleError.busy`.
  public func setTrainingLoss(_ loss: Loss?) throws(ChainruleError) {
    try exclusivity { () throws(ChainruleError) in try core.setTrainingLoss(loss) }
  }
}
