import Chainrule

/// Training steps with every number that they compute: a step file, run.
///
/// The steps are the C core's own. What is kept here is its trace, so that a rendering can show how each
/// number comes about; numbers of a float32 network are widened, which is exact.
public struct Explanation: Sendable, Equatable {
  /// What the step file calls itself.
  public let name: String?
  /// The type that the network computes in.
  public let scalar: ScalarType
  /// The number of inputs.
  public let inputs: Int
  /// The layers, from the first hidden layer to the output layer.
  public let layers: [Dense]
  /// What training makes small.
  public let loss: Loss
  /// How gradients become updates.
  public let optimizer: Optimizer
  /// One training step each.
  public let batches: [Batch]
  /// The last batch once more, after the last update.
  public let afterwards: Afterwards
  /// How well the numbers agree with what the step file expects, where it does.
  public private(set) var agreement: Agreement?

  /// One training step.
  public struct Batch: Sendable, Equatable {
    /// x, [rows][inputs]
    public let x: [[Double]]
    /// y, [rows][outputs]
    public let y: [[Double]]
    /// w, [rows]; nil where every row weighs the same
    public let sampleWeights: [Double]?
    /// l of each row, before the update.
    public let rowLosses: [Double]
    /// L, the mean of the row losses, before the update.
    public let loss: Double
    /// What each layer computed.
    public let layers: [Layer]
  }

  /// What one layer computed in one step.
  public struct Layer: Sendable, Equatable {
    /// W and b before the update.
    public let before: StepFile.Parameters
    /// z = W a + b, [rows][units]
    public let z: [[Double]]
    /// a = f(z), [rows][units]
    public let a: [[Double]]
    /// δ = ∂L/∂z, [rows][units]
    public let delta: [[Double]]
    /// ∂L/∂W and ∂L/∂b
    public let gradients: StepFile.Parameters
    /// W and b after the update.
    public let after: StepFile.Parameters
  }

  /// What the network makes of the last batch after the last update.
  public struct Afterwards: Sendable, Equatable {
    /// L
    public let loss: Double
    /// The outputs, [rows][outputs].
    public let outputs: [[Double]]
  }

  /// The outputs, gradients and losses, as a golden file expects them.
  public var results: StepFile.Expect {
    StepFile.Expect(
      outputs: batches[0].layers.last!.a, gradients: batches[0].layers.map(\.gradients),
      losses: batches.map(\.loss), parametersAfter: batches.last!.layers.map(\.after))
  }
}

// MARK: - Running a step file

extension Explanation {
  /// Runs the steps of a step file, with its own numbers and nothing drawn at random.
  ///
  /// - Throws: `StepFileError` for a file that is wrong, or that asks for what this version does not have;
  ///   `ChainruleError` as from a ``Trainer``.
  public init(_ stepFile: StepFile) throws {
    try stepFile.validate()
    switch try stepFile.scalarType {
    case .float64: try self.init(stepFile, as: Double.self)
    case .float32: try self.init(stepFile, as: Float.self)
    }
  }

  private init<Scalar: NetworkScalar>(_ stepFile: StepFile, as _: Scalar.Type) throws {
    layers = try stepFile.denseLayers
    loss = try stepFile.catalogueLoss
    optimizer = try stepFile.catalogueOptimizer
    name = stepFile.name
    scalar = Scalar.scalarType
    inputs = stepFile.inputs

    let network = try Network<Scalar>(inputs: inputs, layers: layers.map { .dense($0) })
    for (index, layer) in stepFile.layers.enumerated() {
      var parameters = try network.parameters(ofLayer: index)
      parameters.weights = layer.weights!.flatMap { $0.map { Scalar($0) } }
      parameters.bias = layer.bias?.map { Scalar($0) }
      try network.setParameters(parameters, ofLayer: index)
    }

    let trainer = try Trainer(network, loss: loss, optimizer: optimizer, tracing: true)
    batches = try stepFile.batches.map { try Batch($0, trainer) }
    let last = try Dataset<Scalar>(stepFile.batches.last!)
    afterwards = Afterwards(
      loss: try network.evaluate(last, loss: loss).loss,
      outputs: rows(try network.predict(last.features), network.outputs))

    if let expect = stepFile.expect { agreement = try Agreement(of: results, with: expect) }
  }
}

extension Explanation.Batch {
  /// Trains one step on `batch` and keeps what was computed.
  fileprivate init<Scalar: NetworkScalar>(_ batch: StepFile.Batch, _ trainer: Trainer<Scalar>) throws {
    let network = trainer.network
    let data = try Dataset<Scalar>(batch)
    let unweighted = try Dataset(
      features: data.features, targets: data.targets, rows: data.rows, inputs: data.inputs,
      outputs: data.outputs)
    x = rows(data.features, data.inputs)
    y = rows(data.targets, data.outputs)
    sampleWeights = data.sampleWeights?.map { Double($0) }
    rowLosses = try (0..<data.rows).map {
      try network.evaluate(unweighted[rows: $0..<$0 + 1], loss: trainer.loss).loss
    }

    let before = try network.allParameters()
    loss = try trainer.step(data)
    layers = zip(zip(before, try network.allParameters()), try trainer.trace()).map { parameters, trace in
      Explanation.Layer(
        before: parameters.0,
        z: rows(trace.z, trace.units), a: rows(trace.a, trace.units), delta: rows(trace.delta, trace.units),
        gradients: StepFile.Parameters(
          weights: rows(trace.weightsGradient, trace.inputs), bias: trace.biasGradient?.map { Double($0) }),
        after: parameters.1)
    }
  }
}

extension Network {
  fileprivate func allParameters() throws -> [StepFile.Parameters] {
    try layers.indices.map { layer in
      let parameters = try parameters(ofLayer: layer)
      return StepFile.Parameters(
        weights: rows(parameters.weights, parameters.inputs), bias: parameters.bias?.map { Double($0) })
    }
  }
}

extension Dataset {
  fileprivate init(_ batch: StepFile.Batch) throws {
    try self.init(
      features: batch.x.map { $0.map { Scalar($0) } }, targets: batch.y.map { $0.map { Scalar($0) } },
      sampleWeights: batch.sampleWeights?.map { Scalar($0) })
  }
}

/// The rows of a row-major matrix, widened.
private func rows<Scalar: NetworkScalar>(_ values: [Scalar], _ columns: Int) -> [[Double]] {
  stride(from: 0, to: values.count, by: columns).map { start in
    values[start..<start + columns].map { Double($0) }
  }
}
