internal import ChainrulePlatform

/// A description of everything that affects the result of a training run, as names and values in order. A
/// checkpoint stores it, and a run resumes only from a checkpoint with the same description.
///
/// `epochs` itself describes the trainer, the batch size and the data. Add whatever else the run depends on,
/// such as how the data were split.
///
///     let run: RunDescription = ["validation fraction": "0.2", "stratified": "true"]
///     let epochs = trainer.epochs(100, on: train, checkpoints: checkpoints, resuming: newest, run: run)
public struct RunDescription: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  /// A name and its value.
  public struct Entry: Hashable, Sendable, Codable {
    /// The name, such as "seed".
    public var name: String
    /// The value as text.
    public var value: String
  }

  /// The entries in order; each name occurs once.
  public private(set) var entries: [Entry] = []

  /// Creates an empty description.
  public init() {}

  /// Creates a description. If a name occurs several times, its last value counts.
  public init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { self[name] = value }
  }

  /// The value for a name, or `nil` if there is none. Setting `nil` removes the entry.
  public subscript(name: String) -> String? {
    get { index(of: name).map { entries[$0].value } }
    set {
      switch (index(of: name), newValue) {
      case (let index?, let value?): entries[index].value = value
      case (let index?, nil): entries.remove(at: index)
      case (nil, let value?): entries.append(Entry(name: name, value: value))
      case (nil, nil): break
      }
    }
  }

  /// Returns the differences from the description of a checkpoint, in the order of this one; empty if they
  /// are the same.
  public func differences(from saved: RunDescription) -> [RunDifference] {
    let names = entries.map(\.name) + saved.entries.map(\.name).filter { index(of: $0) == nil }
    return names.compactMap { name in
      let (old, new) = (saved[name], self[name])
      // Compared as UTF-8: as strings, é as one scalar and as two would be equal.
      if old.map({ Array($0.utf8) }) == new.map({ Array($0.utf8) }) { return nil }
      return RunDifference(name: name, saved: old, present: new)
    }
  }

  private func index(of name: String) -> Int? {
    entries.firstIndex { $0.name.utf8.elementsEqual(name.utf8) }
  }

  mutating func append(_ other: RunDescription) {
    for entry in other.entries { self[entry.name] = entry.value }
  }
}

extension RunDescription {
  init(loss: Loss?, optimizer: Optimizer, options: TrainerOptions) {
    self["seed"] = "\(options.seed)"
    self["loss"] = loss?.rawValue ?? "a custom function"
    add("optimizer", fieldsOf: optimizer)
    add("schedule", fieldsOf: options.schedule)
    add("regularization", fieldsOf: options.regularization)
    self["accumulation steps"] = "\(options.accumulationSteps)"
    for (layer, rate) in options.layerRates.sorted(by: { $0.key < $1.key }) where rate != 1 {
      self["learning rate factor of layer \(layer + 1)"] = "\(rate)"
    }
    self["order of the rows"] = options.shuffle ? "random" : "as they are"
    self["denormals"] = "\(options.denormals)"
  }

  /// Adds the network, the batch size and the data.
  mutating func add<Scalar>(
    _ network: Network<Scalar>, batchSize: Int, data: any BatchSource<Scalar>,
    validation: (any BatchSource<Scalar>)?
  ) throws(ChainruleError) {
    let names = data as? Dataset<Scalar>
    self["scalar"] = Scalar.scalarType.rawValue
    self["inputs"] = "\(network.inputs)"
    add("layers", list: network.layers.map(\.description))
    self["batch size"] = "\(batchSize)"
    add("features", list: names?.featureNames ?? network.core.names(.features))
    add("targets", list: names?.targetNames ?? network.core.names(.targets))
    add("classes", list: names?.classLabels ?? network.core.names(.classes))
    self["training rows"] = data.rowCount.map { "\($0)" }
    self["training data"] = try data.makeFingerprint()
    self["validation rows"] = validation?.rowCount.map { "\($0)" }
    self["validation data"] = try validation?.makeFingerprint()
  }

  /// Adds the fields of a value with the names of its JSON, such as "optimizer" and "optimizer.momentum".
  mutating func add(_ name: String, fieldsOf value: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let json = try? encoder.encode(value),
      let fields = try? JSONDecoder().decode([String: JSONScalar].self, from: json)
    else { return }
    for (key, value) in fields.sorted(by: {
      ($0.key == "type" ? "" : $0.key) < ($1.key == "type" ? "" : $1.key)
    }) {
      self[key == "type" ? name : "\(name).\(key)"] = value.text
    }
  }

  /// Adds a list as JSON; does nothing for `nil`.
  mutating func add(_ name: String, list: [String]?) {
    guard let list, let json = try? JSONEncoder().encode(list) else { return }
    self[name] = String(decoding: json, as: UTF8.self)
  }
}

/// A number, a Boolean or a text in JSON.
private struct JSONScalar: Decodable {
  let text: String

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      text = "\(value)"
    } else if let value = try? container.decode(Double.self) {
      text = "\(value)"
    } else {
      text = try container.decode(String.self)
    }
  }
}
